/**
 * Reductions that are less than they seem: over one position, over none, or over an axis that makes no
 * difference.
 */
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { Arithmetic, Combiner, ComputeNode, Scalar } from '../graph/graph.ts';
import {
  constant,
  integer,
  iterator,
  iteratorsOf,
  scalarType,
  substituteIterators,
} from '../graph/scalar.ts';
import { valuesOf } from './expressions/ranges.ts';
import { substituteReduced } from './expressions/substitute.ts';

/** The value of a reduction over nothing; argmax and argmin have none and are checked before. */
const identities: { readonly [C in Combiner]: ((type: Arithmetic) => number) | undefined } = {
  sum: () => 0,
  prod: () => 1,
  max: (type) => valuesOf(type).low,
  min: (type) => valuesOf(type).high,
  any: () => 0,
  all: () => 1,
  argmax: undefined,
  argmin: undefined,
};

/** undefined for argmax and argmin. */
export function identityOf(combiner: Combiner, type: Arithmetic): number | undefined {
  return identities[combiner]?.(type);
}

/** Combiners to which it is all the same how often a value comes. */
const idempotent: ReadonlySet<Combiner> = new Set(['max', 'min', 'any', 'all']);

function asMap(node: ComputeNode, reduced: Scalar): ComputeNode {
  const finish = node.reduce?.finish;
  const body = finish === undefined ? reduced : substituteReduced(finish, reduced);
  return { ...node, body, reduce: undefined, grouped: undefined };
}

/** Which extents may be 0 in a run, in a program of bounded sizes. */
export type MayBeEmpty = (extent: number) => boolean;

/**
 * The same tensor with no reduced axis of extent 0 or 1, nor one that cannot change the result, as it does
 * where there may be nothing along it.
 */
export function simplifyReduction(node: ComputeNode, mayBeEmpty: MayBeEmpty): ComputeNode {
  const { reduce } = node;
  if (reduce === undefined) return node;
  const { combiner, extents } = reduce;
  if (extents.includes(0)) {
    const identity = identityOf(combiner, scalarType(node.body));
    return identity === undefined ? node : asMap(node, constant(scalarType(node.body), identity));
  }
  const rank = node.result.shape.length;
  const used = iteratorsOf(node.body);
  const isIdle = (extent: number, position: number) =>
    extent === 1 || (idempotent.has(combiner) && !used.has(rank + position) && !mayBeEmpty(extent));
  if (!extents.some(isIdle)) return node;
  const kept = extents.flatMap((extent, position) => (isIdle(extent, position) ? [] : [position]));
  const body = substituteIterators(node.body, (axis) => {
    if (axis < rank) return iterator(axis);
    const position = kept.indexOf(axis - rank);
    return position < 0 ? integer(0) : iterator(rank + position);
  });
  if (kept.length > 0)
    return { ...node, body, reduce: { ...reduce, extents: kept.map((position) => extents[position]!) } };
  const position = combiner === 'argmax' || combiner === 'argmin';
  return asMap(node, position ? integer(0) : body);
}

/**
 * Without what storing does anyway: a last rounding to the result's own dtype, a `finish` that changes
 * nothing.
 */
export function simplifyStore(node: ComputeNode): ComputeNode {
  const { reduce, result } = node;
  if (reduce === undefined) return { ...node, body: withoutRounding(node.body, result.dtype) };
  const finish = reduce.finish && withoutRounding(reduce.finish, result.dtype);
  return { ...node, reduce: { ...reduce, finish: finish?.op === 'reduced' ? undefined : finish } };
}

function withoutRounding(scalar: Scalar, stored: Dtype): Scalar {
  const stores = scalar.op === 'round' && scalar.dtype === stored;
  return stores && scalarType(scalar.operand) === dtypeFacts[stored].arithmetic ? scalar.operand : scalar;
}
