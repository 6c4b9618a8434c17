import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { type Mesh, wholePlacement } from '../../dsl/placement/placement.ts';
import { dtypes } from '../../dsl/types/dtype.ts';
import type { TensorValue } from '../graph/algebra.ts';
import { pick, readTape } from '../graph/choice-tape.ts';
import { evaluateGraph } from '../graph/evaluate.ts';
import { float64 } from '../graph/float64.ts';
import type { ExchangeNode, ExchangeVerb, Graph, Tensor } from '../graph/graph.ts';
import { roundTo } from '../graph/rounding.ts';
import { convert, coordinate } from '../graph/scalar.ts';
import { assemble, distribute, evaluateOnMesh } from './evaluate-mesh.ts';
import { exactAlgebra, randomMesh, randomPlacement, scatter } from './random-partition.ts';

function tensorOf(shape: readonly number[], element: (position: number) => number): TensorValue<number> {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return { dtype: 'f32', shape, data: Float64Array.from({ length: count }, (_, at) => element(at)) };
}

const tapes = fc.array(fc.noBias(fc.nat(2 ** 16)), { minLength: 20, maxLength: 60, size: 'max' });

test('what is distributed is put together again', () => {
  fc.assert(
    fc.property(tapes, fc.constantFrom(distribute, scatter), (tape, spread) => {
      const choose = readTape(tape);
      const mesh = randomMesh(choose);
      const shape = [12, 4, 6].slice(choose(4));
      const whole = tensorOf(shape, (position) => position + 1);
      const placement = randomPlacement(whole, mesh, choose);
      const blocks =
        spread === scatter
          ? scatter(whole, placement, mesh, choose(99))
          : distribute(whole, placement, mesh, float64);
      expect(assemble(blocks, placement, mesh, float64)).toEqual(whole);
    }),
    { numRuns: 300 },
  );
});

/** Of the ends of what dtypes hold too. */
const numbers = [
  0,
  1,
  -1,
  0.25,
  3.5,
  -3.5,
  4,
  28,
  255,
  256,
  448,
  2 ** 31 - 1,
  -(2 ** 31),
  1e5,
  Infinity,
  NaN,
];

test('parts of what is pending are values of its dtype, and make up the whole exactly', () => {
  fc.assert(
    fc.property(tapes, fc.constantFrom(...dtypes), (tape, dtype) => {
      const choose = readTape(tape);
      const mesh = randomMesh(choose);
      const drawn = tensorOf([4, 6], () => roundTo(dtype, pick(choose, numbers)));
      const whole = { ...drawn, dtype };
      const placement = randomPlacement(whole, mesh, choose);
      const blocks = scatter(whole, placement, mesh, choose(99));
      const parts = blocks.flatMap(({ data }) => [...(data as Float64Array)]);
      expect(parts.map((part) => roundTo(dtype, part))).toEqual(parts);
      expect(assemble(blocks, placement, mesh, exactAlgebra())).toEqual(whole);
    }),
    { numRuns: 500 },
  );
});

test('devices that should hold the same and do not are found out', () => {
  const mesh: Mesh = { axes: [{ name: 'a', size: 2 }] };
  const blocks = [1, 2].map((own) => tensorOf([2], () => own));
  expect(() => assemble(blocks, wholePlacement(1), mesh, float64)).toThrow('device 1 holds another value');
});

// Devices (a, b) are numbered 0 to 5; what device d holds begins with 10 d.
const mesh: Mesh = {
  axes: [
    { name: 'a', size: 2 },
    { name: 'b', size: 3 },
  ],
};

/** What each of the six devices has after an exchange of what it starts with. */
function exchanged(
  verb: ExchangeVerb,
  axes: readonly string[],
  devices: number,
  shapes: readonly [readonly number[], readonly number[]],
  combiner: ExchangeNode['combiner'] = 'sum',
) {
  const source: Tensor = { id: 0, name: 'x', dtype: 'f32', shape: shapes[0] };
  const result: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: shapes[1] };
  const node: ExchangeNode = { kind: 'exchange', verb, axes, devices, combiner, source: 0, result };
  const graph: Graph = {
    name: 'g',
    inputs: [{ path: 'x', tensor: source }],
    nodes: [node],
    outputs: [{ path: 'out', tensor: 1 }],
  };
  // Each device's result is a block of the output, so that it is seen.
  const seen = { dims: shapes[1].map((_, dim) => (dim === 0 ? ['a', 'b'] : [])), pending: new Map() };
  const inputs = new Map([['x', wholePlacement(shapes[0].length)]]);
  const given = Array.from({ length: 6 }, (_, device) => tensorOf(shapes[0], (at) => 10 * device + at));
  const program = { graph, mesh, inputs, outputs: new Map([['out', seen]]) };
  const { outputs, sent } = evaluateOnMesh(program, new Map([['x', given]]), float64);
  const all = Array.from(outputs.get('out')!.data as Float64Array);
  const each = all.length / 6;
  return { of: (device: number) => all.slice(device * each, (device + 1) * each), bytes: sent.get(verb) };
}

describe('exchanges', () => {
  test('all_gather: in order of rank', () => {
    const { of, bytes } = exchanged('all_gather', ['b'], 3, [[2], [3, 2]]);
    expect(of(0)).toEqual([0, 1, 10, 11, 20, 21]);
    expect(of(4)).toEqual([30, 31, 40, 41, 50, 51]);
    expect(bytes).toBe(2 * 2 * 4);
  });

  test('ranks are coordinates read as digits, the first axis most significant', () => {
    expect(exchanged('all_gather', ['a', 'b'], 6, [[1], [6, 1]]).of(3)).toEqual([0, 10, 20, 30, 40, 50]);
    expect(exchanged('all_gather', ['b', 'a'], 6, [[1], [6, 1]]).of(3)).toEqual([0, 30, 10, 40, 20, 50]);
  });

  test('all_reduce: what all hold, combined', () => {
    expect(exchanged('all_reduce', ['a'], 2, [[2], [2]]).of(4)).toEqual([50, 52]);
    expect(exchanged('all_reduce', ['a'], 2, [[2], [2]], 'max').of(1)).toEqual([40, 41]);
    expect(exchanged('all_reduce', ['b'], 3, [[2], [2]], 'min').of(5)).toEqual([30, 31]);
    expect(exchanged('all_reduce', ['b'], 3, [[3], [3]]).bytes).toBe((2 * 2 * 12) / 3);
  });

  test('reduce_scatter: each a chunk', () => {
    const { of, bytes } = exchanged('reduce_scatter', ['b'], 3, [[3, 2], [2]]);
    expect([0, 1, 2].map(of)).toEqual([
      [30, 33],
      [36, 39],
      [42, 45],
    ]);
    expect(bytes).toBe((2 * 24) / 3);
  });

  test('all_to_all: chunk j goes to rank j', () => {
    const { of, bytes } = exchanged('all_to_all', ['b'], 3, [[3], [3]]);
    expect([3, 4, 5].map(of)).toEqual([
      [30, 40, 50],
      [31, 41, 51],
      [32, 42, 52],
    ]);
    expect(bytes).toBe((2 * 12) / 3);
  });

  test('shift: what the rank before had', () => {
    const { of } = exchanged('shift', ['b'], 3, [[1], [1]]);
    expect([0, 1, 2, 3, 4, 5].map((device) => of(device)[0])).toEqual([20, 0, 10, 50, 30, 40]);
  });

  test('broadcast: what the first had', () => {
    const { of } = exchanged('broadcast', ['a'], 2, [[1], [1]]);
    expect([0, 1, 2, 3, 4, 5].map((device) => of(device)[0])).toEqual([0, 10, 20, 0, 10, 20]);
  });
});

test('a single device has neither coordinates nor exchanges', () => {
  const result: Tensor = { id: 1, name: 'y', dtype: 'f32', shape: [] };
  const graph = (node: Graph['nodes'][number]): Graph => ({
    name: 'g',
    inputs: [{ path: 'x', tensor: { ...result, id: 0, name: 'x' } }],
    nodes: [node],
    outputs: [{ path: 'out', tensor: 1 }],
  });
  const inputs = new Map([[0, tensorOf([], () => 1)]]);
  const place = { body: convert('f32', coordinate('tp', 2)), reduce: undefined, grouped: undefined };
  expect(() => evaluateGraph(graph({ kind: 'compute', result, ...place }), inputs, float64)).toThrow(
    'g asks for a coordinate along tp, and runs on one device',
  );
  const shift = { verb: 'shift', axes: ['tp'], devices: 2, combiner: 'sum', source: 0 } as const;
  expect(() => evaluateGraph(graph({ kind: 'exchange', result, ...shift }), inputs, float64)).toThrow(
    'exchange y%1 exchanges, and g runs on one device',
  );
});
