import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Command } from '../../compiler/plan/expand.ts';
import type { ExchangeStep } from '../../compiler/plan/package.ts';
import { type Rounds, roundsOf } from './rounds.ts';

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
const commandOf = (isExchange: boolean, from: number, to: number): Command =>
  isExchange ? { kind: 'exchange', step, from, to } : { kind: 'copy', from, to, toByte: 0, bytes: 4 };
const programs = fc.array(fc.tuple(fc.boolean(), slot, slot), { maxLength: 12 });

type Moved = Extract<Command, { readonly kind: 'copy' | 'exchange' }>;

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

/** All of a round's exchanges send before any receives. */
function inRounds({ rounds, rest }: Rounds): readonly string[] {
  const memory = newMemory();
  const alone = (commands: readonly Command[]) => {
    for (const command of commands as readonly Moved[]) memory.write(command, memory.read(command));
  };
  for (const { commands, exchanges } of rounds) {
    alone(commands);
    const sent = exchanges.map((command) => memory.read(command));
    for (const [place, command] of exchanges.entries()) memory.write(command, sent[place]!);
  }
  alone(rest);
  return memory.values;
}

test('rounds do what their commands do in order', () => {
  fc.assert(
    fc.property(programs, (program) => {
      const commands = program.map((each) => commandOf(...each));
      const { rounds, rest } = roundsOf(commands);
      expect(rounds.every(({ exchanges }) => exchanges.length > 0)).toBe(true);
      expect(inRounds({ rounds, rest })).toEqual(inOrder(commands));
    }),
  );
});

test('neighbours that do not depend on each other go together, and others do not', () => {
  const [first, second] = [commandOf(true, 0, 1), commandOf(true, 2, 3)];
  expect(roundsOf([first, second]).rounds).toHaveLength(1);
  const chain = [first, commandOf(true, 1, 2)];
  expect(roundsOf(chain).rounds).toHaveLength(2);
  const planted = { rounds: [{ commands: [], exchanges: chain }], rest: [] } as unknown as Rounds;
  expect(inRounds(planted)).not.toEqual(inOrder(chain));
});
