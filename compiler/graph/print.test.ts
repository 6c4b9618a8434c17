import { expect, test } from 'vitest';
import type { Graph, Node, Scalar, Tensor } from './graph.ts';
import { printGraph, printScalar } from './print.ts';
import {
  apply,
  boolean,
  constant,
  convert,
  counter,
  float,
  integer,
  iterator,
  load,
  reduced,
  round,
} from './scalar.ts';

const x: Tensor = { id: 0, name: 'x', dtype: 'bf16', shape: [4, 8] };
const w: Tensor = { id: 1, name: 'w', dtype: 'f32', shape: [2, 8, 8] };

test('a graph', () => {
  const at = (tensor: Tensor, ...subscripts: Scalar[]): Scalar => load(tensor, subscripts);
  const tensor = (
    id: number,
    name: string,
    shape: readonly number[],
    dtype: Tensor['dtype'] = 'f32',
  ): Tensor => ({
    id,
    name,
    dtype,
    shape,
  });
  const scale = tensor(2, 'scale', [4]);
  const order = tensor(3, 'order', [1], 'i32');
  const [state, next, final] = [
    tensor(4, 'h', [4, 8]),
    tensor(5, 'next', [4, 8]),
    tensor(6, 'final', [4, 8]),
  ];
  const attended = tensor(7, 'o', [4, 8]);
  const square = apply('mul', at(x, iterator(0), iterator(1)), at(x, iterator(0), iterator(1)));
  const nodes: Node[] = [
    {
      kind: 'compute',
      result: scale,
      body: square,
      reduce: { combiner: 'sum', extents: [8], finish: apply('rsqrt', reduced('f32')) },
      grouped: undefined,
    },
    { kind: 'order', source: scale.id, direction: 'descending', result: order },
    {
      kind: 'loop',
      loop: 0,
      count: 2,
      initial: [attended.id],
      body: {
        name: 'step',
        inputs: [{ path: 'h', tensor: state }],
        nodes: [
          {
            kind: 'compute',
            result: next,
            body: apply(
              'mul',
              at(state, iterator(0), iterator(2)),
              at(w, counter(0), iterator(2), iterator(1)),
            ),
            reduce: { combiner: 'sum', extents: [8], finish: undefined },
            grouped: undefined,
          },
        ],
        outputs: [{ path: 'h', tensor: next.id }],
      },
      results: [final],
    },
    {
      kind: 'softmaxSum',
      result: attended,
      extent: 4,
      scoreExtents: [8],
      scoreBody: apply('mul', at(x, iterator(0), iterator(3)), at(x, iterator(2), iterator(3))),
      logit: apply('div', reduced('f32'), float(2)),
      visible: apply('le', iterator(2), iterator(0)),
      value: at(x, iterator(2), iterator(1)),
      valueAxes: [1],
    },
  ];
  const graph: Graph = {
    name: 'block',
    inputs: [
      { path: 'x', tensor: x },
      { path: 'layers.w', tensor: w },
    ],
    nodes,
    outputs: [{ path: 'out', tensor: final.id }],
  };
  expect(printGraph(graph)).toBe(`graph block
input x = x%0: bf16[4, 8]
input layers.w = w%1: f32[2, 8, 8]
scale%2: f32[4] = for i0: rsqrt(total)
  where total = sum r0 < 8: x%0[i0, r0] * x%0[i0, r0]
order%3: i32[1] = order descending scale%2
final%6: f32[4, 8] = loop step0 < 2 from (o%7)
  state h%4: f32[4, 8]
  next%5: f32[4, 8] = for i0, i1: sum r0 < 8: h%4[i0, r0] * w%1[step0, r0, i1]
  next next%5
o%7: f32[4, 8] = for i0, i1: softmax sum u < 4: x%0[u, i1]
  where total = sum r0 < 8: x%0[i0, r0] * x%0[u, r0]
  logit total / 2.0
  visible u <= i0
  value axes i1
output out = final%6
`);
});

test('collectives and exchanges', () => {
  const moved: Tensor = { ...x, id: 2, name: 'moved' };
  const placed: Tensor = { ...x, id: 3, name: 'placed' };
  const all: Tensor = { ...x, id: 4, name: 'all', shape: [4, 4, 8] };
  const chunk: Tensor = { ...x, id: 5, name: 'chunk', shape: [8] };
  const to = { dims: [['dp'], []], pending: new Map([['tp', 'sum' as const]]) };
  const group = { kind: 'exchange', axes: ['dp', 'tp'], devices: 4, combiner: 'max' } as const;
  const nodes: Node[] = [
    {
      kind: 'collective',
      source: x.id,
      result: moved,
      change: { kind: 'all_to_all', axes: ['tp'], from: 0, to: 1 },
    },
    { kind: 'collective', source: x.id, result: placed, change: { kind: 'reshard', first: 0, to } },
    { ...group, verb: 'all_gather', source: x.id, result: all },
    { ...group, verb: 'reduce_scatter', source: x.id, result: chunk },
  ];
  const graph: Graph = { name: 'g', inputs: [{ path: 'x', tensor: x }], nodes, outputs: [] };
  const lines = printGraph(graph).split('\n').slice(2, 6);
  expect(lines.map((line) => line.split(' = ')[1])).toEqual([
    `all_to_all @tp from dim 0 to dim 1 of x%0`,
    `reshard to [@dp, whole]{+tp} of x%0`,
    `exchange all_gather @(dp, tp) of 4: x%0`,
    `exchange reduce_scatter by max @(dp, tp) of 4: x%0`,
  ]);
});

const [i, j, k] = [iterator(0), iterator(1), iterator(2)];
test.each([
  [apply('sub', i, apply('sub', j, k)), 'i0 - (i1 - i2)'],
  [apply('sub', apply('sub', i, j), k), 'i0 - i1 - i2'],
  [apply('mul', apply('add', i, j), k), '(i0 + i1) * i2'],
  [apply('add', apply('mul', i, j), k), 'i0 * i1 + i2'],
  [apply('neg', apply('add', i, j)), '-(i0 + i1)'],
  [apply('mul', apply('neg', i), j), '-i0 * i1'],
  [apply('not', apply('and', boolean(true), apply('lt', i, j))), 'not (true and i0 < i1)'],
  [apply('eq', apply('lt', i, j), boolean(false)), '(i0 < i1) == false'],
  [apply('add', apply('select', apply('le', i, j), i, j), k), '(if i0 <= i1 then i0 else i1) + i2'],
  [apply('floordiv', apply('mod', i, integer(4)), integer(2)), 'i0 % 4 // 2'],
  [round('bf16', convert('f32', i)), 'bf16(f32(i0))'],
  [constant('u32', 3), '3u'],
  [float(-0), '-0.0'],
  [float(1e-6), '0.000001'],
  [float(Number.NEGATIVE_INFINITY), '-inf'],
  [apply('max', i, integer(-1)), 'max(i0, -1)'],
] as const)('%# prints as %s', (scalar, text) => {
  expect(printScalar(scalar)).toBe(text);
});

test('what is long and repeated is named', () => {
  let scalar: Scalar = apply('add', apply('mul', i, integer(1234567)), apply('mul', j, integer(7654321)));
  for (let level = 0; level < 100; level++) scalar = apply('add', scalar, scalar);
  const text = printScalar(scalar);
  expect(text).toMatch(/^s\d+ \+ s\d+ with s0 = i0 \* 1234567 \+ i1 \* 7654321, /);
  expect(text.length).toBeLessThan(3000);
});
