/**
 * Sorting and top-k by counting: an entry's rank is the number of entries that come before it, and the entry
 * of rank r is the result's r-th. Two reductions, n² comparisons a row, stable on every device without
 * barriers.
 */
import { extentScalar } from '../../graph/extent.ts';
import type { ComputeNode, OrderNode, Scalar, TensorType } from '../../graph/graph.ts';
import { apply, boolean, integer, iterator, load } from '../../graph/scalar.ts';
import type { ScheduledStep } from '../scheduled.ts';
import type { ScheduleContext } from './context.ts';

export function orderByCounting(node: OrderNode, context: ScheduleContext): readonly ScheduledStep[] {
  const source = context.tensors(node.source);
  const rank = source.shape.length;
  const extent = source.shape.at(-1) ?? 0;
  const ranks = context.temporary(`${node.result.name}_rank`, {
    dtype: 'i32',
    shape: source.shape,
    ...(source.ends && { ends: source.ends }),
  });
  const row = Array.from({ length: rank - 1 }, (_, axis) => iterator(axis));
  const own = iterator(rank - 1);
  const other = iterator(rank);
  const at = (place: Scalar) => load(source, [...row, place]);
  const end = source.ends?.at(-1);
  const isReal = (condition: Scalar) =>
    end === undefined ? condition : apply('and', apply('lt', other, extentScalar(end)), condition);
  const reduce: ComputeNode['reduce'] = {
    ...{ combiner: 'sum', extents: [extent], finish: undefined },
    ...(end && { ends: [end] }),
  };
  const counted: ComputeNode = {
    kind: 'compute',
    result: ranks,
    body: apply(
      'select',
      isReal(comesBefore(node.direction, source, at(other), at(own), other, own)),
      integer(1),
      integer(0),
    ),
    reduce,
    grouped: undefined,
  };
  const isWanted = apply('eq', load(ranks, [...row, iterator(rank)]), iterator(rank - 1));
  const chosen: ComputeNode = {
    kind: 'compute',
    result: node.result,
    body: apply('select', isReal(isWanted), iterator(rank), integer(0)),
    reduce,
    grouped: undefined,
  };
  return [...context.node(counted), ...context.node(chosen)];
}

/**
 * Whether the entry `left` at `leftPlace` stands before `right`: better, or equal and earlier; NaN behind all
 * else.
 */
function comesBefore(
  direction: OrderNode['direction'],
  type: TensorType,
  left: Scalar,
  right: Scalar,
  leftPlace: Scalar,
  rightPlace: Scalar,
): Scalar {
  const better = direction === 'ascending' ? less(left, right) : less(right, left);
  const earlier = apply('lt', leftPlace, rightPlace);
  const tie = apply('and', apply('eq', left, right), earlier);
  const plain = apply('or', better, tie);
  if (!hasNaN(type)) return plain;
  const [leftIsNaN, rightIsNaN] = [isNaNOf(left), isNaNOf(right)];
  const behindNaN = apply('or', apply('not', leftIsNaN), earlier);
  return apply('select', rightIsNaN, behindNaN, apply('and', apply('not', leftIsNaN), plain));
}

function less(left: Scalar, right: Scalar): Scalar {
  return apply('lt', left, right);
}

function hasNaN({ dtype }: TensorType): boolean {
  return dtype === 'f32' || dtype === 'bf16' || dtype === 'f16' || dtype === 'f8e4m3' || dtype === 'f8e5m2';
}

function isNaNOf(value: Scalar): Scalar {
  return value.op === 'constant' ? boolean(Number.isNaN(value.value)) : apply('ne', value, value);
}
