import { describe, expect, test } from 'vitest';
import {
  type AxisList,
  devicesAlong,
  type Mesh,
  type Placement,
  showList,
  showPending,
} from '../../dsl/placement/placement.ts';
import type { Graph, Node, Scalar, Tensor } from '../graph/graph.ts';
import { apply, integer, iterator, load } from '../graph/scalar.ts';
import { allNodes, allTensors } from '../graph/uses.ts';
import { describeNode } from '../graph/well-formed.ts';
import { lowerText, type TestTensors, testNumbers } from '../lower/testing.ts';
import { optimize } from '../optimize/passes.ts';
import { localize } from './localize.ts';
import { place } from './place.ts';

const mesh: Mesh = {
  axes: [
    { name: 'a', size: 2 },
    { name: 'b', size: 3 },
  ],
};

/** `a, -, b a {+c}`: a list for each dimension, and what is pending. */
function placementFrom(text: string): Placement {
  const [dims = '', pending = ''] = text.split('{');
  const lists = dims.trim() === '' ? [] : dims.split(',').map((list) => list.trim().split(' '));
  const entries = pending
    .replace('}', '')
    .split(',')
    .map((entry) => entry.trim());
  return {
    dims: lists.map((list) => list.filter((axis) => axis !== '-')),
    pending: new Map(
      entries.flatMap((entry) =>
        entry === ''
          ? []
          : [entry.startsWith('+') ? [entry.slice(1), 'sum' as const] : [entry.slice(4), 'max' as const]],
      ),
    ),
  };
}

function shownPlacement({ dims, pending }: Placement): string {
  return `[${dims.map((list) => showList(list) || '-').join(', ')}]${showPending(pending)}`;
}

function placementsFrom(texts: Readonly<Record<string, string>>): ReadonlyMap<string, Placement> {
  return new Map(Object.entries(texts).map(([path, text]) => [path, placementFrom(text)]));
}

function placed(graph: Graph, inputs: Readonly<Record<string, string>>, out?: string) {
  const outputs = placementsFrom(out === undefined ? {} : { out });
  return place(graph, { mesh, inputs: placementsFrom(inputs), outputs });
}

const inputs: TestTensors = { x: testNumbers([12, 6]), y: testNumbers([12, 6]), w: testNumbers([6, 12]) };
const signature = 'mesh (a, b)\nexport auto fn f(x: f32[S, D], y: f32[S, D], w: f32[D, S])';

function lowered(result: string, body: string): Graph {
  return lowerText(`${signature} -> ${result} where 8 <= S, 1 <= D = ${body}`, 'f', inputs);
}

describe('where results live', () => {
  test.each([
    // A variable takes the longest list that stands on it.
    ['f32[S, D]', 'for s, d: x[s, d] + y[s, d]', { x: 'a b, -', y: 'a, -' }, '[@(a, b), -]'],
    ['f32[D, S]', 'for d, s: x[s, d]', { x: 'a, b' }, '[@b, @a]'],
    // A reduced variable leaves its axes to be combined.
    ['f32[S, S]', 'for s, t: sum d: x[s, d] * w[d, t]', { x: 'a, b' }, '[@a, -]{+b}'],
    ['f32[S]', 'for s: max d: x[s, d]', { x: 'a, b' }, '[@a]{max b}'],
    ['f32', 'mean s, d: x[s, d]', { x: 'a, b' }, '[]{+a, +b}'],
    // What is pending goes through what is linear.
    ['f32[S, D]', 'for s, d: 2 * x[s, d] - y[s, d]', { x: '-, - {+a}', y: '-, b' }, '[-, @b]{+a}'],
    ['f32[S, D]', 'for s, d: exp(x[s, d])', { x: '-, - {max a}' }, '[-, -]{max a}'],
    ['f32[S, D]', 'for s, d: max(x[s, d], y[s, d])', { x: '-, - {max a}' }, '[-, -]{max a}'],
    // Parts of a dimension.
    ['f32[S * D]', 'for (s, d): x[s, d]', { x: 'a b, -' }, '[@(a, b)]'],
    ['f32[S * D]', 'for (s, d): x[s, d] + y[s, d]', { x: 'a, -', y: '-, -' }, '[@a]'],
    // What is not known to be local is looked up where it is.
    ['f32[3, D]', 'for t < 3, d: x[2 * t + 1, d]', { x: 'a, b' }, '[-, @b]{+a}'],
  ])('%s = %s', (result, body, given, wanted) => {
    const graph = lowered(result, body);
    const found = placed(graph, given);
    if (found.kind === 'misplaced') throw new Error(JSON.stringify(found.faults));
    expect(shownPlacement(found.placed.outputs.get('out')!)).toBe(wanted);
  });
});

describe('faults', () => {
  test.each([
    ['placements are well-formed', 'f32[S, D]', 'x', { x: 'a, a' }, undefined, ['a']],
    ['placements are well-formed', 'f32[S, D]', 'x', { x: '-' }, undefined, []],
    [
      'placements are well-formed',
      'f32[S]',
      'for s: x[s, 0]',
      { x: '-, - {+a, max b}' },
      undefined,
      ['a', 'b'],
    ],
    ['lists agree', 'f32[S, D]', 'for s, d: x[s, d] + y[s, d]', { x: 'a, -', y: 'b, -' }, undefined, ['b']],
    [
      'axes are disjoint',
      'f32[S, S]',
      'for s, t: sum d: x[s, d] * w[d, t]',
      { x: 'a, -', w: '-, a' },
      undefined,
      ['a'],
    ],
    [
      'axes are disjoint',
      'f32[S, D]',
      'for s, d: x[s, d] + y[s, d]',
      { x: 'a, -', y: '-, - {+a}' },
      undefined,
      ['a'],
    ],
    ['variables are whole', 'f32[S]', 'for s: prod d: x[s, d]', { x: '-, b' }, undefined, ['b']],
    ['variables are whole', 'ix(D)[S]', 'for s: argmax d: x[s, d]', { x: '-, b' }, undefined, ['b']],
    ['variables are whole', 'f32[S, D]', 'for s: cumsum(x[s])', { x: '-, b' }, undefined, ['b']],
    [
      'pending values are used linearly',
      'f32[S, D]',
      'for s, d: exp(x[s, d])',
      { x: '-, - {+a}' },
      undefined,
      ['a'],
    ],
    [
      'pending values are used linearly',
      'f32[S]',
      'for s: max d: x[s, d]',
      { x: '-, - {+a}' },
      undefined,
      ['a'],
    ],
    ['collectives fit', 'f32[S, D]', 'all_gather(x, a)', { x: 'a b, -' }, undefined, ['a']],
    ['collectives fit', 'f32[S, D]', 'all_reduce(x, a)', { x: 'a, -' }, undefined, ['a']],
    ['collectives fit', 'f32[S, D]', 'all_to_all(x, b, S -> D)', { x: 'a, b' }, undefined, ['b']],
    [
      'placements are well-formed',
      'f32[S, D]',
      'all_to_all(x, (a, b), S -> D)',
      { x: 'a b, a' },
      undefined,
      ['a'],
    ],
    ['outputs are as declared', 'f32[S, D]', 'x', { x: 'a, -' }, '-, -', ['a']],
    [
      'states stay where they are',
      'f32[S, D]',
      'fold i < 3 from h = x: all_to_all(h, a, S -> D)',
      { x: 'a, -' },
      undefined,
      ['a'],
    ],
  ] as const)('%s: %s = %s', (rule, result, body, given, out, axes) => {
    const found = placed(lowered(result, body), given, out);
    if (found.kind === 'placed') throw new Error('it was accepted');
    const [fault] = found.faults;
    expect(fault?.rule).toBe(rule);
    expect(fault?.axes).toEqual(axes);
  });

  test('every fault is found, and none that follows from another', () => {
    const graph = lowered(
      '(f32[S, D], f32[S, D])',
      '{\n  let p = for s, d: exp(x[s, d])\n  let q = for s, d: y[s, d] * y[s, d]\n  (for s, d: exp(p[s, d]), q)\n}',
    );
    const found = placed(graph, { x: '-, - {+a}', y: '-, - {+b}' });
    const faults = found.kind === 'misplaced' ? found.faults : [];
    expect(faults.map(({ node, axes }) => [node && describeNode(node).split('%')[0], axes])).toEqual([
      ['compute p', ['a']],
      ['compute q', ['b']],
    ]);
  });
});

// ── parts of a dimension ───────────────────────────────────────────────────────────────────────────────────

const extents = [1, 2, 3, 4, 6, 12];
const lists: readonly AxisList[] = [[], ['a'], ['b'], ['a', 'b'], ['b', 'a'], ['c'], ['c', 'b', 'a']];
const cube: Mesh = { axes: [...mesh.axes, { name: 'c', size: 2 }] };

/** A map that reads `x` so, with the list of each of the dimensions of `x`; how its result lives. */
function readThrough(
  shape: readonly number[],
  dims: readonly AxisList[],
  result: readonly number[],
  subscripts: readonly Scalar[],
): string | undefined {
  const x: Tensor = { id: 0, name: 'x', dtype: 'f32', shape };
  const y: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: result };
  const node: Node = {
    kind: 'compute',
    result: y,
    body: load(x, subscripts),
    reduce: undefined,
    grouped: undefined,
  };
  const graph: Graph = {
    name: 'g',
    inputs: [{ path: 'x', tensor: x }],
    nodes: [node],
    outputs: [{ path: 'out', tensor: 1 }],
  };
  const found = place(graph, {
    mesh: cube,
    inputs: new Map([['x', { dims, pending: new Map() }]]),
    outputs: new Map(),
  });
  return found.kind === 'placed' ? shownPlacement(found.placed.outputs.get('out')!) : undefined;
}

function fits(extent: number, list: AxisList): boolean {
  return extent % devicesAlong(cube, list) === 0;
}

test('a dimension taken apart: the major part takes what divides it, the minor one the rest if it is used up', () => {
  for (const major of extents)
    for (const minor of extents)
      for (const list of lists.filter((own) => fits(major * minor, own))) {
        const position = apply('add', apply('mul', iterator(0), integer(minor)), iterator(1));
        const found = readThrough([major * minor], [list], [major, minor], [position]);
        const length = list.findLastIndex((_, last) => fits(major, list.slice(0, last + 1))) + 1;
        const [taken, rest] = [list.slice(0, length), list.slice(length)];
        const isUsedUp = devicesAlong(cube, taken) === major && fits(minor, rest);
        const dims = rest.length === 0 || isUsedUp ? [taken, rest] : [[], []];
        // Else it is looked up, and is to be combined.
        const sums = dims.flat().length === 0 ? list.map((axis) => [axis, 'sum'] as const) : [];
        expect(found, `${major} * ${minor} ${list}`).toBe(shownPlacement({ dims, pending: new Map(sums) }));
      }
});

test('a dimension put together: it is cut as its major part is, and further if that is used up', () => {
  for (const major of extents)
    for (const minor of extents)
      for (const first of lists.filter((own) => fits(major, own)))
        for (const second of lists.filter(
          (own) => fits(minor, own) && !own.some((axis) => first.includes(axis)),
        )) {
          const parts = [
            apply('floordiv', iterator(0), integer(minor)),
            apply('mod', iterator(0), integer(minor)),
          ];
          const found = readThrough([major, minor], [first, second], [major * minor], parts);
          const isLocal = second.length === 0 || devicesAlong(cube, first) === major;
          const sums = isLocal ? [] : second.map((axis) => [axis, 'sum'] as const);
          const dims = [isLocal ? [...first, ...second] : first];
          expect(found, `${major} ${first} * ${minor} ${second}`).toBe(
            shownPlacement({ dims, pending: new Map(sums) }),
          );
        }
});

test('an axis of one device changes nothing', () => {
  const graph = lowered('f32[S, D]', 'all_gather(for s, d: exp(x[s, d]), a)');
  const narrow: Mesh = { axes: [{ name: 'a', size: 1 }] };
  const found = place(graph, {
    mesh: narrow,
    inputs: placementsFrom({ x: 'a, - {+b}' }),
    outputs: new Map(),
  });
  expect(found.kind).toBe('placed');
});

test('what is known to be local is read without a condition', () => {
  const graph = lowered('f32[S * D]', 'for (s, d): x[s, d] + y[s, d]');
  const found = placed(graph, { x: 'a b, -', y: 'a, -' });
  if (found.kind === 'misplaced') throw new Error(JSON.stringify(found.faults));
  const device = optimize(localize(found.placed).graph);
  expect(JSON.stringify(allNodes(device))).not.toContain('select');
  const shapes = device.outputs.map(({ tensor }) => allTensors(device).get(tensor)!.shape);
  expect(shapes).toEqual([[12]]);
});
