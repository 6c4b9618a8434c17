import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Command } from '../../compiler/plan/expand.ts';
import type { ExchangeStep } from '../../compiler/plan/package.ts';
import { type Round, roundsOf } from './rounds.ts';

const slots = 4;
const slot = fc.nat(slots - 1);
const step: ExchangeStep = {
  kind: 'exchange',
  verb: 'broadcast',
  axes: ['x'],
  devices: 2,
  combiner: 'sum',
  dtype: 'f32',
  elements: 1,
  from: 0,
  to: 0,
};
const commandOf = (isExchange: boolean, from: number, to: number): Moved =>
  isExchange ? { kind: 'exchange', step, from, to } : { kind: 'copy', from, to, toByte: 0, bytes: 4 };
const programs = fc.array(fc.tuple(fc.boolean(), slot, slot), { maxLength: 12 });

type Moved = Extract<Command, { readonly kind: 'copy' | 'exchange' }>;
type Own = Extract<Command, { readonly kind: 'copy' }>;

/** The value of each slot is the text of what was done to it: a command must see what it saw in order. */
function newMemory() {
  const values = Array.from({ length: slots }, (_, index) => `s${index}`);
  return {
    values,
    read: (command: Moved) => `${command.kind}(${values[command.from]})`,
    write: (command: Moved, value: string) => {
      values[command.to] = value;
    },
  };
}

function inOrder(commands: readonly Command[]): readonly string[] {
  const memory = newMemory();
  for (const command of commands as readonly Moved[]) memory.write(command, memory.read(command));
  return memory.values;
}

/**
 * What an exchange sends is taken when it starts or, where sources stay, when it arrives, unless that is in
 * the same place. What arrives is written when it is waited for, and until then nothing may be read where it
 * will be.
 */
function inRounds(rounds: readonly Round<Own>[], sourcesStay = false): readonly string[] {
  const memory = newMemory();
  const lanes = new Map<number, string>();
  for (const { awaited, commands, started } of rounds) {
    const arrived = awaited.map(({ command, lane }) => {
      const isLate = sourcesStay && command.from !== command.to;
      return [command, isLate ? memory.read(command) : lanes.get(lane)!] as const;
    });
    for (const [command, value] of arrived) memory.write(command, value);
    for (const { lane } of awaited) lanes.delete(lane);
    for (const command of commands) memory.write(command, memory.read(command));
    for (const { command, lane } of started) {
      if (lanes.has(lane)) throw new Error(`two exchanges in lane ${lane}`);
      lanes.set(lane, memory.read(command));
    }
  }
  if (lanes.size > 0) throw new Error('an exchange is not waited for');
  return memory.values;
}

test('rounds do what their commands do in order', () => {
  fc.assert(
    fc.property(programs, (program) => {
      const commands = program.map((each) => commandOf(...each));
      expect(inRounds(roundsOf(commands))).toEqual(inOrder(commands));
      expect(
        inRounds(
          roundsOf<Own>(commands, ({ to }) => [to]),
          true,
        ),
      ).toEqual(inOrder(commands));
    }),
  );
});

test('what is still to be sent is not overwritten', () => {
  const commands = [commandOf(true, 0, 1), commandOf(false, 2, 0)];
  expect(
    inRounds(
      roundsOf<Own>(commands, ({ to }) => [to]),
      true,
    ),
  ).toEqual(inOrder(commands));
  expect(inRounds(roundsOf<Own>(commands), true)).not.toEqual(inOrder(commands));
});

test('what does not touch where an exchange arrives runs meanwhile', () => {
  const [sent, own, read] = [commandOf(true, 0, 1), commandOf(false, 2, 3), commandOf(false, 1, 2)];
  const rounds = roundsOf([sent, own, read]);
  expect(rounds.map(({ awaited, commands, started }) => [awaited.length, commands.length, started.length]))
    .toEqual([[0, 0, 1], [0, 1, 0], [1, 1, 0]]); // biome-ignore format: one row a round
});

test('neighbours that do not depend on each other go together, and others do not', () => {
  const [first, second] = [commandOf(true, 0, 1), commandOf(true, 2, 3)];
  expect(roundsOf([first, second])[0]!.started).toHaveLength(2);
  const chain = [first, commandOf(true, 1, 2)];
  expect(roundsOf(chain)[0]!.started).toHaveLength(1);
});

test('a command that does not wait is noticed', () => {
  const commands = [commandOf(true, 0, 1), commandOf(false, 1, 2)];
  const rounds = roundsOf(commands);
  const early = rounds.map((round, at) => ({ ...round, awaited: at === 1 ? [] : round.awaited }));
  const planted = [...early, { awaited: rounds[1]!.awaited, commands: [], started: [] }];
  expect(inRounds(planted)).not.toEqual(inOrder(commands));
});
