/** Slots of experts, what is dropped and what comes back, against loops written out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { solveEntrySizes } from '../../compiler/lower/entry.ts';
import { lowerEntry } from '../../compiler/lower/lower-entry.ts';
import {
  at,
  checkText,
  evaluateForTest,
  expectClose,
  range,
  sum,
  type TestTensor,
  type TestTensors,
  tabulate,
  testNumbers,
} from '../../compiler/lower/testing.ts';
import type { TypedProgram } from '../../dsl/types/typed.ts';
import { gatedNetwork, matrixOf, rowOf } from './plain.ts';

/** The library as a program, so that it can be changed too. */
const program = readFileSync(join(import.meta.dirname, '../../stdlib/dispatch.ricci'), 'utf8').replace(
  /^module dispatch$/m,
  '',
);

const [E, K, D, F] = [3, 2, 2, 3];

/** By its text: checked once, run often. */
const checked = new Map<string, TypedProgram>();

function runEntry(text: string, entry: string, inputs: TestTensors, own: Readonly<Record<string, number>>) {
  const typed = checked.get(text) ?? checkText(text);
  checked.set(text, typed);
  const shapes = new Map(Object.entries(inputs).map(([path, { shape }]) => [path, shape]));
  const solved = solveEntrySizes(typed, entry, shapes, new Map(Object.entries(own)));
  if (solved.kind === 'rejected') throw new Error(solved.diagnostics.map(({ message }) => message).join());
  const lowered = lowerEntry(typed, entry, { sizes: solved.sizes, inputDtypes: new Map() });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join());
  return evaluateForTest(lowered.graph, inputs);
}

/** For each pick, how many tokens before its own in the group picked the same expert. */
function plainSlots(pick: TestTensor): TestTensor {
  const picks = (t: number, e: number) => range(K).some((k) => at(pick, t, k) === e);
  return tabulate(pick.shape, (t, k) => range(t).filter((u) => picks(u, at(pick, t, k))).length);
}

function plainFill(x: TestTensor, pick: TestTensor, slots: number): TestTensor {
  const [tokens = 0] = pick.shape;
  return tabulate([E, slots, D], (e, c, d) => {
    const own = range(tokens).filter((t) => range(K).some((k) => at(pick, t, k) === e));
    return c < own.length ? at(x, own[c]!, d) : 0;
  });
}

const weights = {
  'experts.gate': testNumbers([E, F, D], 4),
  'experts.up': testNumbers([E, F, D], 5),
  'experts.down': testNumbers([E, D, F], 6),
};

/** Groups of tokens one after another; a pick without a slot adds nothing. */
function plainMixture(x: TestTensor, weight: TestTensor, pick: TestTensor, groups: number, slots: number) {
  const [tokens = 0] = pick.shape;
  const size = tokens / groups;
  const slotOf = range(groups).map((s) =>
    plainSlots(tabulate([size, K], (t, k) => at(pick, s * size + t, k))),
  );
  const hasSlot = (t: number, k: number) => at(slotOf[Math.floor(t / size)]!, t % size, k) < slots;
  const out = range(tokens).map((t) => {
    const made = range(K).map((k) => {
      const [gate, up, down] = Object.values(weights).map((tensor) => matrixOf(tensor, at(pick, t, k)));
      return gatedNetwork(rowOf(x, t), gate!, up!, down!);
    });
    return range(D).map((d) => sum(K, (k) => (hasSlot(t, k) ? at(weight, t, k) * made[k]![d]! : 0)));
  });
  return {
    out: tabulate([tokens, D], (t, d) => out[t]![d]!),
    dropped: tabulate([groups], (s) =>
      sum(size, (t) => range(K).filter((k) => !hasSlot(s * size + t, k)).length),
    ),
  };
}

interface Case {
  readonly pick: TestTensor;
  readonly x: TestTensor;
  readonly weight: TestTensor;
}

function caseOf(tokens: number, picks: readonly number[]): Case {
  return {
    pick: tabulate([tokens, K], (t, k) => picks[t * K + k]!),
    x: testNumbers([tokens, D], 1),
    weight: testNumbers([tokens, K], 2),
  };
}

/** Any picks, the same one twice too; often all of one expert. */
const cases = fc
  .tuple(fc.integer({ min: 1, max: 7 }), fc.integer({ min: 1, max: E }))
  .chain(([tokens, most]) =>
    fc
      .array(fc.integer({ min: E - most, max: E - 1 }), { minLength: tokens * K, maxLength: tokens * K })
      .map((picks) => caseOf(tokens, picks)),
  );

function expectSlots(text: string, { pick, x }: Case, count: number): void {
  const sizes = { C: count, E };
  const slots = plainSlots(pick);
  const none = slots.data.filter((slot) => slot >= count).length;
  expectClose(runEntry(text, 'slots', { pick }, { E }).out, slots);
  expectClose(runEntry(text, 'fill', { x, pick }, sizes).out, plainFill(x, pick, count));
  expectClose(runEntry(text, 'dropped', { pick }, sizes).out, { shape: [], data: [none] });
}

test('slots, their rows and what is dropped', () => {
  fc.assert(
    fc.property(cases, fc.integer({ min: 0, max: 7 }), (tested, most) => {
      expectSlots(program, tested, Math.min(most, tested.pick.shape[0]!));
    }),
    { numRuns: 40 },
  );
});

function expectMixture(text: string, { pick, weight, x }: Case, groups: number, slots: number): void {
  const found = runEntry(text, 'capacity', { x, weight, pick, ...weights }, { S: groups, C: slots, E });
  const { dropped, out } = plainMixture(x, weight, pick, groups, slots);
  expectClose(found['out.0'], out, 1e-6);
  expectClose(found['out.1'], dropped);
}

test('a mixture in groups with few slots', () => {
  fc.assert(
    fc.property(
      cases,
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 7 }),
      (one, groups, most) => {
        const tokens = one.pick.shape[0]! * groups;
        const picks = range(tokens * K).map((n) => (one.pick.data[n % one.pick.data.length]! + n * most) % E);
        expectMixture(program, caseOf(tokens, picks), groups, Math.min(most, tokens / groups));
      },
    ),
    { numRuns: 30 },
  );
});

test.each(['dropless', 'gathered'])('%s: as if every expert were everywhere', (entry) => {
  fc.assert(
    fc.property(cases, ({ pick, weight, x }) => {
      const found = runEntry(program, entry, { x, weight, pick, ...weights }, { E });
      expectClose(found.out, plainMixture(x, weight, pick, 1, 99).out, 1e-6);
    }),
    { numRuns: 20 },
  );
});

describe('what is wrong is seen', () => {
  const skewed = caseOf(4, [0, 1, 0, 2, 0, 0, 1, 0]);

  test('not before it is changed', () => {
    expectSlots(program, skewed, 3);
    expectMixture(program, skewed, 2, 1);
  });

  test.each([
    ['a slot too far', 'so_far[pick[t, k], t] - 1', 'so_far[pick[t, k], t]'],
    ['slots that forget other tokens', 'cumsum(choice[e])', 'choice[e]'],
    ['rows in empty slots', 'if used[e, c] == 1 then x[token[e, c], d] else 0', 'x[token[e, c], d]'],
    ['one slot more', 'if slot[t, k] < C then 0', 'if slot[t, k] <= C then 0'],
  ])('%s', (_, from, to) => {
    expect(program).toContain(from);
    expect(() => expectSlots(program.replace(from, to), skewed, 3)).toThrow();
  });

  test.each([
    ['what another expert made', 'y[pick[t, k], c, d]', 'y[pick[t, K - 1 - k], c, d]'],
    [
      'what is in another slot',
      'made[s, e, c] = moe.ffn(here[s, e, c],',
      'made[s, e, c < C] = moe.ffn(here[s, e, C - 1 - c],',
    ],
  ])('%s', (_, from, to) => {
    expect(program).toContain(from);
    expectMixture(program, skewed, 2, 2);
    expect(() => expectMixture(program.replace(from, to), skewed, 2, 2)).toThrow(/^element/);
  });
});
