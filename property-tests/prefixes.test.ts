/** Prefix reductions of rows of drawn sizes, types and values, by schedules drawn of all that there are. */
import { afterAll, beforeAll, test } from 'vitest';
import { tensor } from '../backends/wgsl/graph-building.ts';
import { type Choose, pick } from '../compiler/graph/choice-tape.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import {
  type AlongRows,
  checkAlongRows,
  drawnShape,
  drawnValues,
  floats,
  isFloat,
  type Place,
} from './along-rows.ts';

let device: OpenedDevice;
beforeAll(async () => {
  device = await openDevice(await openAdapter({ kind: 'software' }));
});
afterAll(() => device.destroy());

/** Values of which every result is exact, in whatever order they are taken. */
const drawnValue = {
  sum: (choose: Choose, dtype: Dtype) => choose(9) - (dtype === 'u32' ? 0 : 4),
  prod: (choose: Choose, dtype: Dtype) =>
    pick(choose, isFloat(dtype) ? [1, -1, 1, -1, 1, 1, 2, 0.5] : dtype === 'u32' ? [1, 1, 3] : [1, -1, 3]),
  max: (choose: Choose, dtype: Dtype) => {
    if (!isFloat(dtype)) return choose(1000);
    return choose(40) === 0 ? pick(choose, [Number.NaN, -448, 448]) : choose(97) - 48;
  },
} as const;

function drawn(choose: Choose): AlongRows {
  const combiner = pick(choose, ['sum', 'prod', 'max'] as const);
  const dtype = pick(choose, ['f32', 'i32', 'u32', ...floats] as const);
  const shape = drawnShape(choose, 5000);
  const narrower = isFloat(dtype) ? pick(choose, floats) : dtype;
  return {
    source: tensor(0, 'x', dtype, shape),
    node: { kind: 'prefix', source: 0, combiner, result: tensor(1, 'y', narrower, shape) },
    values: drawnValues(shape, () => drawnValue[combiner](choose, dtype)),
  };
}

test.each([
  ['WebAssembly', 30, ['walk', 'pieces']],
  ['WGSL', 20, ['walk', 'scan', 'pieces']],
  ['sm_80', 20, ['walk', 'scan', 'pieces']],
  ['sm_90a', 12, ['walk', 'scan', 'pieces']],
] as const)('in %s', async (where: Place, count, forms) => {
  await checkAlongRows('prefix', drawn, { where, device, count, forms });
});
