import { describe, expect, test } from 'vitest';
import { type Mesh, type Placement, showList, showPending } from '../../dsl/placement/placement.ts';
import type { Graph } from '../graph/graph.ts';
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
const signature = 'mesh (a, b)\nexport fn f(x: f32[S, D], y: f32[S, D], w: f32[D, S])';

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
    ['collectives fit', 'f32[S, D]', 'all_to_all(x, b, S -> D)', { x: 'a, -' }, undefined, ['b']],
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
