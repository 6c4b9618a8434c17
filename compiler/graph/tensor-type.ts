/** Plain facts about tensor types. */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { TensorType } from './graph.ts';

type Shaped = Pick<TensorType, 'shape'>;

/** 1 for a scalar. */
export function elementCount({ shape }: Shaped): number {
  return shape.reduce((product, extent) => product * extent, 1);
}

export function sameShape(left: Shaped, right: Shaped): boolean {
  return (
    left.shape.length === right.shape.length &&
    left.shape.every((extent, axis) => extent === right.shape[axis])
  );
}

export function isFloat({ dtype }: Pick<TensorType, 'dtype'>): boolean {
  return dtypeFacts[dtype].class === 'float';
}

/** Row-major strides in elements. */
export function stridesOf(shape: readonly number[]): readonly number[] {
  const strides = new Array<number>(shape.length);
  let stride = 1;
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    strides[axis] = stride;
    stride *= shape[axis]!;
  }
  return strides;
}
