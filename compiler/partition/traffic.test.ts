import { expect, test } from 'vitest';
import type { Mesh, PendingCombiner, Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from './change.ts';
import { applyChange, divides, isFault } from './change.ts';
import type { Block } from './testing.ts';
import {
  allChanges,
  allPlacements,
  carryOut,
  counting,
  distribute,
  holds,
  meshOf,
  placed,
  smallIntegers,
} from './testing.ts';
import { secondsOf, showTraffic, trafficOf } from './traffic.ts';

interface Tried {
  readonly mesh: Mesh;
  readonly before: Placement;
  readonly change: PlacementChange;
  readonly after: Placement;
  readonly whole: Block;
}

/** Every change that is allowed on every placement of the shape. */
function everyStep(
  mesh: Mesh,
  shape: readonly number[],
  combiner: PendingCombiner = 'sum',
): readonly Tried[] {
  const axes = mesh.axes.map(({ name }) => name);
  const changes = allChanges(shape.length, axes);
  const whole = counting(shape);
  return allPlacements(shape.length, axes)
    .map(({ dims, pending }) => ({
      dims,
      pending: new Map([...pending.keys()].map((axis) => [axis, combiner])),
    }))
    .filter((before) => divides(shape, before, mesh))
    .flatMap((before) =>
      changes.flatMap((change) => {
        const after = applyChange(before, change, mesh);
        return isFault(after) || !divides(shape, after, mesh) ? [] : [{ mesh, before, change, after, whole }];
      }),
    );
}

const steps = [
  ...everyStep(meshOf({ a: 2, b: 2 }), [4, 8]),
  ...everyStep(meshOf({ a: 2, b: 2 }), [4], 'max'),
  ...everyStep(meshOf({ a: 2, b: 3 }), [6, 6]),
  ...everyStep(meshOf({ a: 2, b: 3 }), [6, 0]),
  ...everyStep(meshOf({ a: 3, b: 2 }), [5, 7], 'min'),
  ...everyStep(meshOf({ a: 4, b: 2 }), [8, 8]),
  ...everyStep(meshOf({ a: 1, b: 3 }), [3, 6]),
  ...everyStep(meshOf({ a: 2, b: 2, c: 2 }), [8, 8]),
];

function run({ mesh, before, whole }: Tried, change: PlacementChange): ReturnType<typeof carryOut> {
  return carryOut(distribute(whole, before, mesh, smallIntegers()), before, change, mesh);
}

test('every allowed change, carried out by messages, leaves the tensor as its placement says', () => {
  expect(steps.length).toBeGreaterThan(3000);
  expect(new Set(steps.map(({ change }) => change.kind)).size).toBe(8);
  const wrong = steps.filter(({ change, after, whole, mesh, ...step }) => {
    const { blocks } = run({ change, after, whole, mesh, ...step }, change);
    return !holds(blocks, whole, after, mesh);
  });
  expect(wrong).toEqual([]);
});

test('the messages counted are the traffic predicted', () => {
  const wrong = steps.flatMap((step) => {
    const { change, before, mesh, whole } = step;
    const { sent, received, rounds } = run(step, change).counted;
    const traffic = trafficOf(change, { shape: whole.shape, placement: before, elementBytes: 1 }, mesh);
    const busiest = [Math.max(...sent), Math.max(...received)];
    // Where a block is not of as many elements as devices, no device may miss the smallest chunk twice.
    const slack = change.kind === 'all_reduce' ? 1 : 0;
    const isRight =
      rounds === traffic.rounds &&
      busiest.every((bytes) => bytes <= traffic.bytes && bytes >= traffic.bytes - slack);
    return isRight ? [] : [{ change, before, busiest, rounds, traffic }];
  });
  expect(wrong).toEqual([]);
});

test('traffic is what the formulas say', () => {
  const mesh = meshOf({ a: 4, b: 2 });
  const of = (change: PlacementChange, placement: Placement, shape = [16, 8]): number =>
    trafficOf(change, { shape, placement, elementBytes: 2 }, mesh).bytes;
  expect(of({ kind: 'all_gather', axes: ['a'] }, placed(['a', '']))).toBe(3 * 64);
  expect(of({ kind: 'reduce_scatter', axes: ['a'], dim: 0 }, placed(['', ''], { a: 'sum' }))).toBe(192);
  expect(of({ kind: 'all_reduce', axes: ['a'] }, placed(['', ''], { a: 'sum' }))).toBe(2 * 192);
  expect(of({ kind: 'all_reduce', axes: ['a'] }, placed([], { a: 'sum' }), [])).toBe(2 * 2);
  expect(of({ kind: 'all_to_all', axes: ['a', 'b'], from: 0, to: 1 }, placed(['a b', '']))).toBe(28);
  expect(of({ kind: 'broadcast', axes: ['b'] }, placed(['a', '']))).toBe(64);
  expect(of({ kind: 'permute', to: placed(['b a', '']) }, placed(['a b', '']))).toBe(32);
  expect(of({ kind: 'slice', axes: ['b'], dim: 0 }, placed(['a', '']))).toBe(0);
});

test('a list of axes is as slow as its slowest link', () => {
  const links = new Map([
    ['node', { bytesPerSecond: 10, latencySeconds: 3 }],
    ['gpu', { bytesPerSecond: 100, latencySeconds: 1 }],
  ]);
  expect(secondsOf({ axes: ['node', 'gpu'], bytes: 200, rounds: 4 }, links)).toBe(4 * 3 + 20);
  expect(secondsOf({ axes: ['gpu'], bytes: 200, rounds: 4 }, links)).toBe(4 + 2);
  expect(secondsOf({ axes: [], bytes: 0, rounds: 0 }, links)).toBe(0);
});

test.each<[PlacementChange, readonly string[], string]>([
  [{ kind: 'all_reduce', axes: ['tp'] }, ['T', 'D'], '2(tp−1)/tp · 2·T·D bytes'],
  [{ kind: 'all_reduce', axes: ['node', 'gpu'] }, [], '2(node·gpu−1)/(node·gpu) · 2 bytes'],
  [{ kind: 'reduce_scatter', axes: ['tp'], dim: 0 }, ['T', 'D'], '(tp−1)/tp · 2·T·D bytes'],
  [{ kind: 'all_gather', axes: ['tp'] }, ['T/tp', '2 * F + 1'], '(tp−1) · 2·T/tp·(2·F + 1) bytes'],
  [{ kind: 'all_to_all', axes: ['sp'], from: 0, to: 1 }, ['S/sp', 'H'], '(sp−1)/sp · 2·S/sp·H bytes'],
  [{ kind: 'permute', to: placed(['a']) }, ['S'], '2·S bytes'],
  [{ kind: 'broadcast', axes: ['dp'] }, ['S'], '2·S bytes'],
  [{ kind: 'slice', axes: ['tp'], dim: 0 }, ['S'], 'no bytes'],
  [{ kind: 'all_gather', axes: [] }, ['S'], 'no bytes'],
])('%j is shown', (change, dims, text) => {
  expect(showTraffic(change, dims, 2)).toBe(text);
});

/** Each does to the data something that the change does not say. */
const mutants: Readonly<Record<string, (step: Tried) => PlacementChange | undefined>> = {
  'digits in another order'({ change }) {
    const ordered = ['all_gather', 'all_to_all', 'reduce_scatter', 'slice'];
    if (change.kind === 'permute' || !ordered.includes(change.kind)) return undefined;
    return { ...change, axes: change.axes.toReversed() };
  },
  'the major end instead of the minor one'({ change, before }) {
    if (change.kind !== 'all_to_all') return undefined;
    return { ...change, axes: before.dims[change.from]!.slice(0, change.axes.length) };
  },
  'pending forgotten': ({ change }) =>
    change.kind === 'all_reduce' ? { ...change, axes: change.axes.slice(1) } : undefined,
  'blocks stay where they are': ({ change, before }) =>
    change.kind === 'permute' ? { kind: 'permute', to: before } : undefined,
  'no mask': ({ change }) => (change.kind === 'mask' ? { ...change, axes: [] } : undefined),
};

test.each(Object.entries(mutants))('seen by the simulation: %s', (_, mutate) => {
  const missed: object[] = [];
  let tried = 0;
  for (const step of steps) {
    const { mesh, before, change, after, whole } = step;
    // Nothing can be seen where there is nothing, and along axes of one device.
    if (whole.data.length === 0 || mesh.axes.some(({ size }) => size === 1)) continue;
    const mutant = mutate(step);
    if (mutant === undefined || JSON.stringify(mutant) === JSON.stringify(change)) continue;
    tried += 1;
    if (holds(run(step, mutant).blocks, whole, after, mesh)) missed.push({ before, change, mutant });
  }
  expect(tried).toBeGreaterThan(10);
  expect(missed).toEqual([]);
});
