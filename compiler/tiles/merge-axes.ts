/**
 * Neighbouring axes that every access walks through as if they were one: an elementwise operation on any rank
 * is one on a flat array.
 */
import type { Extent } from '../graph/extent.ts';
import type { Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { lowerScalar } from './lower-scalar.ts';
import { constant, operandsOf, type TileExpression } from './tile-expression.ts';

/** Consecutive axes `first … last` to be run through by one flat index. */
export interface AxisGroup {
  readonly first: number;
  readonly last: number;
  readonly extent: number;
  /** Where the flat index ends in a run, if before that. */
  readonly end?: Extent | undefined;
  /** The axis whose iterator is the flat index; the others' are 0. */
  readonly carrier: number;
}

/** A stand-in for iterator `axis`, for `mergeAxes` to look for. */
export function placeholder(axis: number, extent: number): TileExpression {
  if (extent === 1) return constant(0);
  return {
    op: 'variable',
    name: `axis${axis}`,
    range: { low: 0, high: Math.max(0, extent - 1) },
    multipleOf: 1,
  };
}

/**
 * Groups the axes `from … to − 1` so that in all `expressions`, written with `placeholder`s, a group's axes
 * occur only within offsets that are linear in them, with the strides of a row-major box.
 */
export function mergeAxes(
  expressions: readonly TileExpression[],
  extents: readonly number[],
  from: number,
  to: number,
): AxisGroup[] {
  const uses = findUses(expressions);
  const groups: AxisGroup[] = [];
  for (let axis = from; axis < to; axis++) {
    const extent = extents[axis]!;
    const previous = groups.at(-1);
    const alone = { first: axis, last: axis, extent, carrier: axis };
    if (previous === undefined) groups.push(alone);
    else if (extent === 1) groups.splice(-1, 1, { ...previous, last: axis });
    else if (previous.extent === 1) groups.splice(-1, 1, { ...alone, first: previous.first });
    else if (canMerge(uses, previous.carrier, axis, extents))
      groups.splice(-1, 1, { ...alone, first: previous.first, extent: previous.extent * extent });
    else groups.push(alone);
  }
  return groups;
}

/** The iterators when each group runs through `indices`: all of it on the group's carrier. */
export function groupIterators(
  groups: readonly AxisGroup[],
  indices: readonly TileExpression[],
): TileExpression[] {
  return groups.flatMap((group, at) =>
    Array.from({ length: group.last - group.first + 1 }, (_, axis) =>
      group.first + axis === group.carrier ? indices[at]! : constant(0),
    ),
  );
}

/** How many loads in `body` meet neighbours in memory along an axis, or the same element several times. */
export function innermostStrides(
  body: Scalar,
  extents: readonly number[],
  axis: number,
  tensors: (id: TensorId) => Tensor,
): number {
  const iterators = extents.map((extent, at) => placeholder(at, extent));
  const { strides } = findUses([lowerScalar(body, { tensors, iterators })]);
  return strides.filter((of) => {
    const stride = of.get(`axis${axis}`) ?? 0;
    return stride > 0 && stride <= 1;
  }).length;
}

/** How many loads that vary along two axes have neighbours in memory along the one, and along the other. */
export function neighbouringLoads(
  body: Scalar,
  extents: readonly number[],
  axis: number,
  other: number,
  tensors: (id: TensorId) => Tensor,
): { readonly along: number; readonly across: number } {
  const iterators = extents.map((extent, at) => placeholder(at, extent));
  const { strides } = findUses([lowerScalar(body, { tensors, iterators })]);
  const [first, second] = [`axis${axis}`, `axis${other}`];
  const both = strides.filter((of) => of.has(first) && of.has(second));
  return {
    along: both.filter((of) => of.get(first) === 1).length,
    across: both.filter((of) => of.get(second) === 1).length,
  };
}

interface Uses {
  /** Axes used other than linearly in an offset. */
  readonly irregular: ReadonlySet<string>;
  /** For each load, the stride of each axis in its offset: a half where two neighbours share an element. */
  readonly strides: readonly ReadonlyMap<string, number>[];
}

function canMerge(uses: Uses, carrier: number, axis: number, extents: readonly number[]): boolean {
  const [outer, inner] = [`axis${carrier}`, `axis${axis}`];
  if (uses.irregular.has(outer) || uses.irregular.has(inner)) return false;
  return uses.strides.every(
    (strides) => (strides.get(outer) ?? 0) === (strides.get(inner) ?? 0) * extents[axis]!,
  );
}

function findUses(expressions: readonly TileExpression[]): Uses {
  const irregular = new Set<string>();
  const strides: Map<string, number>[] = [];
  const seen = new Set<TileExpression>();
  const visit = (expression: TileExpression): void => {
    if (seen.has(expression)) return;
    seen.add(expression);
    if (expression.op === 'load') {
      const found = new Map<string, number>();
      addStrides(expression.offset, 1, found, visit);
      strides.push(found);
    } else if (expression.op === 'variable') irregular.add(expression.name);
    else for (const operand of operandsOf(expression)) visit(operand);
  };
  for (const expression of expressions) visit(expression);
  return { irregular, strides };
}

/** Adds the linear part of an offset; what is not linear is visited as an expression of its own. */
function addStrides(
  offset: TileExpression,
  factor: number,
  found: Map<string, number>,
  visit: (expression: TileExpression) => void,
): void {
  if (offset.op === 'variable') {
    found.set(offset.name, (found.get(offset.name) ?? 0) + factor);
    return;
  }
  if (offset.op === 'apply') {
    const [a, b] = offset.operands;
    if ((offset.function === 'add' || offset.function === 'sub') && a && b) {
      addStrides(a, factor, found, visit);
      addStrides(b, offset.function === 'add' ? factor : -factor, found, visit);
      return;
    }
    if (offset.function === 'mul' && a && b) {
      const [scale, scaled] = b.op === 'constant' ? [b, a] : [a, b];
      if (scale.op === 'constant') {
        addStrides(scaled, factor * scale.value, found, visit);
        return;
      }
    }
    if (offset.function === 'floordiv' && a && b?.op === 'constant' && b.value > 0)
      addStrides(a, factor / b.value, found, visit);
  }
  visit(offset);
}
