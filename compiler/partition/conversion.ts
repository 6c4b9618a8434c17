/** The conversions that move no data: slices of what is whole, and masks of what counts once. */
import { type AxisList, isPrefix, type Mesh, type Placement } from '../../dsl/placement/placement.ts';
import type { ComputeNode, Scalar, Tensor } from '../graph/graph.ts';
import { apply, constant, iterator, load, scalarType } from '../graph/scalar.ts';
import { blockOf, isFirst, localTensor, ownBlock } from './local-blocks.ts';

/** Whether what lives as `from` can live as `to` without data moving. */
export function isFree(from: Placement, to: Placement): boolean {
  const keepsPending = [...from.pending].every(([axis, combiner]) => to.pending.get(axis) === combiner);
  const used = from.dims.flat();
  const entered = [...to.pending.keys()].filter((axis) => !from.pending.has(axis));
  return (
    keepsPending &&
    from.dims.every((list, dim) => isPrefix(list, to.dims[dim]!)) &&
    entered.every((axis) => !used.includes(axis))
  );
}

/**
 * The node that makes a device's part of `to` from its part of `from`; `isFree` holds. `tensor` has the global
 * shape, `result` is a new tensor of that shape.
 */
export function conversionNode(
  tensor: Tensor,
  from: Placement,
  to: Placement,
  result: Tensor,
  mesh: Mesh,
): ComputeNode {
  const subscripts = tensor.shape.map((extent, dim) =>
    inside(extent, dim, from.dims[dim]!, to.dims[dim]!, mesh),
  );
  const read = load(tensor, subscripts);
  const entered = [...to.pending].flatMap(([axis, combiner]) =>
    !from.pending.has(axis) && combiner === 'sum' ? [axis] : [],
  );
  const zero = constant(scalarType(read), 0);
  const body: Scalar = entered.length === 0 ? read : apply('select', isFirst(entered, mesh), read, zero);
  return {
    kind: 'compute',
    result: localTensor(result, to, mesh),
    body,
    reduce: undefined,
    grouped: undefined,
  };
}

/** Where the smaller block lies in the larger one. */
function inside(extent: number, dim: number, from: AxisList, to: AxisList, mesh: Mesh): Scalar {
  const rest = to.slice(from.length);
  if (rest.length === 0) return iterator(dim);
  const start = apply('mul', ownBlock(rest, mesh), constant('i32', blockOf(extent, to, mesh)));
  return apply('add', start, iterator(dim));
}
