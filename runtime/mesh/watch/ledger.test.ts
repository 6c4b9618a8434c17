/** What is found of calls that do not match does not depend on the order in which they are heard of. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { closing, declareGroup, type Group, newLedger, recordStep, type Step, showAbsent } from './ledger.ts';

const world: Group = { id: 'world', label: 'world', members: [0, 1, 2] };
const pair: Group = { id: 'world/0.0', label: 'sp', members: [2, 1] };

interface Call {
  readonly rank: number;
  readonly step: Step;
}

/** The calls of each rank in a program that all run; ranks 1 and 2 also use the pair. */
function programOf(whats: readonly string[], pairWhats: readonly string[]): readonly Call[][] {
  return world.members.map((rank) => [
    ...whats.map((what, step) => ({ rank, step: { group: world.id, step, what } })),
    ...(pair.members.includes(rank) ? pairWhats : []).map((what, step) => ({
      rank,
      step: { group: pair.id, step, what },
    })),
    { rank, step: { group: world.id, step: whats.length, what: closing } },
  ]);
}

/** Interleaves the ranks' calls by the draws, keeping the order of each rank. */
function interleaved(calls: readonly Call[][], draws: readonly number[]): readonly Call[] {
  const queues = calls.map((queue) => [...queue]);
  const order: Call[] = [];
  for (let turn = 0; queues.some((queue) => queue.length > 0); turn++) {
    const open = queues.filter((queue) => queue.length > 0);
    order.push(open[draws[turn % draws.length]! % open.length]!.shift()!);
  }
  return order;
}

function firstFault(order: readonly Call[]): string | undefined {
  const ledger = newLedger();
  for (const group of [world, pair]) declareGroup(ledger, group);
  for (const { rank, step } of order) {
    const fault = recordStep(ledger, rank, step);
    if (fault !== undefined) return fault;
  }
  // Nothing may be left over: a ledger of a long run stays small.
  for (const group of ledger.groups.values()) expect(group.open.size).toBe(0);
  return undefined;
}

const whats = fc.array(fc.constantFrom('shift of 4 f32', 'barrier', 'all_gather of 1 i32'), { maxLength: 4 });
const draws = fc.array(fc.nat(), { minLength: 20, maxLength: 20 });

test('calls that match are not faulted, in whatever order', () => {
  fc.assert(
    fc.property(whats, whats, draws, (onWorld, onPair, order) => {
      expect(firstFault(interleaved(programOf(onWorld, onPair), order))).toBeUndefined();
    }),
  );
});

test('another call on one rank is found in whatever order', () => {
  fc.assert(
    fc.property(whats, whats, draws, fc.nat(), fc.constantFrom(1, 2), (onWorld, onPair, order, at, odd) => {
      const program = programOf(onWorld, onPair);
      const calls = program[odd]!;
      const place = at % calls.length;
      const call = calls[place]!;
      calls[place] = { ...call, step: { ...call.step, what: 'broadcast(from 0) of 1 u8' } };
      expect(firstFault(interleaved(program, order))).toMatch(/broadcast/);
    }),
  );
});

test('a call that one rank leaves out is found in whatever order', () => {
  fc.assert(
    fc.property(draws, fc.constantFrom(1, 2), (order, odd) => {
      const program = programOf(['barrier'], ['shift of 4 f32']);
      program[odd]!.splice(1, 1);
      expect(firstFault(interleaved(program, order))).toMatch(
        new RegExp(
          `rank ${odd} has ended its part, but rank ${3 - odd} waits for it in shift of 4 f32 over sp`,
        ),
      );
    }),
  );
});

test('for whom a rank waits', () => {
  const ledger = newLedger();
  declareGroup(ledger, world);
  const step = { group: 'world', step: 0, what: 'barrier' };
  recordStep(ledger, 0, step);
  expect(showAbsent(ledger, step)).toBe('ranks 1 and 2 (nothing called yet)');
  recordStep(ledger, 1, step);
  recordStep(ledger, 1, { ...step, step: 1 });
  recordStep(ledger, 2, step);
  expect(showAbsent(ledger, { ...step, step: 1 })).toBe(
    'ranks 0 and 2 (last in barrier over world (step 0))',
  );
  expect(showAbsent(ledger, step)).toBe('the data to arrive: all its ranks have called it');
});
