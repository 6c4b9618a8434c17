import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { wholePlacement } from '../../../dsl/placement/placement.ts';
import type { Dtype } from '../../../dsl/types/dtype.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { evaluateGraph } from '../../graph/evaluate.ts';
import { float64 } from '../../graph/float64.ts';
import type {
  CollectiveNode,
  Combiner,
  ComputeNode,
  Graph,
  Node,
  Scalar,
  Tensor,
} from '../../graph/graph.ts';
import { combiners } from '../../graph/graph.ts';
import { printGraph } from '../../graph/print.ts';
import {
  apply,
  arithmeticOf,
  constant,
  integer,
  iterator,
  load,
  mapScalar,
  reduced,
  scalarType,
} from '../../graph/scalar.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { localize } from '../localize.ts';
import { partialOf } from '../pending.ts';
import { place } from '../place.ts';
import { meshOf, placed } from '../testing.ts';
import { evenSizes } from './even-sizes.ts';
import { placeEvenly } from './place-evenly.ts';

interface Reduction {
  readonly combiner: Combiner;
  readonly dtype: Dtype;
  readonly extent: number;
  readonly devices: number;
  readonly hasFinish: boolean;
  readonly values: readonly number[];
}

const rows = 2;

/**
 * Mostly negative: what stands for nothing in a sum would be the greatest. Parts of a sum are rounded as the
 * sum is, and small enough for that to lose nothing.
 */
function elementOf(dtype: Dtype, combiner: Combiner, draw: number): number {
  if (dtype === 'bool') return draw % 2;
  const special = [Number.NaN, Number.NEGATIVE_INFINITY];
  if (dtype === 'f8e4m3' && combiner === 'sum') return -1;
  return (dtype === 'f32' && special[draw]) || -1 - (draw % 4);
}

/** More devices than there are elements, too. */
const reductions: fc.Arbitrary<Reduction> = fc.record({
  combiner: fc.constantFrom(...combiners),
  dtype: fc.constantFrom<Dtype>('f32', 'i32', 'f8e4m3'),
  extent: fc.integer({ min: 1, max: 7 }),
  devices: fc.integer({ min: 2, max: 8 }),
  hasFinish: fc.boolean(),
  values: fc.array(fc.nat(20), { minLength: 14, maxLength: 14 }),
});

/** `y[i] = finish(reduce r: x[i, r])`, x cut along r, or gathered where parts cannot be combined. */
function programOf({ combiner, dtype, extent, hasFinish }: Reduction): Graph {
  const logical = combiner === 'any' || combiner === 'all';
  const stored = logical ? 'bool' : dtype;
  const x: Tensor = { id: 0, name: 'x', dtype: stored, shape: [rows, extent] };
  const read: Tensor = { ...x, id: 1, name: 'gathered' };
  const source = partialOf[combiner] === undefined ? read : x;
  const type = combiner === 'argmax' || combiner === 'argmin' ? 'i32' : arithmeticOf(stored);
  const result = type === 'i32' || logical ? type : dtype;
  const y: Tensor = { id: 2, name: 'y', dtype: result, shape: [rows] };
  const finish: Scalar =
    combiner === 'max' || combiner === 'min' || combiner === 'sum'
      ? apply('mul', reduced(type), constant(type, 3))
      : reduced(type);
  const whole = (from: Tensor, to: Tensor): CollectiveNode => ({
    kind: 'collective',
    source: from.id,
    result: to,
    change: { kind: 'reshard', first: 0, to: wholePlacement(to.shape.length) },
  });
  const reduction: ComputeNode = {
    kind: 'compute',
    result: y,
    body: load(source, [iterator(0), iterator(1)]),
    reduce: { combiner, extents: [extent], finish: hasFinish ? finish : undefined },
    grouped: undefined,
  };
  const out = { ...y, id: 3, name: 'out' };
  return {
    name: 'reduction',
    inputs: [{ path: 'x', tensor: x }],
    nodes: [whole(x, read), reduction, whole(y, out)],
    outputs: [{ path: 'out', tensor: out.id }],
  };
}

function inputOf({ combiner, values }: Reduction, { inputs: [x] }: Graph): TensorValue<number> {
  const { dtype, shape } = x!.tensor;
  const data = Float64Array.from({ length: shape[0]! * shape[1]! }, (_, at) =>
    elementOf(dtype, combiner, values[at]!),
  );
  return { dtype, shape, data };
}

type Mutate = (nodes: readonly Node[]) => readonly Node[];

/** What whole and padded programs give; undefined where a mutant has nothing to change. */
function bothWays(reduction: Reduction, mutate: Mutate = (nodes) => nodes) {
  const graph = programOf(reduction);
  const x = inputOf(reduction, graph);
  const mesh = meshOf({ a: reduction.devices });
  const options = { mesh, inputs: new Map([['x', placed(['', 'a'])]]), outputs: new Map() };
  const even = placeEvenly(graph, options);
  if (even.kind === 'misplaced') throw new Error(even.faults[0]!.message);
  const wanted = evaluateGraph(graph, new Map([[0, x]]), float64).get('out')!;
  const again = place({ ...even.placed.graph, nodes: mutate(even.placed.graph.nodes) }, options);
  if (again.kind === 'misplaced') return undefined;
  const device = { ...localize(again.placed), whole: even.whole };
  const found = evaluateOnMesh(device, new Map([['x', x]]), float64).outputs.get('out')!;
  const numbers = ({ data }: TensorValue<number>) => Array.from(data as ArrayLike<number>);
  return { wanted: numbers(wanted), found: numbers(found), shown: printGraph(device.graph) };
}

test('a reduction over blocks that are not full is that over the whole', () => {
  fc.assert(
    fc.property(reductions, (reduction) => {
      const { wanted, found, shown } = bothWays(reduction)!;
      expect(found, shown).toEqual(wanted);
    }),
    { numRuns: 800 },
  );
});

function inReductions(change: (scalar: Scalar) => Scalar): Mutate {
  return (nodes) =>
    nodes.map((node) =>
      node.kind === 'compute' && node.reduce ? { ...node, body: mapScalar(node.body, change) } : node,
    );
}

const isChoice = (scalar: Scalar) => scalar.op === 'apply' && scalar.function === 'select';

const mutants: { readonly [name: string]: Mutate } = {
  'puts 0 for nothing': inReductions((scalar) =>
    scalar.op === 'apply' && isChoice(scalar)
      ? apply('select', scalar.operands[0]!, scalar.operands[1]!, constant(scalarType(scalar), 0))
      : scalar,
  ),
  'masks nothing': inReductions((scalar) =>
    scalar.op === 'apply' && isChoice(scalar) ? scalar.operands[1]! : scalar,
  ),
  'goes on with parts that hold nothing': (nodes) => {
    const moves = nodes.filter(({ kind }) => kind === 'collective') as readonly CollectiveNode[];
    // What is gathered, what is combined at once, what is pending again, and the result.
    const [, combined, pending, rest] = moves;
    if (rest === undefined) return nodes;
    return nodes.map((node) => (node === combined ? { ...combined, change: pending!.change } : node));
  },
  'multiplies by zero instead of choosing': inReductions((scalar) =>
    scalar.op === 'apply' && isChoice(scalar) && scalar.dtype === 'f32'
      ? apply(
          'mul',
          { op: 'convert', dtype: 'f32', operand: scalar.operands[0]! },
          apply('div', scalar.operands[1]!, scalar.operands[1]!),
        )
      : scalar,
  ),
};

test.each(Object.entries(mutants))('a reduction that %s is found out', (_, mutate) => {
  const samples = fc.sample(reductions, { numRuns: 300, seed: 5 });
  const wrong = samples.filter((reduction) => {
    const both = bothWays(reduction, mutate);
    return both !== undefined && !same(both.wanted, both.found);
  });
  expect(wrong.length).toBeGreaterThan(0);
});

function same(left: readonly number[], right: readonly number[]): boolean {
  return left.every((value, at) => Object.is(value + 0, right[at]! + 0));
}

describe('extents', () => {
  const x: Tensor = { id: 0, name: 'x', dtype: 'f32', shape: [5, 6] };
  const map = (result: Tensor, body: Scalar): ComputeNode => ({
    kind: 'compute',
    result,
    body,
    reduce: undefined,
    grouped: undefined,
  });
  const graphOf = (nodes: readonly ComputeNode[]): Graph => ({
    name: 'maps',
    inputs: [{ path: 'x', tensor: x }],
    nodes,
    outputs: nodes.map(({ result }) => ({ path: result.name, tensor: result.id })),
  });
  const mesh = meshOf({ a: 2, b: 3 });
  const evenly = (graph: Graph, dims: readonly string[]) =>
    evenSizes(graph, { mesh, placements: new Map([[0, placed(dims)]]), outputs: new Map() });
  const shapes = ({ graph }: ReturnType<typeof evenly>) =>
    graph.nodes.map((node) => (node as ComputeNode).result.shape);
  const y: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: [6, 5] };
  const transposed = graphOf([map(y, load(x, [iterator(1), iterator(0)]))]);

  test('that divide leave the program as it is', () => {
    expect(evenly(transposed, ['', 'a b']).graph).toBe(transposed);
  });

  test('are padded together where one iterator runs over them', () => {
    const even = evenly(transposed, ['b', 'a']);
    expect(shapes(even)).toEqual([[6, 6]]);
    expect(even.whole).toEqual({ inputs: new Map([['x', [5, 6]]]), outputs: new Map([['y', [6, 5]]]) });
  });

  test('of products are padded by whole groups', () => {
    const flat: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: [30] };
    const row = apply('floordiv', iterator(0), integer(6));
    const column = apply('mod', iterator(0), integer(6));
    const even = evenly(graphOf([map(flat, load(x, [row, column]))]), ['a', '']);
    expect(shapes(even)).toEqual([[36]]);
    expect((even.graph.nodes[0] as ComputeNode).body).toEqual(load(x, [row, column]));
  });

  test('of a product that is reduced in parts are padded by whole groups', () => {
    const sum: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: [6] };
    const flat: Tensor = { id: 2, name: 'z', dtype: 'f32', shape: [30] };
    const merged = apply('add', apply('mul', iterator(1), integer(6)), iterator(2));
    const reduced: ComputeNode = {
      ...map(sum, load(flat, [merged])),
      reduce: { combiner: 'sum', extents: [5, 6], finish: undefined },
    };
    const graph: Graph = { ...graphOf([reduced]), inputs: [{ path: 'z', tensor: flat }] };
    const placements = new Map([[2, placed(['a b'])]]);
    const even = evenSizes(graph, { mesh: meshOf({ a: 2, b: 2 }), placements, outputs: new Map() });
    expect(even.graph.inputs[0]!.tensor.shape).toEqual([48]);
    expect((even.graph.nodes[0] as ComputeNode).reduce!.extents).toEqual([8, 6]);
  });

  test('of what is read in another way stay, and so does what is read', () => {
    const first: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: [3, 6] };
    const even = evenly(graphOf([map(first, load(x, [iterator(0), iterator(1)]))]), ['a b', '']);
    expect(shapes(even)).toEqual([[3, 6]]);
  });
});
