import { describe, expect, test } from 'vitest';
import { wholePlacement } from '../../dsl/placement/placement.ts';
import type {
  CollectiveNode,
  ComputeNode,
  ExchangeNode,
  Graph,
  LoopNode,
  Node,
  OrderNode,
  PrefixNode,
  RouteNode,
  Scalar,
  SoftmaxSumNode,
  Tensor,
} from './graph.ts';
import {
  apply,
  constant,
  convert,
  coordinate,
  counter,
  float,
  integer,
  iterator,
  iterators,
  load,
  reduced,
} from './scalar.ts';
import { assertWellFormed, checkGraph } from './well-formed.ts';

function tensor(id: number, dtype: Tensor['dtype'], shape: readonly number[]): Tensor {
  return { id, name: `t${id}`, dtype, shape };
}

// A layer of experts: route the picks, look weights up, loop over it, attend.
const x = tensor(0, 'f32', [4, 8]);
const experts = tensor(1, 'bf16', [3, 8, 8]);
const pick = tensor(2, 'i32', [4]);
const order = tensor(3, 'i32', [4]);
const offsets = tensor(4, 'i32', [4]);
const state = tensor(5, 'f32', [4, 8]);
const moved = tensor(6, 'f32', [4, 8]);
const final = tensor(7, 'f32', [4, 8]);
const collected = tensor(8, 'f32', [2, 4, 8]);
const attended = tensor(9, 'f32', [4, 8]);
const best = tensor(10, 'i32', [4, 2]);
const running = tensor(11, 'f32', [4, 8]);

const route: RouteNode = { kind: 'route', pick: 2, experts: 3, order, offsets };
const grouped: ComputeNode = {
  kind: 'compute',
  result: moved,
  body: apply(
    'mul',
    load(state, [iterator(0), iterator(2)]),
    load(experts, [load(pick, [iterator(0)]), iterator(2), iterator(1)]),
  ),
  reduce: {
    combiner: 'sum',
    extents: [8],
    finish: apply('mul', reduced('f32'), convert('f32', counter(0))),
  },
  grouped: { pick: 2, order: 3, offsets: 4, experts: 3, axes: [0] },
};
const loop: LoopNode = {
  kind: 'loop',
  loop: 0,
  count: 2,
  initial: [0],
  body: {
    name: 'step',
    inputs: [{ path: 'h', tensor: state }],
    nodes: [grouped],
    outputs: [
      { path: 'h', tensor: 6 },
      { path: 'all', tensor: 6 },
    ],
  },
  results: [final, collected],
};
const attention: SoftmaxSumNode = {
  kind: 'softmaxSum',
  result: attended,
  extent: 4,
  scoreExtents: [8],
  scoreBody: apply('mul', load(final, [iterator(0), iterator(3)]), load(final, [iterator(2), iterator(3)])),
  logit: reduced('f32'),
  visible: apply('le', iterator(2), iterator(0)),
  value: load(final, [iterator(2), iterator(1)]),
  valueAxes: [1],
};
const top: OrderNode = { kind: 'order', source: 9, direction: 'descending', result: best };
const prefix: PrefixNode = { kind: 'prefix', source: 9, combiner: 'sum', result: running };

const base: Graph = {
  name: 'base',
  inputs: [x, experts, pick].map((own) => ({ path: own.name, tensor: own })),
  nodes: [route, loop, attention, top, prefix],
  outputs: [best, running, collected].map(({ id, name }) => ({ path: name, tensor: id })),
};

function withNode<N extends Node>(old: N, change: Partial<N>): Graph {
  return { ...base, nodes: base.nodes.map((node) => (node === old ? { ...node, ...change } : node)) };
}

function withBody(change: Partial<ComputeNode>): Graph {
  return withNode(loop, { body: { ...loop.body, nodes: [{ ...grouped, ...change }] } });
}

/** The base graph with a map of that body at its end. */
function withMap(body: Scalar, result: Tensor = tensor(20, 'f32', [4])): Graph {
  return {
    ...base,
    nodes: [...base.nodes, { kind: 'compute', result, body, reduce: undefined, grouped: undefined }],
  };
}

function withReduction(combiner: 'sum' | 'any' | 'argmax', extents: number[], body: Scalar): Graph {
  const node: ComputeNode = {
    kind: 'compute',
    result: tensor(20, 'i32', [4]),
    body,
    reduce: { combiner, extents, finish: undefined },
    grouped: undefined,
  };
  return { ...base, nodes: [...base.nodes, node] };
}

/** With a collective and an exchange at its end. */
function withExchanges(collective: Partial<CollectiveNode>, exchange: Partial<ExchangeNode> = {}): Graph {
  const moved: CollectiveNode = {
    kind: 'collective',
    source: 0,
    result: tensor(21, 'f32', [4, 8]),
    change: { kind: 'all_to_all', axes: ['tp'], from: 0, to: 1 },
    ...collective,
  };
  const sent: ExchangeNode = {
    kind: 'exchange',
    verb: 'all_to_all',
    axes: ['dp', 'tp'],
    devices: 4,
    combiner: 'sum',
    source: 0,
    result: tensor(22, 'f32', [4, 8]),
    ...exchange,
  };
  return { ...base, nodes: [...base.nodes, moved, sent] };
}

test('the base graph has no fault', () => {
  expect(checkGraph(base)).toEqual([]);
  expect(checkGraph(withExchanges({}))).toEqual([]);
  assertWellFormed(base, 'the test');
});

const mistyped: Scalar = { op: 'apply', function: 'add', dtype: 'f32', operands: [float(1), integer(1)] };
const row = load(x, [iterator(0), integer(0)]);

const mutants: readonly (readonly [rule: string, graph: Graph])[] = [
  ['tensor ids are unique', withNode(prefix, { result: tensor(9, 'f32', [4, 8]) })],
  ['tensor ids are unique', withMap(row, tensor(6, 'f32', [4]))],
  [
    'loop ids are unique',
    { ...base, nodes: [...base.nodes, { ...loop, body: { ...loop.body, nodes: [] } }] },
  ],
  ['paths are unique', { ...base, outputs: [...base.outputs, { path: 't10', tensor: 0 }] }],
  ['input shapes are natural', { ...base, inputs: [{ path: 'x', tensor: { ...x, shape: [4, -8] } }] }],
  ['outputs are defined', { ...base, outputs: [{ path: 'out', tensor: 99 }] }],
  ['outputs are defined', { ...base, outputs: [{ path: 'out', tensor: 6 }] }],
  ['definitions before uses', { ...base, nodes: [loop, route, attention, top, prefix] }],
  ['definitions before uses', withNode(loop, { initial: [9] })],
  ['definitions before uses', withMap(load(moved, [iterator(0), integer(0)]))],
  ['shapes are natural', withNode(attention, { extent: 1.5 })],
  ['shapes are natural', withMap(float(1), tensor(20, 'f32', [-1]))],
  ['collective types', withExchanges({ result: tensor(21, 'f32', [8, 4]) })],
  ['collective types', withExchanges({ change: { kind: 'reduce_scatter', axes: ['tp'], dim: 2 } })],
  ['collective types', withExchanges({ change: { kind: 'reshard', first: 1, to: wholePlacement(2) } })],
  ['exchange types', withExchanges({}, { verb: 'all_gather' })],
  ['exchange types', withExchanges({}, { devices: 2 })],
  ['exchange types', withExchanges({}, { verb: 'reduce_scatter' })],
  ['exchange types', withExchanges({}, { axes: ['tp', 'tp'] })],
  ['coordinates are of some devices', withMap(convert('f32', coordinate('tp', 0)))],
  ['compute types', withMap(integer(1))],
  ['compute types', withReduction('any', [3], integer(1))],
  ['compute types', withReduction('sum', [3], float(1))],
  ['arg of something', withReduction('argmax', [3, 0], float(1))],
  ['grouped look-up', withBody({ grouped: { ...grouped.grouped!, axes: [1] } })],
  ['grouped look-up', withBody({ grouped: { ...grouped.grouped!, order: 0 } })],
  ['grouped look-up', withBody({ grouped: { ...grouped.grouped!, experts: 4 } })],
  ['grouped look-up', withBody({ body: load(state, [iterator(0), iterator(2)]) })],
  ['value axes', withNode(attention, { valueAxes: [2] })],
  ['value axes', withNode(attention, { valueAxes: [1, 1] })],
  ['softmax sum types', withNode(attention, { visible: float(1) })],
  ['softmax sum types', withNode(attention, { value: iterator(2) })],
  ['route types', withNode(route, { experts: 4 })],
  ['route types', withNode(route, { order: tensor(3, 'i32', [5]) })],
  ['route types', withNode(route, { pick: 0 })],
  ['order types', withNode(top, { result: tensor(10, 'i32', [4, 9]) })],
  ['order types', withNode(top, { result: tensor(10, 'f32', [4, 2]) })],
  ['prefix types', withNode(prefix, { result: tensor(11, 'i32', [4, 8]) })],
  ['prefix types', withNode(prefix, { result: tensor(11, 'f32', [4, 7]) })],
  ['loop types', withNode(loop, { initial: [] })],
  ['loop types', withNode(loop, { initial: [2] })],
  ['loop types', withNode(loop, { results: [final, tensor(8, 'f32', [3, 4, 8])] })],
  ['loop types', withNode(loop, { results: [final] })],
  ['loop types', withNode(loop, { results: [tensor(7, 'bf16', [4, 8]), collected] })],
  ['constants are of their type', withMap(apply('add', convert('f32', integer(1.5)), row))],
  ['constants are of their type', withMap(convert('f32', constant('u32', -1)))],
  ['iterators in range', withMap(load(x, [iterator(1), integer(0)]))],
  ['iterators in range', withBody({ reduce: { ...grouped.reduce!, finish: convert('f32', iterator(2)) } })],
  ['iterators in range', withNode(attention, { scoreBody: convert('f32', iterator(1)) })],
  ['iterators in range', withNode(attention, { logit: convert('f32', iterator(3)) })],
  ['iterators in range', withNode(attention, { value: convert('f32', iterator(3)) })],
  ['counters inside their loop', withMap(convert('f32', counter(0)))],
  ['reduced in finish only', withMap(reduced('f32'))],
  [
    'reduced in finish only',
    withBody({ reduce: { ...grouped.reduce!, finish: convert('f32', reduced('i32')) } }),
  ],
  [
    'loads have the dtype of the tensor',
    withMap(load({ ...experts, dtype: 'f32' }, iterators(1).concat(integer(0), integer(0)))),
  ],
  ['a subscript for each axis', withMap(load(x, [iterator(0)]))],
  ['subscripts are i32', withMap(load(x, [iterator(0), float(0)]))],
  ['functions get operands they take', withMap(mistyped)],
  ['rounding is to a narrow type', withMap({ op: 'round', dtype: 'f32', operand: row })],
  ['rounding is to a narrow type', withMap(convert('f32', { op: 'round', dtype: 'i8', operand: row }))],
];

describe('each rule is broken by a mutant', () => {
  test.each(mutants.map(([rule, graph]) => ({ rule, graph })))('$rule', ({ rule, graph }) => {
    expect(checkGraph(graph).map((fault) => fault.rule)).toContain(rule);
  });
});

test('the error names the stage, the node and the rule', () => {
  expect(() => assertWellFormed(withMap(mistyped), 'fusion')).toThrow(
    /fusion gave an ill-formed graph base:\n {2}compute t20%20: body has 1.0 \+ 1 \(functions get operands they take\)/,
  );
});

test('a loop may hand a state or a tensor from outside on as it is', () => {
  const outputs = [
    { path: 'h', tensor: 0 },
    { path: 'all', tensor: 5 },
  ];
  expect(checkGraph(withNode(loop, { body: { ...loop.body, outputs } }))).toEqual([]);
});
