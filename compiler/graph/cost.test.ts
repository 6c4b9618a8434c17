import { describe, expect, test } from 'vitest';
import { graphCost, peakLiveBytes } from './cost.ts';
import type { Graph, LoopNode, Node, Scalar, Tensor } from './graph.ts';
import { apply, counter, float, iterator, iterators, load, reduced } from './scalar.ts';
import { assertWellFormed } from './well-formed.ts';

const x: Tensor = { id: 0, name: 'x', dtype: 'f32', shape: [4, 8] };
const w: Tensor = { id: 1, name: 'w', dtype: 'bf16', shape: [8, 16] };
const y: Tensor = { id: 2, name: 'y', dtype: 'f32', shape: [4, 16] };
const z: Tensor = { id: 3, name: 'z', dtype: 'f32', shape: [4, 16] };
const out: Tensor = { id: 4, name: 'out', dtype: 'f32', shape: [4, 16] };

const product: Node = {
  kind: 'compute',
  result: y,
  body: apply('mul', load(x, [iterator(0), iterator(2)]), load(w, [iterator(2), iterator(1)])),
  reduce: { combiner: 'sum', extents: [8], finish: undefined },
  grouped: undefined,
};

function map(result: Tensor, body: Scalar): Node {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

function graphOf(nodes: readonly Node[], output: Tensor, inputs: readonly Tensor[] = [x, w]): Graph {
  const graph: Graph = {
    name: 'test',
    inputs: inputs.map((tensor) => ({ path: tensor.name, tensor })),
    nodes,
    outputs: [{ path: 'out', tensor: output.id }],
  };
  assertWellFormed(graph, 'the test');
  return graph;
}

describe('cost', () => {
  test('a matrix product is 2·M·N·K operations', () => {
    expect(graphCost(graphOf([product], y))).toMatchObject({
      flops: 2 * 4 * 16 * 8,
      transcendentals: 0,
      bytesRead: 4 * 8 * 4 + 8 * 16 * 2,
      bytesWritten: 4 * 16 * 4,
    });
  });

  test('transcendental functions are counted apart, shared parts once', () => {
    const power = apply('exp', load(y, iterators(2)));
    const body = apply('div', power, apply('add', power, float(1)));
    const cost = graphCost(graphOf([product, map(z, body)], z)).nodes[1]!;
    expect(cost).toMatchObject({ flops: 3 * 64, transcendentals: 64, bytesRead: 256, bytesWritten: 256 });
  });

  test('of what is looked up only the touched part is read', () => {
    const pick: Tensor = { id: 10, name: 'pick', dtype: 'i32', shape: [2] };
    const experts: Tensor = { id: 11, name: 'experts', dtype: 'f32', shape: [64, 8] };
    const rows: Tensor = { id: 12, name: 'rows', dtype: 'f32', shape: [2, 8] };
    const node = map(rows, load(experts, [load(pick, [iterator(0)]), iterator(1)]));
    expect(graphCost(graphOf([node], rows, [pick, experts])).bytesRead).toBe(2 * 4 + 2 * 8 * 4);
    const few: Tensor = { ...experts, shape: [1, 8] };
    const again = map(rows, load(few, [load(pick, [iterator(0)]), iterator(1)]));
    expect(graphCost(graphOf([again], rows, [pick, few])).bytesRead).toBe(2 * 4 + 8 * 4);
  });

  test('a loop costs its steps, each its own slice of the weights', () => {
    const layers: Tensor = { id: 20, name: 'layers', dtype: 'f32', shape: [3, 4] };
    const initial: Tensor = { id: 21, name: 'h0', dtype: 'f32', shape: [4] };
    const state: Tensor = { id: 22, name: 'h', dtype: 'f32', shape: [4] };
    const next: Tensor = { id: 23, name: 'next', dtype: 'f32', shape: [4] };
    const final: Tensor = { id: 24, name: 'final', dtype: 'f32', shape: [4] };
    const body = apply('mul', load(state, [iterator(0)]), load(layers, [counter(0), iterator(0)]));
    const loop: LoopNode = {
      kind: 'loop',
      loop: 0,
      count: 3,
      initial: [initial.id],
      body: {
        name: 'step',
        inputs: [{ path: 'h', tensor: state }],
        nodes: [map(next, body)],
        outputs: [{ path: 'h', tensor: next.id }],
      },
      results: [final],
    };
    const graph = graphOf([loop], final, [layers, initial]);
    expect(graphCost(graph)).toMatchObject({
      flops: 12,
      bytesRead: 3 * 32,
      bytesWritten: 3 * 16,
      nodes: [
        { node: loop, flops: 12, step: [{ node: loop.body.nodes[0], flops: 4, bytesRead: 32, step: [] }] },
      ],
    });
    // Inputs, the result, the state and the next one.
    expect(peakLiveBytes(graph)).toBe(48 + 16 + 16 + 16 + 16);
  });

  test('a softmax sum does not pay for its scores once a channel', () => {
    const [queries, keys, width, channels] = [3, 5, 2, 7];
    const q: Tensor = { id: 30, name: 'q', dtype: 'f32', shape: [queries, width] };
    const k: Tensor = { id: 31, name: 'k', dtype: 'f32', shape: [keys, width] };
    const v: Tensor = { id: 32, name: 'v', dtype: 'f32', shape: [keys, channels] };
    const result: Tensor = { id: 33, name: 'o', dtype: 'f32', shape: [queries, channels] };
    const node: Node = {
      kind: 'softmaxSum',
      result,
      extent: keys,
      scoreExtents: [width],
      scoreBody: apply('mul', load(q, [iterator(0), iterator(3)]), load(k, [iterator(2), iterator(3)])),
      logit: apply('mul', reduced('f32'), float(0.5)),
      visible: undefined,
      value: load(v, [iterator(2), iterator(1)]),
      valueAxes: [1],
    };
    const cost = graphCost(graphOf([node], result, [q, k, v]));
    expect(cost.flops).toBe(queries * keys * (2 * width + 1 + 5 + 2 * channels));
    expect(cost.transcendentals).toBe(queries * keys);
    expect(cost.bytesRead).toBe(4 * (queries * width + keys * width + keys * channels));
  });
});

describe('peak of live memory', () => {
  const doubled = (from: Tensor, to: Tensor): Node =>
    map(to, apply('add', load(from, iterators(2)), load(from, iterators(2))));

  test('a tensor dies after its last reader', () => {
    const middle: Tensor = { ...y, id: 5 };
    const last: Tensor = { ...y, id: 6 };
    const chain = [product, doubled(y, z), doubled(z, middle), doubled(middle, last)];
    const fixed = 4 * 8 * 4 + 8 * 16 * 2 + 256;
    expect(peakLiveBytes(graphOf(chain, last))).toBe(fixed + 2 * 256);
    const sum = map(last, apply('add', load(middle, iterators(2)), load(y, iterators(2))));
    expect(peakLiveBytes(graphOf([product, doubled(y, z), doubled(z, middle), sum], last))).toBe(
      fixed + 3 * 256,
    );
  });

  test('what nobody reads dies at once', () => {
    expect(peakLiveBytes(graphOf([product, map(z, float(1)), map(out, float(2))], out))).toBe(
      4 * 8 * 4 + 8 * 16 * 2 + 256 + 256,
    );
  });
});
