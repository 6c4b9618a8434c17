/** The types of tensors as they are written. */
import type { Placement } from '../../dsl/placement/placement.ts';
import type { PendingExpression, TypeExpression } from '../../dsl/syntax/tree.ts';
import type { Tensor, TensorType } from '../graph/graph.ts';
import type { Raising } from './raising.ts';
import { dim, identifier, namedType } from './source-tree.ts';

/** Of a tensor that is `ix(n)` where its range is known. */
export function storedType(raising: Raising, tensor: Tensor): TypeExpression {
  const below = raising.below.get(tensor.id);
  const element = below === undefined ? { name: tensor.dtype, sizes: [] } : { name: 'ix', sizes: [below] };
  return placedType(raising, element, tensor, raising.placementOf(tensor.id));
}

/** Of the tensor by its dtype alone. */
export function plainType(
  raising: Raising,
  tensor: TensorType,
  placement: Placement | undefined,
): TypeExpression {
  return placedType(raising, { name: tensor.dtype, sizes: [] }, tensor, placement);
}

interface Element {
  readonly name: string;
  readonly sizes: readonly number[];
}

export function placedType(
  raising: Raising,
  { name, sizes }: Element,
  { shape }: Pick<TensorType, 'shape'>,
  placement: Placement | undefined,
): TypeExpression {
  return namedType(name, sizes, dimsOf(raising, shape, placement), pendingOf(placement));
}

/** With what must be known of the mesh for them. */
export function dimsOf({ facts }: Raising, shape: readonly number[], placement: Placement | undefined) {
  return shape.map((extent, position) => {
    const axes = placement?.dims[position] ?? [];
    facts.divides(axes, extent);
    return dim(extent, axes);
  });
}

export function pendingOf(placement: Placement | undefined): readonly PendingExpression[] {
  return [...(placement?.pending ?? [])].map(([axis, reduction]) => ({ reduction, axis: identifier(axis) }));
}
