/**
 * Expressions over iterators that run over padding. What they give there is of no account, but a load must be
 * in range, and a reduction must get what changes nothing. Masks choose, and never multiply: what padding
 * holds may be infinite or NaN.
 */
import type { Combiner, LoopId, Scalar, TensorId } from '../../graph/graph.ts';
import {
  apply,
  constant,
  integer,
  iterator,
  iteratorsOf,
  type Load,
  mapScalar,
  scalarType,
  subexpressions,
} from '../../graph/scalar.ts';
import { factorsOf, product } from '../../optimize/contraction.ts';
import { contains, type Interval, rangeAnalysis } from '../../optimize/expressions/ranges.ts';
import { identityOf } from '../../optimize/reductions.ts';
import { isPlain, type Tensors } from './links.ts';

export interface PaddedScope {
  /** With their true shapes. */
  readonly tensors: Tensors;
  /** Extent of a tensor's dimension, padded. */
  readonly extentOf: (tensor: TensorId, dim: number) => number;
  /** What the padding of a tensor is known to hold. */
  readonly padding: ReadonlyMap<TensorId, Interval>;
  /** Counts of the loops around the node. */
  readonly loops: ReadonlyMap<LoopId, number>;
  /** Of the node's iterators: true, and padded. */
  readonly extents: readonly number[];
  readonly padded: readonly number[];
}

const zeros: Interval = { low: 0, high: 0 };

/** `i < n` for each of the axes; undefined for none. */
function within(axes: Iterable<number>, { extents }: PaddedScope): Scalar | undefined {
  const conditions = [...axes].map((axis) => apply('lt', iterator(axis), integer(extents[axis]!)));
  return conditions.length === 0 ? undefined : conditions.reduce((left, right) => apply('and', left, right));
}

function chosen(condition: Scalar | undefined, value: Scalar, otherwise: number): Scalar {
  if (condition === undefined) return value;
  return apply('select', condition, value, constant(scalarType(value), otherwise));
}

// ── loads ──────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The expression with all loads in range where some of `axes` run over padding. Subscripts stay as they are,
 * so that what could be shown of them still can.
 */
export function guarded(root: Scalar, axes: ReadonlySet<number>, scope: PaddedScope): Scalar {
  const { tensors, extentOf, extents, padded, loops } = scope;
  const range = rangeAnalysis({ extents: padded, loops });
  const paddedIn = (scalar: Scalar) => [...iteratorsOf(scalar)].filter((axis) => axes.has(axis));
  // What a condition keeps from being read out of range is read where the condition is that of padding.
  const inConditions = subexpressions(root).flatMap((part) =>
    part.op === 'apply' && part.function === 'select' ? paddedIn(part.operands[0]!) : [],
  );

  function isInside(subscript: Scalar, limit: number): boolean {
    return contains({ low: 0, high: limit - 1 }, range(subscript));
  }

  /** Whether padding gives a subscript that is in range: a load at positions of which one is padding. */
  function isHarmless(subscript: Scalar, limit: number): boolean {
    if (subscript.op !== 'load') return false;
    const known = scope.padding.get(subscript.tensor);
    return (
      known !== undefined &&
      contains({ low: 0, high: limit - 1 }, known) &&
      subscript.subscripts.every(
        (inner, dim) => isPlain(subscript, dim, extents, tensors) || paddedIn(inner).length === 0,
      )
    );
  }

  function guardedLoad(load: Load): Scalar {
    const unsafe = new Set<number>();
    for (const [dim, subscript] of load.subscripts.entries()) {
      const limit = extentOf(load.tensor, dim);
      if (isPlain(load, dim, extents, tensors) || isInside(subscript, limit)) continue;
      for (const axis of inConditions) unsafe.add(axis);
      if (!isHarmless(subscript, limit)) for (const axis of paddedIn(subscript)) unsafe.add(axis);
    }
    return chosen(within(unsafe, scope), { ...load, subscripts: load.subscripts.map(apart) }, 0);

    /** Extents that have become equal are still of two indices. */
    function apart(subscript: Scalar, dim: number): Scalar {
      const limit = extentOf(load.tensor, dim);
      const looksPlain = subscript.op === 'iterator' && padded[subscript.axis] === limit;
      return looksPlain && !isPlain(load, dim, extents, tensors)
        ? apply('min', subscript, integer(limit - 1))
        : subscript;
    }
  }

  return mapScalar(root, (scalar) => (scalar.op === 'load' ? guardedLoad(scalar) : scalar));
}

// ── reductions ─────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The body of a reduction, with what changes nothing where one of `axes` runs over padding. A product that is
 * summed stays one, each factor masked: a contraction is known by it.
 */
export function masked(
  body: Scalar,
  combiner: Combiner,
  axes: ReadonlySet<number>,
  scope: PaddedScope,
): Scalar {
  if (axes.size === 0) return body;
  const factors = combiner === 'sum' ? factorsOf(body) : [body];
  if (factors.length === 1)
    return chosen(within(axes, scope), body, identityOf(combiner, scalarType(body)) ?? 0);
  return product(
    factors.map((factor) => {
      if (factor.op === 'constant' && Number.isFinite(factor.value)) return factor;
      const left = [...axes].filter((axis) => !vanishes(factor, axis, scope));
      return chosen(within(left, scope), factor, 0);
    }),
  );
}

/** Whether the factor is known to be zero at the padding of the axis: it loads zeros there. */
function vanishes(factor: Scalar, axis: number, { padding, extents, tensors }: PaddedScope): boolean {
  if (factor.op !== 'load') return false;
  const known = padding.get(factor.tensor);
  const reading = [...factor.subscripts.keys()].filter((dim) =>
    iteratorsOf(factor.subscripts[dim]!).has(axis),
  );
  return (
    known !== undefined &&
    contains(zeros, known) &&
    reading.length > 0 &&
    reading.every((dim) => isPlain(factor, dim, extents, tensors))
  );
}
