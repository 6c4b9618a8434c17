import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Mesh, PendingCombiner, Placement } from '../../dsl/placement/placement.ts';
import { samePlacement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from './change.ts';
import { applyChange, divides, isFault } from './change.ts';
import type { ReshardFault, ReshardPlan, ReshardRequest } from './reshard.ts';
import { planReshard, reshardPlanner } from './reshard.ts';
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
import type { Links } from './traffic.ts';
import { localBytes, secondsOf, trafficOf } from './traffic.ts';

const elementBytes = 2;

interface Field {
  readonly name: string;
  readonly mesh: Mesh;
  readonly shape: readonly number[];
  readonly links?: Links;
}

const unequalLinks: Links = new Map([
  ['a', { bytesPerSecond: 1e9, latencySeconds: 1e-6 }],
  ['b', { bytesPerSecond: 1e10, latencySeconds: 1e-7 }],
]);
const equalLinks: Links = new Map([
  ['a', { bytesPerSecond: 1e9, latencySeconds: 1e-7 }],
  ['b', { bytesPerSecond: 1e9, latencySeconds: 1e-7 }],
]);

const fields: readonly Field[] = [
  { name: '2 × 2', mesh: meshOf({ a: 2, b: 2 }), shape: [4, 4] },
  { name: '2 × 2 of three dimensions', mesh: meshOf({ a: 2, b: 2 }), shape: [4, 2, 4] },
  { name: '2 × 3', mesh: meshOf({ a: 2, b: 3 }), shape: [6, 6] },
  { name: '2 × 3 where both do not divide', mesh: meshOf({ a: 2, b: 3 }), shape: [6, 2] },
  { name: '4 × 2', mesh: meshOf({ a: 4, b: 2 }), shape: [8, 8] },
  { name: '4 × 2 where both do not divide', mesh: meshOf({ a: 4, b: 2 }), shape: [4, 8] },
  { name: '4 × 2 in one dimension', mesh: meshOf({ a: 4, b: 2 }), shape: [4] },
  { name: '4 × 2, a slower than b', mesh: meshOf({ a: 4, b: 2 }), shape: [16, 16], links: unequalLinks },
  { name: '2 × 4, a slower than b', mesh: meshOf({ a: 2, b: 4 }), shape: [16, 16], links: unequalLinks },
  { name: '2 × 4 with latency', mesh: meshOf({ a: 2, b: 4 }), shape: [16, 16], links: equalLinks },
  { name: '1 × 3', mesh: meshOf({ a: 1, b: 3 }), shape: [3, 6] },
  { name: 'no elements', mesh: meshOf({ a: 2, b: 3 }), shape: [6, 0] },
  { name: '2 × 2 × 2', mesh: meshOf({ a: 2, b: 2, c: 2 }), shape: [8, 8] },
  { name: '2 × 2 × 2 where all do not divide', mesh: meshOf({ a: 2, b: 2, c: 2 }), shape: [4, 2] },
];

function isPlan(result: ReshardPlan | ReshardFault): result is ReshardPlan {
  return 'steps' in result;
}

function requests({ mesh, shape, links }: Field): readonly ReshardRequest[] {
  const all = allPlacements(
    shape.length,
    mesh.axes.map(({ name }) => name),
  ).filter((placement) => divides(shape, placement, mesh));
  return all.flatMap((from) =>
    all.map((to) => ({ from, to, shape, mesh, elementBytes, ...(links === undefined ? {} : { links }) })),
  );
}

interface Run {
  readonly end: Placement;
  readonly blocks: readonly Block[];
  /** Sent by the device that sent most, step by step. */
  readonly sentBytes: number;
  readonly peakBytes: number;
}

interface Planned {
  readonly request: ReshardRequest;
  readonly result: ReshardPlan | ReshardFault;
  readonly run: Run;
}

/** Carries out the steps one by one, by messages. */
function execute({ from, shape, mesh }: ReshardRequest, steps: readonly PlacementChange[]): Run {
  let end = from;
  let blocks: readonly Block[] = distribute(counting(shape), from, mesh, smallIntegers());
  const held = (): number => Math.max(...blocks.map(({ data }) => data.length)) * elementBytes;
  let sentBytes = 0;
  let peakBytes = held();
  for (const change of steps) {
    const after = applyChange(end, change, mesh);
    if (isFault(after)) throw new Error(after.message);
    const { blocks: moved, counted } = carryOut(blocks, end, change, mesh);
    sentBytes += Math.max(...counted.sent) * elementBytes;
    blocks = moved;
    end = after;
    peakBytes = Math.max(peakBytes, held());
  }
  return { end, blocks, sentBytes, peakBytes };
}

/** Without what a missing step does, a later one may be impossible. */
function executeAsFarAsPossible(request: ReshardRequest, steps: readonly PlacementChange[]): Run {
  let placement: Placement = request.from;
  const possible = steps.filter((change) => {
    const after = applyChange(placement, change, request.mesh);
    if (isFault(after)) return false;
    placement = after;
    return true;
  });
  return execute(request, possible);
}

/** The larger one of the blocks at the ends. */
function neededBytes({ from, to, shape, mesh }: ReshardRequest): number {
  return Math.max(...[from, to].map((placement) => localBytes({ shape, placement, elementBytes }, mesh)));
}

/** Gather all that is cut, combine all that is pending, and slice. */
function naiveSteps({ from, to }: ReshardRequest): readonly PlacementChange[] {
  const combined = [...from.pending.keys()].filter((axis) => !to.pending.has(axis));
  const masked = [...to.pending.keys()].filter((axis) => !from.pending.has(axis));
  return [
    { kind: 'all_reduce', axes: combined },
    ...from.dims.map((axes): PlacementChange => ({ kind: 'all_gather', axes })),
    { kind: 'mask', axes: masked },
    ...to.dims.map((axes, dim): PlacementChange => ({ kind: 'slice', axes, dim })),
  ];
}

/** What a device holds of it when all is gathered. */
function naivePeak({ from, shape, mesh }: ReshardRequest): number {
  const whole = from.dims.map((): readonly string[] => []);
  return localBytes({ shape, placement: { dims: whole, pending: from.pending }, elementBytes }, mesh);
}

function costOf(request: ReshardRequest, steps: readonly PlacementChange[]): number {
  const { shape, mesh, links } = request;
  let placement = request.from;
  let cost = 0;
  for (const change of steps) {
    const traffic = trafficOf(change, { shape, placement, elementBytes }, mesh);
    cost += links === undefined ? traffic.bytes : secondsOf(traffic, links);
    placement = applyChange(placement, change, mesh) as Placement;
  }
  return cost;
}

/** Equal up to the rounding of sums of seconds. */
function atMost(cost: number, other: number): boolean {
  return cost <= other * (1 + 1e-12);
}

// ── the best there is, by trying every change on every placement ───────────────────────────────────────────

interface Edge {
  readonly from: number;
  readonly to: number;
  readonly cost: number;
}

interface Everything {
  readonly keys: readonly string[];
  readonly sizes: readonly number[];
  readonly edges: readonly Edge[];
}

function keyOf({ dims, pending }: Placement): string {
  return JSON.stringify([dims, [...pending]]);
}

function everything({ mesh, shape, links }: Field): Everything {
  const axes = mesh.axes.map(({ name }) => name);
  const all = allPlacements(shape.length, axes).filter((placement) => divides(shape, placement, mesh));
  const keys = all.map(keyOf);
  const numbers = new Map(keys.map((key, number) => [key, number]));
  const changes = allChanges(shape.length, axes);
  const edges = all.flatMap((placement, from) =>
    changes.flatMap((change): readonly Edge[] => {
      const after = applyChange(placement, change, mesh);
      const to = isFault(after) ? undefined : numbers.get(keyOf(after));
      if (to === undefined) return [];
      const traffic = trafficOf(change, { shape, placement, elementBytes }, mesh);
      return [{ from, to, cost: links === undefined ? traffic.bytes : secondsOf(traffic, links) }];
    }),
  );
  const sizes = all.map((placement) => localBytes({ shape, placement, elementBytes }, mesh));
  return { keys, sizes, edges };
}

/** The least cost to every placement, by Bellman and Ford, holding at most so many bytes. */
function leastCosts(
  { keys, sizes, edges }: Everything,
  start: Placement,
  bound: number,
): Map<string, number> {
  const costs = keys.map(() => Infinity);
  costs[keys.indexOf(keyOf(start))] = 0;
  const allowed = edges.filter(({ from, to }) => sizes[from]! <= bound && sizes[to]! <= bound);
  for (let changed = true; changed; ) {
    changed = false;
    for (const { from, to, cost } of allowed)
      if (costs[from]! + cost < costs[to]!) {
        costs[to] = costs[from]! + cost;
        changed = true;
      }
  }
  return new Map(keys.map((key, number) => [key, costs[number]!]));
}

function plansOf(field: Field): readonly Planned[] {
  return requests(field).map((request) => {
    const result = planReshard(request);
    return { request, result, run: execute(request, isPlan(result) ? result.steps : []) };
  });
}

describe.each(fields)('$name', (field) => {
  const { mesh, shape } = field;
  let remembered: readonly Planned[] | undefined;
  const planned = (): readonly Planned[] => (remembered ??= plansOf(field));

  test('there is a plan, and carried out it is the identity', () => {
    const wrong = planned().filter(
      ({ request, result, run: { end, blocks } }) =>
        !isPlan(result) ||
        !samePlacement(end, request.to) ||
        !holds(blocks, counting(shape), request.to, mesh),
    );
    expect(wrong).toEqual([]);
  });

  test('its bytes are those counted, and no more than gathering all sends', () => {
    const wrong = planned().filter(({ request, result, run: { sentBytes, peakBytes } }) => {
      if (!isPlan(result)) return true;
      // An all-reduce of a block that is not of as many elements as devices may send one element less.
      const slack = elementBytes * result.steps.filter(({ kind }) => kind === 'all_reduce').length;
      const isCounted = sentBytes <= result.bytes && sentBytes >= result.bytes - slack;
      const naive = naiveSteps(request);
      // Less memory may cost time, if a slow link has to be used instead of a fast one; never more bytes.
      const mayCompare = field.links === undefined || naivePeak(request) <= neededBytes(request);
      const isCheap = !mayCompare || atMost(costOf(request, result.steps), costOf(request, naive));
      return !isCounted || !isCheap || peakBytes !== result.peakBytes;
    });
    expect(wrong).toEqual([]);
  });

  test('no plan within its memory costs less, and no less memory is enough', () => {
    const all = everything(field);
    const known = new Map<string, Map<string, number>>();
    const least = (start: Placement, bound: number): Map<string, number> => {
      const key = `${keyOf(start)} ${bound}`;
      const costs = known.get(key) ?? leastCosts(all, start, bound);
      known.set(key, costs);
      return costs;
    };
    const wrong = planned().filter(({ request, result }) => {
      if (!isPlan(result)) return true;
      const needed = neededBytes(request);
      const bound = Math.max(needed, result.peakBytes);
      const best = least(request.from, bound).get(keyOf(request.to))!;
      const cost = costOf(request, result.steps);
      const isBest = atMost(cost, best) && atMost(best, cost);
      const isTight = bound === needed || least(request.from, bound - 1).get(keyOf(request.to)) === Infinity;
      return !isBest || !isTight;
    });
    expect(wrong).toEqual([]);
  });
});

test('a plan without one of its steps, and one that gathers all, are seen', () => {
  const field = fields.find(({ name }) => name === '4 × 2')!;
  const all = everything(field);
  let dearer = 0;
  for (const { request, result } of plansOf(field)) {
    const steps = isPlan(result) ? result.steps : [];
    for (const [place, { kind }] of steps.entries()) {
      // A slice may only save traffic: without it, and the gathering that it asks for, there is still a plan.
      if (kind === 'slice') continue;
      const shorter = steps.toSpliced(place, 1);
      const { blocks } = executeAsFarAsPossible(request, shorter);
      expect(holds(blocks, counting(field.shape), request.to, field.mesh)).toBe(false);
    }
    const best = leastCosts(all, request.from, neededBytes(request)).get(keyOf(request.to))!;
    if (costOf(request, naiveSteps(request)) > best) dearer += 1;
  }
  expect(dearer).toBeGreaterThan(100);
});

// ── single requests ────────────────────────────────────────────────────────────────────────────────────────

const mesh = meshOf({ a: 2, b: 2, c: 3 });

function resharding(from: Placement, to: Placement, shape: readonly number[]): ReshardRequest {
  return { from, to, shape, mesh, elementBytes };
}

function stepsOf(request: ReshardRequest): readonly PlacementChange[] {
  const result = planReshard(request);
  return isPlan(result) ? result.steps : [];
}

test('known plans', () => {
  const steps = (from: Placement, to: Placement, shape: readonly number[]): readonly PlacementChange[] =>
    stepsOf(resharding(from, to, shape));
  expect(steps(placed(['a', '']), placed(['a', '']), [8, 8])).toEqual([]);
  expect(steps(placed(['a', '']), placed(['', 'a']), [8, 8])).toEqual([
    { kind: 'all_to_all', axes: ['a'], from: 0, to: 1 },
  ]);
  expect(steps(placed(['']), placed(['a b']), [8])).toEqual([{ kind: 'slice', axes: ['a', 'b'], dim: 0 }]);
  expect(steps(placed(['a b']), placed(['b a']), [8])).toEqual([{ kind: 'permute', to: placed(['b a']) }]);
  expect(steps(placed(['']), placed([''], { a: 'sum', c: 'sum' }), [8])).toEqual([
    { kind: 'mask', axes: ['a', 'c'] },
  ]);
  expect(steps(placed(['a b', ''], { c: 'sum' }), placed(['a b', 'c']), [4, 6])).toEqual([
    { kind: 'reduce_scatter', axes: ['c'], dim: 1 },
  ]);
});

test('a sum that copies hold is combined in parts, and then gathered', () => {
  const large = meshOf({ a: 8, b: 8 });
  const request = { ...resharding(placed([''], { a: 'sum' }), placed(['']), [640]), mesh: large };
  expect(stepsOf(request).map(({ kind }) => kind)).toEqual(['slice', 'reduce_scatter', 'all_gather']);
});

test('a maximum is combined like a sum', () => {
  const request = resharding(placed(['', ''], { a: 'max' }), placed(['a', '']), [4, 4]);
  const steps = stepsOf(request);
  expect(steps.map(({ kind }) => kind)).toContain('reduce_scatter');
  expect(holds(execute(request, steps).blocks, counting([4, 4]), request.to, mesh)).toBe(true);
});

test('seconds follow the links', () => {
  const request = resharding(placed(['a', '']), placed(['', 'a']), [8, 8]);
  const links: Links = new Map([['a', { bytesPerSecond: 32, latencySeconds: 0.5 }]]);
  expect(planReshard({ ...request, links })).toMatchObject({ seconds: 1.5, bytes: 32, peakBytes: 64 });
});

test('a plan within more memory may cost less, and less memory is a fault', () => {
  const request = resharding(placed(['a', 'b']), placed(['b', 'a']), [4, 4]);
  const limited = (memoryLimit: number): ReshardPlan | ReshardFault =>
    planReshard({ ...request, memoryLimit });
  expect(limited(8)).toMatchObject({ peakBytes: 8 });
  expect(limited(7)).toEqual({
    fault: 'needs more memory',
    message: 'a block of 8 bytes at an end is more than the limit of 7 bytes',
  });
  const narrow = { ...resharding(placed(['a']), placed(['c']), [6]), memoryLimit: 6 };
  expect(planReshard(narrow)).toMatchObject({ peakBytes: 6 });
  const indivisible: ReshardRequest = {
    ...resharding(placed(['a']), placed(['b']), [4]),
    mesh: meshOf({ a: 2, b: 4 }),
  };
  expect(planReshard(indivisible)).toMatchObject({ peakBytes: 8 });
  expect(planReshard({ ...indivisible, memoryLimit: 4 })).toEqual({
    fault: 'needs more memory',
    message: 'no plan holds at most 4 bytes; the next larger block is of 8',
  });
});

test.each<[Placement, Placement, readonly number[], string]>([
  [placed(['c', '']), placed(['', 'c']), [6, 8], 'dimension 1 of size 8 does not divide into 3 blocks @c'],
  [placed(['a b']), placed(['']), [6], 'dimension 0 of size 6 does not divide into 4 blocks @(a, b)'],
  [placed(['a']), placed(['', 'a']), [6], 'a shape of 1 dimensions is placed in 2'],
  [placed(['a a']), placed(['']), [8], 'a occurs twice in a placement'],
  [placed(['a'], { a: 'sum' }), placed(['']), [8], 'a occurs twice in a placement'],
  [placed(['']), placed([''], { a: 'max' }), [8], 'no step makes a value pending {max a}'],
  [
    placed([''], { a: 'sum', b: 'max' }),
    placed([''], { a: 'sum' }),
    [8],
    'no steps lead from {+a, max b} to {+a}',
  ],
  [
    placed([''], { b: 'max' }),
    placed([''], { a: 'sum', b: 'max' }),
    [8],
    'no steps lead from {max b} to {+a, max b}',
  ],
])('%j to %j is refused', (from, to, shape, why) => {
  expect(planReshard(resharding(from, to, shape))).toMatchObject({ message: why });
});

test('what is pending for several combiners can move', () => {
  const pending = { a: 'sum', b: 'max' } as const;
  const request = resharding(placed(['c', ''], pending), placed(['', 'c'], pending), [6, 6]);
  expect(stepsOf(request)).toEqual([{ kind: 'all_to_all', axes: ['c'], from: 0, to: 1 }]);
});

test('equal requests have equal plans, remembered or not', () => {
  const shape = [8, 8];
  const field = { name: '', mesh: meshOf({ a: 2, b: 2 }), shape };
  const planner = reshardPlanner(field.mesh);
  for (const request of requests(field)) {
    const plan = planReshard(request);
    expect(planner(request)).toEqual(plan);
    expect(planner(request)).toBe(planner(request));
  }
});

/** Placements over more axes than the mesh has, ill-formed ones too, with every mixture of combiners. */
const anyPlacement: fc.Arbitrary<Placement> = fc
  .tuple(
    fc.array(fc.subarray(['a', 'b', 'c', 'd']), { minLength: 1, maxLength: 3 }),
    fc.dictionary(
      fc.constantFrom('a', 'b', 'c', 'd'),
      fc.constantFrom<PendingCombiner>('sum', 'max', 'min'),
      {
        maxKeys: 2,
      },
    ),
    fc.boolean(),
  )
  .map(([dims, pending, isWellFormed]) => {
    const placement = placed(
      dims.map((list) => list.join(' ')),
      pending,
    );
    if (!isWellFormed) return placement;
    const seen = new Set(placement.pending.keys());
    const fresh = (axis: string): boolean => !seen.has(axis) && seen.add(axis).size > 0;
    return { ...placement, dims: placement.dims.map((list) => list.filter(fresh)) };
  });

test('any request has a plan that leads to its end, or a fault', () => {
  const covered = new Set<string>();
  const size = fc.constantFrom(0, 1, 2, 6, 8, 24);
  fc.assert(
    fc.property(
      anyPlacement,
      anyPlacement,
      fc.array(size, { minLength: 1, maxLength: 3 }),
      fc.option(fc.nat(200), { nil: undefined }),
      (from, to, shape, memoryLimit) => {
        const request = resharding(from, to, shape);
        const result = planReshard(memoryLimit === undefined ? request : { ...request, memoryLimit });
        covered.add(isPlan(result) ? 'plan' : result.fault);
        if (!isPlan(result)) return result.message.length > 0;
        let end: Placement | undefined = from;
        for (const change of result.steps) {
          const after = applyChange(end, change, mesh);
          if (isFault(after)) return false;
          end = after;
        }
        return samePlacement(end, to) && result.peakBytes <= (memoryLimit ?? Infinity);
      },
    ),
    { numRuns: 5000 },
  );
  const wanted = ['plan', 'axis occurs twice', 'different combiners', 'no such dimension', 'does not divide'];
  for (const what of [...wanted, 'no such pending value', 'needs more memory'])
    expect(covered).toContain(what);
});
