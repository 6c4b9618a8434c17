/**
 * Contractions: sums of products that matrix units can run. A pure analysis for the scheduler; the graph
 * keeps the node as it is.
 */
import type { ComputeNode, Scalar, SoftmaxSumNode } from '../graph/graph.ts';
import { apply, integer, iteratorsOf, mapScalar } from '../graph/scalar.ts';

/**
 * `result = finish(Σ over reduced: left · right)`. Every output axis is in one of `batch` (both factors vary
 * along it), `rows` (the left factor alone, or neither) and `columns` (the right factor alone); axes are
 * numbered as in the node. Of a grouped node, `rows` are the axes of the lookup, in its order, and `right`
 * varies along them through the expert only.
 */
export interface Contraction {
  readonly batch: readonly number[];
  readonly rows: readonly number[];
  readonly columns: readonly number[];
  readonly reduced: readonly number[];
  /** f32 expressions over loads; up to the order of multiplication the node's body is `left * right`. */
  readonly left: Scalar;
  readonly right: Scalar;
}

/** In the order in which the lookup goes through them, since `route` numbers rows so; then the others. */
function rowsOf(
  output: readonly number[],
  inRight: (axis: number) => boolean,
  lookup: readonly number[],
): readonly number[] {
  const rows = output.filter((axis) => !inRight(axis));
  return [...lookup.filter((axis) => rows.includes(axis)), ...rows.filter((axis) => !lookup.includes(axis))];
}

/** The factors of nested products, from left to right. */
export function factorsOf(body: Scalar): readonly Scalar[] {
  const factors: Scalar[] = [];
  const pending = [body];
  while (pending.length > 0) {
    const scalar = pending.pop()!;
    if (scalar.op === 'apply' && scalar.function === 'mul')
      pending.push(scalar.operands[1]!, scalar.operands[0]!);
    else factors.push(scalar);
  }
  return factors;
}

export function product(factors: readonly Scalar[]): Scalar {
  const [first, ...rest] = factors;
  return rest.reduce((left, right) => apply('mul', left, right), first!);
}

/**
 * The contraction that the node is, or undefined. The innermost output axis that not all factors share is a
 * column, so that what is stored together is computed together; factors with that axis are the right one, the
 * others the left.
 */
export function contractionOf(node: ComputeNode): Contraction | undefined {
  const { reduce, result, grouped } = node;
  if (reduce?.combiner !== 'sum' || reduce.extents.length === 0) return undefined;
  const factors = factorsOf(node.body);
  if (factors.length < 2 || !isFloat(node.body)) return undefined;
  const rank = result.shape.length;
  const axes = new Map(factors.map((factor) => [factor, axesOfFactor(factor, node)]));
  const vary = (factor: Scalar, axis: number) => axes.get(factor)!.has(axis);
  const isReduced = (factor: Scalar) => reduce.extents.some((_, position) => vary(factor, rank + position));
  const output = result.shape.map((_, axis) => axis);
  const column = output.findLast(
    (axis) =>
      !grouped?.axes.includes(axis) &&
      factors.some((factor) => vary(factor, axis) && isReduced(factor)) &&
      factors.some((factor) => !vary(factor, axis) && isReduced(factor)),
  );
  if (column === undefined) return undefined;
  const right = factors.filter((factor) => vary(factor, column));
  const left = factors.filter((factor) => !vary(factor, column));
  const inLeft = (axis: number) => left.some((factor) => vary(factor, axis));
  const inRight = (axis: number) => right.some((factor) => vary(factor, axis));
  const reduced = reduce.extents.map((_, position) => rank + position);
  if (!reduced.some((axis) => inLeft(axis) && inRight(axis))) return undefined;
  return {
    batch: output.filter((axis) => inLeft(axis) && inRight(axis)),
    rows: rowsOf(output, inRight, grouped?.axes ?? []),
    columns: output.filter((axis) => inRight(axis) && !inLeft(axis)),
    reduced,
    left: product(left),
    right: product(right),
  };
}

/** A contraction and the node that it is of. */
export interface Product {
  readonly node: ComputeNode & { readonly reduce: NonNullable<ComputeNode['reduce']> };
  readonly contraction: Contraction;
}

/**
 * The logits of a streaming node as a node that would store them, rows by streamed positions, if they are a
 * contraction of which these positions are the columns.
 */
export function productOfLogits(node: SoftmaxSumNode): Product | undefined {
  const { extent, logit, result, scoreBody, scoreExtents } = node;
  const streamed = result.shape.length;
  const ends = result.ends && { ends: [...result.ends, undefined] };
  const logits: Product['node'] = {
    kind: 'compute',
    result: { ...result, dtype: 'f32', shape: [...result.shape, extent], ...ends },
    body: scoreBody,
    reduce: { combiner: 'sum', extents: scoreExtents, finish: logit },
    grouped: undefined,
  };
  const contraction = contractionOf(logits);
  const isOfRows = contraction?.columns.length === 1 && contraction.columns[0] === streamed;
  return isOfRows ? { node: logits, contraction } : undefined;
}

function isFloat(body: Scalar): boolean {
  return body.op === 'apply' && body.dtype === 'f32';
}

/** The axes along which a factor varies; of a grouped node, not through the look-up of the expert. */
function axesOfFactor(factor: Scalar, { grouped }: ComputeNode): ReadonlySet<number> {
  if (grouped === undefined) return iteratorsOf(factor);
  const isLookup = (part: Scalar) =>
    part.op === 'load' &&
    part.tensor === grouped.pick &&
    part.subscripts.every(
      (subscript, position) => subscript.op === 'iterator' && subscript.axis === grouped.axes[position],
    );
  return iteratorsOf(mapScalar(factor, (part) => (isLookup(part) ? integer(0) : part)));
}
