import { describe, test } from 'vitest';
import { type Combiner, combiners, type Scalar } from '../../compiler/graph/graph.ts';
import { apply, convert, float, iterator, load, reduced } from '../../compiler/graph/scalar.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { graphOf, reduceNode, tensor } from './graph-building.ts';
import { expectAgreement } from './testing.ts';

/** Reductions as on a GPU, by workgroups with barriers; run on whatever device there is. */
const asOnGpu = (profile: DeviceProfile): DeviceProfile => ({ ...profile, software: false });
const profiles = { software: (profile: DeviceProfile) => profile, 'as on a GPU': asOnGpu };

async function reduceRows(
  combiner: Combiner,
  rows: number,
  length: number,
  options: {
    dtype?: Dtype;
    resultDtype?: Dtype;
    profile?: (profile: DeviceProfile) => DeviceProfile;
    down?: boolean;
    finish?: Scalar;
    body?: (x: Scalar) => Scalar;
    values?: readonly number[];
  } = {},
): Promise<void> {
  const { dtype = 'f32', resultDtype = 'f32', down = false, body = (x) => x, finish } = options;
  const x = tensor(0, 'x', dtype, down ? [length, rows] : [rows, length]);
  const at = down ? [iterator(1), iterator(0)] : [iterator(0), iterator(1)];
  const node = reduceNode(
    tensor(1, 'out', resultDtype, [rows]),
    combiner,
    [length],
    body(load(x, at)),
    finish,
  );
  await expectAgreement(graphOf(`${combiner}`, [x], [node]), {
    ...(options.profile && { profile: options.profile }),
    ...(options.values && { values: () => options.values }),
  });
}

const sizes = [
  [1, 1],
  [1, 5000],
  [3, 7],
  [5, 64],
  [8, 33],
  [100, 48],
  [260, 4],
  [2, 12],
  [7, 0],
] as const;

for (const [where, profile] of Object.entries(profiles))
  describe(`a reduction, ${where}`, () => {
    for (const [rows, length] of sizes)
      for (const down of [false, true])
        test(`of ${rows} rows of ${length}, ${down ? 'strided' : 'contiguous'}`, () =>
          reduceRows('sum', rows, length, { profile, down }));

    for (const combiner of combiners) {
      const isLogical = combiner === 'any' || combiner === 'all';
      const isPosition = combiner === 'argmax' || combiner === 'argmin';
      const resultDtype = isLogical ? 'bool' : isPosition ? 'i32' : 'f32';
      const dtype = isLogical ? 'bool' : 'f32';
      for (const [rows, length] of [
        [5, 37],
        [9, 64],
        [1, 6000],
      ] as const)
        test(`${combiner} over ${rows} × ${length}`, () =>
          reduceRows(combiner, rows, length, { profile, dtype, resultDtype }));
    }

    test('the first of equal ones, beside NaN and infinities', async () => {
      const [inf, nan] = [Number.POSITIVE_INFINITY, Number.NaN];
      const values = [1, 3, 2, 3, -inf, -inf, -inf, -inf, nan, 2, nan, 2, inf, 1, inf, nan];
      for (const combiner of ['argmax', 'argmin'] as const)
        await reduceRows(combiner, 4, 4, { profile, resultDtype: 'i32', values });
    });

    test('of integers is exact', async () => {
      for (const combiner of ['sum', 'max', 'min', 'argmax'] as const)
        for (const dtype of ['i32', 'i8'] as const)
          await reduceRows(combiner, 6, 50, { profile, dtype, resultDtype: 'i32' });
    });

    test('with a body and a finish', async () => {
      const finish = apply('rsqrt', apply('add', apply('div', reduced('f32'), float(48)), float(1e-5)));
      await reduceRows('sum', 20, 48, { profile, body: (x) => apply('mul', x, x), finish });
    });

    for (const resultDtype of ['bf16', 'u8'] as const)
      test(`into ${resultDtype} stores whole words`, async () => {
        const dtype = resultDtype === 'u8' ? 'u8' : 'f32';
        for (const [rows, length] of [
          [7, 20],
          [12, 33],
          [1, 9],
        ] as const)
          await reduceRows('max', rows, length, { profile, dtype, resultDtype });
      });

    test('over several axes, some of them in the middle', async () => {
      const x = tensor(0, 'x', 'f32', [3, 5, 4, 8]);
      const [i, j, k, l] = [iterator(0), iterator(2), iterator(1), iterator(3)];
      const result = tensor(1, 'out', 'f32', [3, 4]);
      await expectAgreement(
        graphOf('axes', [x], [reduceNode(result, 'sum', [5, 8], load(x, [i, j, k, l]))]),
        {
          profile,
        },
      );
    });

    test('to one number, of a large tensor', async () => {
      const x = tensor(0, 'x', 'f32', [37, 501]);
      const result = tensor(1, 'out', 'f32', []);
      const body = load(x, [iterator(0), iterator(1)]);
      await expectAgreement(graphOf('total', [x], [reduceNode(result, 'max', [37, 501], body)]), { profile });
    });

    test('counts what holds', async () => {
      const x = tensor(0, 'x', 'f32', [3, 5000]);
      const body = convert('i32', apply('lt', load(x, [iterator(0), iterator(1)]), float(0)));
      const result = tensor(1, 'out', 'i32', [3]);
      await expectAgreement(graphOf('count', [x], [reduceNode(result, 'sum', [5000], body)]), { profile });
    });
  });
