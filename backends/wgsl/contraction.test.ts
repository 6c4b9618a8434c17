import { describe, test } from 'vitest';
import type { Scalar, Tensor } from '../../compiler/graph/graph.ts';
import { apply, float, iterator, load, reduced } from '../../compiler/graph/scalar.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { graphOf, reduceNode, tensor } from './graph-building.ts';
import { expectAgreement } from './testing.ts';

const profiles = {
  software: (profile: DeviceProfile): DeviceProfile => profile,
  'without subgroups': (profile: DeviceProfile): DeviceProfile => ({ ...profile, subgroupSize: undefined }),
  'as on a GPU': (profile: DeviceProfile): DeviceProfile => ({ ...profile, software: false }),
};

const [m, n, k] = [iterator(0), iterator(1), iterator(2)];

interface Options {
  readonly left?: 'mk' | 'km';
  readonly right?: 'kn' | 'nk';
  readonly dtype?: Dtype;
  readonly resultDtype?: Dtype;
  readonly prologue?: (a: Scalar) => Scalar;
  readonly finish?: Scalar;
  readonly profile: (profile: DeviceProfile) => DeviceProfile;
}

async function product(rows: number, columns: number, depth: number, options: Options): Promise<void> {
  const { left = 'mk', right = 'kn', dtype = 'f32', resultDtype = 'f32', finish, profile } = options;
  const a = tensor(0, 'a', dtype, left === 'mk' ? [rows, depth] : [depth, rows]);
  const b = tensor(1, 'b', dtype, right === 'kn' ? [depth, columns] : [columns, depth]);
  const factor = load(a, left === 'mk' ? [m, k] : [k, m]);
  const other = load(b, right === 'kn' ? [k, n] : [n, k]);
  const body = apply('mul', options.prologue?.(factor) ?? factor, other);
  const node = reduceNode(tensor(2, 'out', resultDtype, [rows, columns]), 'sum', [depth], body, finish);
  await expectAgreement(graphOf('product', [a, b], [node]), { profile, relative: 1e-5 });
}

/** Rows, columns and reduced extents: tiles that divide, primes, few rows, nothing. */
const sizes = [
  [32, 64, 16],
  [5, 7, 3],
  [33, 130, 65],
  [64, 12, 20],
  [1, 96, 48],
  [2, 40, 7],
  [3, 72, 40],
  [2, 33, 64],
  [13, 8, 129],
  [4, 4, 4],
  [6, 5, 0],
] as const;

for (const [where, profile] of Object.entries(profiles))
  describe(`a contraction, ${where}`, () => {
    for (const [place, [rows, columns, depth]] of sizes.entries())
      for (const right of ['kn', 'nk'] as const) {
        const left = place % 3 === 2 ? 'km' : 'mk';
        test(`${rows} × ${depth} × ${columns}, ${left}, ${right}`, () =>
          product(rows, columns, depth, { left, right, profile }));
      }

    test('of bf16, into bf16', async () => {
      await product(32, 64, 48, { profile, dtype: 'bf16', resultDtype: 'bf16' });
      await product(17, 35, 33, { profile, dtype: 'bf16', resultDtype: 'bf16', right: 'nk' });
    });

    test('with a prologue and an epilogue', async () => {
      const finish = apply('max', apply('sub', reduced('f32'), float(0.5)), float(0));
      await product(20, 48, 24, { profile, prologue: (a) => apply('mul', a, a), finish });
    });

    test('batched, with heads in the middle', async () => {
      // scores[h, s, u] = Σ_a q[s, h, a] · k[u, h, a]
      const [heads, queries, keys, width] = [3, 20, 24, 16];
      const q = tensor(0, 'q', 'f32', [queries, heads, width]);
      const keyTensor = tensor(1, 'k', 'f32', [keys, heads, width]);
      const [h, s, u, a] = [iterator(0), iterator(1), iterator(2), iterator(3)];
      const body = apply('mul', load(q, [s, h, a]), load(keyTensor, [u, h, a]));
      const node = reduceNode(tensor(2, 'scores', 'f32', [heads, queries, keys]), 'sum', [width], body);
      await expectAgreement(graphOf('scores', [q, keyTensor], [node]), { profile, relative: 1e-5 });
    });

    test('over two axes, into three', async () => {
      // out[t, g, r] = Σ_{h, a} x[t, h, a] · w[g, r, h, a]
      const x = tensor(0, 'x', 'f32', [18, 4, 8]);
      const w = tensor(1, 'w', 'f32', [3, 8, 4, 8]);
      const [t, g, r, h, a] = [0, 1, 2, 3, 4].map(iterator) as [Scalar, Scalar, Scalar, Scalar, Scalar];
      const body = apply('mul', load(x, [t, h, a]), load(w, [g, r, h, a]));
      const out: Tensor = tensor(2, 'out', 'f32', [18, 3, 8]);
      await expectAgreement(graphOf('axes', [x, w], [reduceNode(out, 'sum', [4, 8], body)]), {
        profile,
        relative: 1e-5,
      });
    });
  });
