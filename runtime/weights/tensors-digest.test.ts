import { expect, test } from 'vitest';
import { type TensorData, tensorFromValues } from './tensor-data.ts';
import { tensorsDigest } from './tensors-digest.ts';

const digestOf = (...tensors: readonly (readonly [string, TensorData])[]) => tensorsDigest(new Map(tensors));
const x = tensorFromValues('f32', [2, 2], [1, 2, 3, 4]);
const y = tensorFromValues('i8', [3], [5, 6, 7]);

test('the order of tensors is no matter', () => {
  expect(digestOf(['x', x], ['y', y])).toBe(digestOf(['y', y], ['x', x]));
});

test('anything else is', () => {
  const digests = [
    digestOf(['x', x], ['y', y]),
    digestOf(['x', x]),
    digestOf(['y', x], ['x', y]),
    digestOf(['x', { ...x, shape: [4] }], ['y', y]),
    digestOf(['x', { ...x, dtype: 'i32' }], ['y', y]),
    digestOf(['x', tensorFromValues('f32', [2, 2], [1, 2, 3, -4])], ['y', y]),
  ];
  expect(new Set(digests).size).toBe(digests.length);
});
