/** Sorting and the best so many of rows of drawn sizes, types and values, by schedules drawn of all there are. */
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

/** So many different ones that some rows have ties and others have none; the ends of ranges among them. */
function drawnValue(choose: Choose, dtype: Dtype, distinct: number): number {
  if (!isFloat(dtype)) {
    const ends = dtype === 'u32' ? [0, 2 ** 32 - 1] : [-(2 ** 31), 2 ** 31 - 1];
    return choose(30) === 0 ? pick(choose, ends) : choose(distinct) - (dtype === 'u32' ? 0 : distinct >> 1);
  }
  if (choose(30) > 0) return choose(distinct) - (distinct >> 1);
  return pick(choose, [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -0]);
}

function drawn(choose: Choose): AlongRows {
  const dtype = pick(choose, ['f32', 'f32', 'i32', 'u32', ...floats] as const);
  const shape = drawnShape(choose, 1500);
  const length = shape.at(-1)!;
  const kept = pick(choose, [length, length, Math.min(length, 1 + choose(60)), choose(length + 1)]);
  const distinct = pick(choose, [3, 100, 16]);
  return {
    source: tensor(0, 'x', dtype, shape),
    node: {
      ...{ kind: 'order', source: 0, direction: pick(choose, ['ascending', 'descending'] as const) },
      result: tensor(1, 'y', 'i32', [...shape.slice(0, -1), kept]),
    },
    values: drawnValues(shape, () => drawnValue(choose, dtype, distinct)),
  };
}

test.each([
  ['WebAssembly', 10, ['merge', 'count']],
  ['WGSL', 5, ['sort', 'merge']],
  ['sm_80', 12, ['sort', 'merge', 'count']],
  ['sm_90a', 6, ['sort']],
] as const)('in %s', async (where: Place, count, forms) => {
  await checkAlongRows('order', drawn, { where, device, count, forms });
});
