import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { deviceCount, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import { type Dtype, dtypes } from '../../dsl/types/dtype.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../weights/tensor-data.ts';
import { assemble, distribute } from './distribute.ts';
import { meshOf } from './testing.ts';

const cut = (dims: readonly (readonly string[])[], pending: Placement['pending'] = new Map()): Placement => ({
  dims,
  pending,
});

interface Distributed {
  readonly mesh: Mesh;
  readonly placement: Placement;
  readonly tensor: TensorData;
}

/** Each axis cuts a dimension, is pending or neither; dimensions are of 0 to 2 elements a block. */
const distributed: fc.Arbitrary<Distributed> = fc
  .record({
    sizes: fc.array(fc.integer({ min: 1, max: 3 }), { minLength: 1, maxLength: 3 }),
    blocks: fc.array(fc.integer({ min: 0, max: 2 }), { maxLength: 3 }),
    uses: fc.array(fc.nat(5), { minLength: 3, maxLength: 3 }),
    order: fc.boolean(),
    dtype: fc.constantFrom<Dtype>(...dtypes),
  })
  .map(({ sizes, blocks, uses, order, dtype }) => {
    const names = ['a', 'b', 'c'].slice(0, sizes.length);
    const mesh: Mesh = { axes: names.map((name, at) => ({ name, size: sizes[at]! })) };
    const listed = (use: number) => {
      const list = names.filter((_, at) => uses[at] === use);
      return order ? list : list.reverse();
    };
    const dims = blocks.map((_, dim) => listed(dim));
    const placement = cut(dims, new Map(listed(5).map((axis) => [axis, 'sum'] as const)));
    const along = (list: readonly string[]) =>
      list.reduce((count, axis) => count * sizes[names.indexOf(axis)]!, 1);
    const shape = blocks.map((block, dim) => block * along(dims[dim]!));
    const count = shape.reduce((product, extent) => product * extent, 1);
    const values = Array.from({ length: count }, (_, at) => (dtype === 'bool' ? at % 2 : at % 100));
    return { mesh, placement, tensor: tensorFromValues(dtype, shape, values) };
  });

/** The tensor with dimensions cut short, or with zeros behind their end. */
function cropOf(tensor: TensorData, shape: readonly number[]): TensorData {
  const values = tensorValues(tensor);
  const count = shape.reduce((product, extent) => product * extent, 1);
  const kept = Array.from({ length: count }, (_, at) => {
    let [rest, place, stride, isInside] = [at, 0, 1, true];
    for (let dim = shape.length - 1; dim >= 0; dim--) {
      const index = rest % shape[dim]!;
      rest = Math.floor(rest / shape[dim]!);
      isInside &&= index < tensor.shape[dim]!;
      place += index * stride;
      stride *= tensor.shape[dim]!;
    }
    return isInside ? values[place]! : 0;
  });
  return tensorFromValues(tensor.dtype, shape, kept);
}

describe('blocks', () => {
  test('put together are the tensor that was cut', () => {
    fc.assert(
      fc.property(distributed, ({ mesh, placement, tensor }) => {
        const blocks = distribute('x', tensor, placement, mesh);
        expect(blocks).toHaveLength(deviceCount(mesh));
        expect(assemble('x', blocks, placement, mesh)).toEqual(tensor);
      }),
      { numRuns: 500 },
    );
  });

  test('are numbered by coordinates, the first axis most significant', () => {
    const mesh = meshOf({ node: 2, gpu: 2 });
    const tensor = tensorFromValues('bf16', [4, 2], [0, 1, 2, 3, 4, 5, 6, 7]);
    const of = (placement: Placement) =>
      distribute('x', tensor, placement, mesh).map((block) => [...tensorValues(block)]);
    expect(of(cut([['node', 'gpu'], []]))).toEqual([
      [0, 1],
      [2, 3],
      [4, 5],
      [6, 7],
    ]);
    expect(of(cut([['gpu', 'node'], []]))).toEqual([
      [0, 1],
      [4, 5],
      [2, 3],
      [6, 7],
    ]);
    expect(of(cut([['node'], ['gpu']]))).toEqual([
      [0, 2],
      [1, 3],
      [4, 6],
      [5, 7],
    ]);
  });

  test('that are pending are combined', () => {
    const mesh = meshOf({ x: 3 });
    const blocks = [1, 5, 2].map((value) => tensorFromValues('f32', [], [value]));
    const combined = (['sum', 'max', 'min'] as const).map((combiner) =>
      tensorValues(assemble('x', blocks, cut([], new Map([['x', combiner]])), mesh)),
    );
    expect(combined.map(([value]) => value)).toEqual([8, 5, 1]);
    const [first, second] = distribute('x', blocks[1]!, cut([], new Map([['x', 'max']])), mesh);
    expect(second).toEqual(first);
  });

  test('that should be the same and are not are named, the first element that differs', () => {
    const mesh = meshOf({ x: 2, y: 2 });
    const placement = cut([['y']]);
    const blocks = distribute('x', tensorFromValues('f32', [4], [1, 2, 3, 4]), placement, mesh);
    const other = [...blocks.slice(0, 3), tensorFromValues('f32', [2], [3, 7])];
    expect(() => assemble('out', other, placement, mesh)).toThrow(
      'devices do not agree on out: at element 1 of f32[2], the device at x=0, y=1 has 4 and the device at ' +
        'x=1, y=1 has 7',
    );
    const zeros = [0, -0, 0, 0].map((value) => tensorFromValues('f32', [], [value]));
    expect(() => assemble('out', zeros, cut([]), mesh)).toThrow(
      'x=0, y=0 has 0 and the device at x=0, y=1 has -0',
    );
  });

  test('that reach over the end of the tensor hold zeros there, and are put together without', () => {
    fc.assert(
      fc.property(distributed, fc.array(fc.nat(4), { minLength: 3, maxLength: 3 }), (drawn, missing) => {
        const { mesh, placement, tensor } = drawn;
        const shape = tensor.shape.map((extent, dim) => Math.max(0, extent - missing[dim]!));
        const cropped = cropOf(tensor, shape);
        const [whole] = distribute('x', tensor, placement, mesh);
        const blocks = distribute('x', cropped, placement, mesh, whole!.shape);
        expect(assemble('x', blocks, placement, mesh, shape)).toEqual(cropped);
        const zeroed = cropOf(cropped, tensor.shape);
        expect(assemble('x', blocks, placement, mesh)).toEqual(zeroed);
      }),
      { numRuns: 500 },
    );
  });

  test('that are not equal are refused', () => {
    const tensor = tensorFromValues('f32', [3], [1, 2, 3]);
    expect(() => distribute('the input x', tensor, cut([['x']]), meshOf({ x: 2 }))).toThrow(
      'dimension 0 of the input x, of 3, is cut @x into 2 equal blocks',
    );
  });
});
