/** Kernels of the nodes that are not comprehensions. */
import { describe, test } from 'vitest';
import type { Graph, Node, Scalar, SoftmaxSumNode, Tensor } from '../../compiler/graph/graph.ts';
import {
  apply,
  constant,
  counter,
  float,
  integer,
  iterator,
  iterators,
  load,
  reduced,
} from '../../compiler/graph/scalar.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { graphOf, mapNode, reduceNode, tensor } from './graph-building.ts';
import { expectAgreement, sampleValues } from './testing.ts';

const profiles = {
  software: (profile: DeviceProfile): DeviceProfile => profile,
  'without subgroups': (profile: DeviceProfile): DeviceProfile => ({ ...profile, subgroupSize: undefined }),
  'as on a GPU': (profile: DeviceProfile): DeviceProfile => ({ ...profile, software: false }),
};

interface Attention {
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly width: number;
  readonly values: number;
  readonly dtype?: Dtype;
  readonly visible?: Scalar;
}

const [head, query, component, key, depth] = [0, 1, 2, 3, 4].map(iterator) as [
  Scalar,
  Scalar,
  Scalar,
  Scalar,
  Scalar,
];

/** out[h, s, a] = softmax over u of (q[h, s] · k[u, h]) / 2, weighted v[u, h, a]. */
function attentionGraph({ heads, queries, keys, width, values, dtype = 'f32', visible }: Attention): Graph {
  const q = tensor(0, 'q', dtype, [heads, queries, width]);
  const k = tensor(1, 'k', dtype, [keys, heads, width]);
  const v = tensor(2, 'v', dtype, [keys, heads, values]);
  const node: SoftmaxSumNode = {
    kind: 'softmaxSum',
    result: tensor(3, 'out', dtype, [heads, queries, values]),
    extent: keys,
    scoreExtents: [width],
    scoreBody: apply('mul', load(q, [head, query, depth]), load(k, [key, head, depth])),
    logit: apply('mul', reduced('f32'), float(0.5)),
    visible,
    value: load(v, [key, head, component]),
    valueAxes: [2],
  };
  return graphOf('attention', [q, k, v], [node]);
}

const causal = apply('le', key, query);

for (const [where, profile] of Object.entries(profiles)) {
  describe(`a softmax-weighted sum, ${where}`, () => {
    const check = (attention: Attention) =>
      expectAgreement(attentionGraph(attention), { profile, relative: 1e-5 });
    test('of whole blocks', () => check({ heads: 2, queries: 16, keys: 24, width: 16, values: 16 }));
    test('of ragged sizes', () => check({ heads: 3, queries: 7, keys: 13, width: 8, values: 12 }));
    test('of odd widths', () => check({ heads: 1, queries: 5, keys: 9, width: 3, values: 5 }));
    test('of one key', () => check({ heads: 2, queries: 3, keys: 1, width: 4, values: 4 }));
    test('causal', () => check({ heads: 2, queries: 33, keys: 33, width: 8, values: 8, visible: causal }));
    test('of which some rows see nothing', () =>
      check({
        heads: 1,
        queries: 8,
        keys: 8,
        width: 4,
        values: 4,
        visible: apply('and', causal, apply('lt', integer(2), key)),
      }));
    test('in bf16', () =>
      check({ heads: 2, queries: 9, keys: 17, width: 8, values: 8, dtype: 'bf16', visible: causal }));
  });

  describe(`order, prefix and route, ${where}`, () => {
    const source = tensor(0, 'x', 'f32', [5, 19]);
    test('top-k and sorting', async () => {
      const nodes: Node[] = [
        { kind: 'order', source: 0, direction: 'descending', result: tensor(1, 'top', 'i32', [5, 4]) },
        { kind: 'order', source: 0, direction: 'ascending', result: tensor(2, 'sorted', 'i32', [5, 19]) },
      ];
      const nan = Number.NaN;
      const rough = sampleValues(source, 3).map((value, at) => (at % 11 === 0 ? nan : Math.round(value)));
      await expectAgreement(graphOf('order', [source], nodes), { profile, values: () => rough });
    });

    test('prefixes', async () => {
      const nodes = (['sum', 'prod', 'max'] as const).map(
        (combiner, at): Node => ({
          kind: 'prefix',
          source: 0,
          combiner,
          result: tensor(1 + at, combiner, 'f32', [5, 19]),
        }),
      );
      await expectAgreement(graphOf('prefix', [source], nodes), { profile, relative: 1e-5 });
    });

    test('routes, with experts that nobody picked', async () => {
      const pick = tensor(0, 'pick', 'i32', [9, 2]);
      const node: Node = {
        kind: 'route',
        pick: 0,
        experts: 7,
        order: tensor(1, 'order', 'i32', [18]),
        offsets: tensor(2, 'offsets', 'i32', [8]),
      };
      const values = () => Array.from({ length: 18 }, (_, at) => [0, 3, 3, 6, 1][(at * 7) % 5]!);
      await expectAgreement(graphOf('route', [pick], [node]), { profile, values });
    });
  });

  describe(`a grouped contraction, ${where}`, () => {
    for (const [tokens, columns, reducedExtent, experts] of [
      [9, 16, 12, 7],
      [40, 33, 20, 3],
      [1, 8, 5, 4],
    ] as const)
      test(`of ${tokens} tokens`, () => grouped(tokens, columns, reducedExtent, experts, profile));
  });
}

/** h[t, s, f] = Σ_d x[t, d] · w[pick[t, s], d, f] */
async function grouped(
  tokens: number,
  columns: number,
  width: number,
  experts: number,
  profile: (profile: DeviceProfile) => DeviceProfile,
): Promise<void> {
  const pick = tensor(0, 'pick', 'i32', [tokens, 2]);
  const x = tensor(1, 'x', 'f32', [tokens, width]);
  const w = tensor(2, 'w', 'bf16', [experts, width, columns]);
  const order: Tensor = tensor(3, 'order', 'i32', [tokens * 2]);
  const offsets: Tensor = tensor(4, 'offsets', 'i32', [experts + 1]);
  const [t, s, f, d] = iterators(4) as [Scalar, Scalar, Scalar, Scalar];
  const body = apply('mul', load(x, [t, d]), load(w, [load(pick, [t, s]), d, f]));
  const nodes: Node[] = [
    { kind: 'route', pick: 0, experts, order, offsets },
    reduceNode(tensor(5, 'h', 'f32', [tokens, 2, columns]), 'sum', [width], body, undefined, {
      pick: 0,
      order: 3,
      offsets: 4,
      experts,
      axes: [0, 1],
    }),
  ];
  await expectAgreement(graphOf('grouped', [pick, x, w], nodes), {
    profile,
    relative: 1e-5,
    values: ({ name }) =>
      name === 'pick'
        ? Array.from({ length: tokens * 2 }, (_, at) => ((at * 5 + 1) % 11) % experts)
        : undefined,
  });
}

describe('a loop', () => {
  test('passes states on, collects, and reads what its step chooses', async () => {
    const x = tensor(0, 'x', 'f32', [4]);
    const layers = tensor(1, 'layers', 'f32', [3, 4]);
    const state = tensor(2, 'state', 'f32', [4]);
    const [next, seen] = [tensor(3, 'next', 'f32', [4]), tensor(4, 'seen', 'f32', [4])];
    const at = iterator(0);
    const chosen = load(layers, [counter(0), at]);
    const body: Graph = {
      name: 'body',
      inputs: [{ path: 'state', tensor: state }],
      nodes: [
        mapNode(next, apply('add', apply('mul', load(state, [at]), float(0.5)), chosen)),
        mapNode(seen, apply('mul', load(next, [at]), constant('f32', 3))),
      ],
      outputs: [
        { path: 'next', tensor: 3 },
        { path: 'seen', tensor: 4 },
      ],
    };
    const loop: Node = {
      kind: 'loop',
      loop: 0,
      count: 3,
      initial: [0],
      body,
      results: [tensor(5, 'final', 'f32', [4]), tensor(6, 'collected', 'f32', [3, 4])],
    };
    await expectAgreement(graphOf('loop', [x, layers], [loop]));
  });
});
