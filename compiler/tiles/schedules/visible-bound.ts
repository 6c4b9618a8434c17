/**
 * How far the rows of a workgroup see, as far as that is known before the scores are: so that the masked half
 * of causal attention is not computed.
 */
import type { ComputeNode, Scalar, SoftmaxSumNode } from '../../graph/graph.ts';
import {
  apply as applied,
  integer,
  iterator,
  iteratorsOf,
  loadsOf,
  subexpressions,
  substituteIterators,
} from '../../graph/scalar.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { constant, difference, maximum, minimum, sum, type TileExpression } from '../tile-expression.ts';
import type { AxisClass } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';

/**
 * A conjunct of `visible` that says where the positions that a row sees begin or end, as a number that grows
 * with the row.
 */
interface Limit {
  readonly of: 'begin' | 'end';
  /** It is `bound − start`, and one more where `isBeyond`; `start` is the same for all rows. */
  readonly bound: Scalar;
  readonly start: Scalar;
  readonly isBeyond: boolean;
}

/** Flat rows, of a workgroup, and what computes there. */
export interface Rows {
  readonly rows: AxisClass;
  readonly at: (flats: { row: TileExpression }) => readonly TileExpression[];
  /** The first one, and how many there are, those behind the last row included. */
  readonly first: TileExpression;
  readonly together: number;
}

/** An axis that is gone through in blocks, and the positions along it that a row sees. */
export interface Streamed {
  /** The iterator of `visible` that a position is. */
  readonly axis: number;
  readonly extent: number;
  /** bool; undefined when all is visible. */
  readonly visible: Scalar | undefined;
}

export function streamedOf({ result, extent, visible }: SoftmaxSumNode): Streamed {
  return { axis: result.shape.length, extent, visible };
}

/** From one position to another, the latter excluded; it may have none. */
export interface Positions {
  readonly from: TileExpression;
  readonly to: TileExpression;
}

/**
 * Between which positions all are that any row of the workgroup sees, as far as conjuncts `start + u <=
 * f(row)` and `f(row) <= start + u` of `visible` tell, for an f that grows with the row: so its values at the
 * workgroup's last row and at its first one do.
 */
export function seenPositions(streamed: Streamed, of: Rows, context: ScheduleContext): Positions {
  const [first, last] = endsOfRows(of);
  return positions(streamed, of, limitsOf(streamed, of.rows).known, { begin: first, end: last }, context);
}

/** Positions that all rows of the workgroup see; undefined where that is not known. */
export function commonPositions(
  streamed: Streamed,
  of: Rows,
  context: ScheduleContext,
): Positions | undefined {
  const { known, isAll } = limitsOf(streamed, of.rows);
  const [first, last] = endsOfRows(of);
  return isAll ? positions(streamed, of, known, { begin: last, end: first }, context) : undefined;
}

/** The rows that may see more than others do; undefined where none are known to. */
export function seesMost(streamed: Streamed, rows: AxisClass): 'first' | 'last' | undefined {
  const kinds = new Set(limitsOf(streamed, rows).known.map(({ of }) => of));
  if (kinds.has('end')) return 'last';
  return kinds.has('begin') ? 'first' : undefined;
}

function endsOfRows({ rows, first, together }: Rows): readonly [TileExpression, TileExpression] {
  return [first, minimum(sum(first, constant(together - 1)), constant(rows.extent - 1))];
}

/** @param rows those at which the limits of each kind are taken */
function positions(
  { extent }: Streamed,
  { at }: Rows,
  limits: readonly Limit[],
  rows: { readonly [L in Limit['of']]: TileExpression },
  { tensors }: ScheduleContext,
): Positions {
  const valuesOf = (of: Limit['of']) =>
    limits
      .filter((limit) => limit.of === of)
      .map(({ bound, start, isBeyond }) => {
        const [value, begin] = [bound, start].map((scalar) =>
          lowerScalar(scalar, { tensors, iterators: at({ row: rows[of] }) }),
        ) as [TileExpression, TileExpression];
        return difference(isBeyond ? sum(value, constant(1)) : value, begin);
      });
  return {
    from: valuesOf('begin').reduce(maximum, constant(0)),
    to: valuesOf('end').reduce(minimum, constant(extent)),
  };
}

/** Those that are known, and whether there are no others. */
function limitsOf(
  { visible, axis }: Streamed,
  { axes }: AxisClass,
): { readonly known: readonly Limit[]; readonly isAll: boolean } {
  const all = visible === undefined ? [] : conjuncts(visible);
  const known = all.flatMap((conjunct) => limitOf(conjunct, axis, axes) ?? []);
  return { known, isAll: known.length === all.length };
}

function limitOf(conjunct: Scalar, streamed: number, rowAxes: readonly number[]): Limit | undefined {
  if (conjunct.op !== 'apply' || (conjunct.function !== 'le' && conjunct.function !== 'lt')) return undefined;
  const isStrict = conjunct.function === 'lt';
  const [left, right] = conjunct.operands as [Scalar, Scalar];
  const [growing] = rowAxes;
  const grows = (bound: Scalar) => growing !== undefined && growsWith(bound, growing, rowAxes);
  const [before, behind] = [left, right].map((side) => startOf(side, streamed, rowAxes));
  if (before !== undefined && grows(right))
    return { of: 'end', bound: right, start: before, isBeyond: !isStrict };
  if (behind !== undefined && grows(left))
    return { of: 'begin', bound: left, start: behind, isBeyond: isStrict };
  return undefined;
}

/**
 * Where positions are looked up, as those of a sequence in zigzag order are: what `seenPositions` tells, for
 * each workgroup's rows, found by looking at all that it might see. That takes a comparison for each
 * position, where its score takes as many multiplications as a head is wide.
 */
export function lookedUpBound(
  { extent, result, visible }: SoftmaxSumNode,
  rows: Pick<AxisClass, 'axes' | 'extent'>,
  together: number,
  groups: number,
  context: Pick<ScheduleContext, 'temporary'>,
): ComputeNode | undefined {
  const streamed = result.shape.length;
  if (visible === undefined || groups === 0) return undefined;
  const isLookedUp = loadsOf(visible).some(({ subscripts }) =>
    subscripts.some((part) => iteratorsOf(part).has(streamed)),
  );
  const known = new Set([...rows.axes, streamed]);
  const isOfRows = [...iteratorsOf(visible)].every((axis) => known.has(axis));
  if (!isLookedUp || !isOfRows || subexpressions(visible).some(({ op }) => op === 'reduced'))
    return undefined;
  const [group, thread, position] = [iterator(0), iterator(1), iterator(2)];
  const wanted = applied('add', applied('mul', group, integer(together)), thread);
  const row = applied('min', wanted, integer(rows.extent - 1));
  const iterators = new Map<number, Scalar>([[streamed, position]]);
  let stride = rows.extent;
  for (const axis of rows.axes) {
    stride /= result.shape[axis]!;
    const major = applied('floordiv', row, integer(stride));
    iterators.set(axis, applied('mod', major, integer(result.shape[axis]!)));
  }
  const isSeen = substituteIterators(visible, (axis) => iterators.get(axis)!);
  return {
    kind: 'compute',
    result: context.temporary(`${result.name}_bound`, { dtype: 'i32', shape: [groups] }),
    body: applied('select', isSeen, applied('add', position, integer(1)), integer(0)),
    reduce: { combiner: 'max', extents: [together, extent], finish: undefined },
    grouped: undefined,
  };
}

/**
 * What is added to the streamed position, the same for all rows; undefined where the scalar is no such sum.
 */
function startOf(scalar: Scalar, streamed: number, rowAxes: readonly number[]): Scalar | undefined {
  if (scalar.op === 'iterator') return scalar.axis === streamed ? integer(0) : undefined;
  if (scalar.op !== 'apply' || scalar.function !== 'add') return undefined;
  const [left, right] = scalar.operands as [Scalar, Scalar];
  const varying = new Set([...rowAxes, streamed]);
  const isSame = (part: Scalar) => isSameForAll(part, (axis) => !varying.has(axis));
  if (isSame(left)) return withStart(left, startOf(right, streamed, rowAxes));
  return isSame(right) ? withStart(right, startOf(left, streamed, rowAxes)) : undefined;
}

function withStart(part: Scalar, rest: Scalar | undefined): Scalar | undefined {
  return rest && applied('add', part, rest);
}

function conjuncts(condition: Scalar): readonly Scalar[] {
  return condition.op === 'apply' && condition.function === 'and'
    ? condition.operands.flatMap(conjuncts)
    : [condition];
}

/** A sum of the slowest row axis, constants and values that are the same for all rows. */
function growsWith(scalar: Scalar, axis: number, rowAxes: readonly number[]): boolean {
  if (scalar.op === 'iterator') return scalar.axis === axis || !rowAxes.includes(scalar.axis);
  if (scalar.op === 'apply' && scalar.function === 'add')
    return scalar.operands.every((operand) => growsWith(operand, axis, rowAxes));
  return isSameForAll(scalar);
}

/** Computed from constants, steps of loops, the device's coordinates, scalar tensors and some axes alone. */
function isSameForAll(scalar: Scalar, isSameAlong: (axis: number) => boolean = () => false): boolean {
  const isSame = (part: Scalar) => isSameForAll(part, isSameAlong);
  switch (scalar.op) {
    case 'constant':
    case 'counter':
    case 'coordinate':
    case 'size':
      return true;
    case 'load':
      return scalar.subscripts.length === 0;
    case 'apply':
      return scalar.operands.every(isSame);
    case 'convert':
    case 'round':
      return isSame(scalar.operand);
    case 'iterator':
      return isSameAlong(scalar.axis);
    case 'reduced':
      return false;
  }
}
