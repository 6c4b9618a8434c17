/** How far kernels go in a run of a bounded program: along their grids, and in their loops. */
import type { Extent, Sizes } from '../graph/extent.ts';
import { extentAt, extentScalar, scaledExtent } from '../graph/extent.ts';
import type { ComputeNode, Ends, Scalar, SoftmaxSumNode, Tensor } from '../graph/graph.ts';
import { apply as applied, boolean, iterator, mapScalar, scalarKey } from '../graph/scalar.ts';
import { constant, device, product, sum, type TileExpression } from './tile-expression.ts';

/**
 * How many workgroups have something to do along an axis of a grid: `extent / per` rounded up, and `beside`
 * more; never more than the grid has.
 */
export interface GridEnd {
  readonly extent: Extent;
  readonly per: number;
  readonly beside: number;
}

export function gridEnd(extent: Extent | undefined, per: number, beside = 0): GridEnd | undefined {
  return extent && { extent, per, beside };
}

/** Of an axis of `most` workgroups, in a run. */
export function groupsAt(most: number, end: GridEnd | undefined, sizes: Sizes): number {
  if (end === undefined) return most;
  const needed = Math.ceil(Math.max(0, extentAt(end.extent, sizes)) / end.per);
  return Math.min(most, needed === 0 ? 0 : needed + end.beside);
}

/** As a kernel computes it: all of `extent` where nothing ends before. */
export function endExpression(end: Extent | undefined, extent: number): TileExpression {
  if (end === undefined) return constant(extent);
  return sum(
    constant(end.constant),
    ...end.terms.map(({ size, most, factor }) => product(device(size, most + 1), constant(factor))),
  );
}

/** By axis of the node: of its results, then of what it reduces. */
export function endsOf(node: ComputeNode | SoftmaxSumNode): Ends {
  const outputs = node.result.shape.map((_, dim) => node.result.ends?.[dim]);
  return [...outputs, ...(node.kind === 'compute' ? (node.reduce?.ends ?? []) : [node.end])];
}

/**
 * Where axes that one flat index runs through, row-major, end together: undefined unless it is the slowest of
 * them that ends.
 */
export function flatEnd(axes: readonly number[], extents: readonly number[], ends: Ends): Extent | undefined {
  const [first, ...rest] = axes.filter((axis) => extents[axis] !== 1);
  const end = first === undefined ? undefined : ends[first];
  if (end === undefined || rest.some((axis) => ends[axis] !== undefined)) return undefined;
  return scaledExtent(
    end,
    rest.reduce((size, axis) => size * extents[axis]!, 1),
  );
}

/** Where rows end together: the axes of a tensor but the last one. */
export function endOfRows({ shape, ends = [] }: Pick<Tensor, 'shape' | 'ends'>): Extent | undefined {
  return flatEnd([...shape.keys()].slice(0, -1), shape, ends);
}

/** The scalar where these axes are known to be before their ends: without the choices that ask for it. */
export function assumingWithin(scalar: Scalar, axes: readonly number[], ends: Ends): Scalar {
  const asked = new Set(
    axes.flatMap((axis) => {
      const end = ends[axis];
      return end === undefined ? [] : [scalarKey(applied('lt', iterator(axis), extentScalar(end)))];
    }),
  );
  if (asked.size === 0) return scalar;
  return mapScalar(scalar, (part) => {
    if (part.op !== 'apply') return part;
    const [first, second] = part.operands as [Scalar, Scalar];
    if (part.function === 'lt' && asked.has(scalarKey(part))) return boolean(true);
    if (part.function === 'select' && isTrue(first)) return second;
    if (part.function === 'and' && isTrue(first)) return second;
    return part.function === 'and' && isTrue(second) ? first : part;
  });
}

function isTrue(scalar: Scalar): boolean {
  return scalar.op === 'constant' && scalar.value === 1 && scalar.dtype === 'bool';
}
