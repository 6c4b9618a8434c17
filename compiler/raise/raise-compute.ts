/** A compute node as a comprehension: `for i, j: finish(sum r: body)`. */
import type { AxisList } from '../../dsl/placement/placement.ts';
import type { Binding, Expression, IndexPattern, ReductionName } from '../../dsl/syntax/tree.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ComputeNode, Scalar, Tensor } from '../graph/graph.ts';
import { constant, loadsOf, operands, reduced as reducedValue, scalarType } from '../graph/scalar.ts';
import { closed } from './raise-number.ts';
import {
  clampOf,
  type Iterator,
  type ReducedValue,
  raiseScalar,
  rangesIn,
  type ScalarScope,
  writeClamp,
} from './raise-scalar.ts';
import { countsOf, type Raising } from './raising.ts';
import {
  binding,
  block,
  call,
  comprehension,
  index,
  indexGroup,
  named,
  namePattern,
  reduction,
} from './source-tree.ts';
import { splitAxes } from './split-axes.ts';
import { storedType } from './tensor-types.ts';

export function raiseCompute(node: ComputeNode, raising: Raising): Binding {
  const { result } = node;
  const { value, below } = elementsOf(node, raising);
  if (below !== undefined && result.dtype === 'i32') raising.below.set(result.id, below);
  return binding(namePattern(raising.name(result.id)), storedType(raising, result), value);
}

interface Elements {
  readonly value: Expression;
  /** Where they are an `ix` in the source: its range. */
  readonly below: number | undefined;
}

/** An index of the source, a part of an axis of the node. */
interface Part extends Iterator {
  /** Whether its range must be written. */
  readonly bounded: boolean;
}

function elementsOf(node: ComputeNode, raising: Raising): Elements {
  const { result, reduce } = node;
  const rank = result.shape.length;
  const extents = [...result.shape, ...(reduce?.extents ?? [])];
  // There is no position in nothing: then there is no element either, and what it would be does not matter.
  const isNothing = isPosition(reduce) && extents.slice(rank).includes(0);
  const combined = isNothing ? undefined : reductionOf(reduce);
  const scalars = [
    isNothing ? constant('i32', 0) : node.body,
    ...(combined?.finish ? [combined.finish] : []),
  ];

  const split = splitAxes(scalars, extents, countsOf(raising), (axis, parts) =>
    cutsOf(axis, scalars, result, raising).every((axes) => raising.facts.splits(axes, parts)),
  );
  const [body, finish] = scalars.map(split.rewrite) as [Scalar, Scalar | undefined];
  const { scope, parts } = namedParts(split.parts, rank, [body, ...(finish ? [finish] : [])], raising);
  const patterns = parts.slice(0, rank).map((own) => patternOf(own, own.length > 1));
  if (combined === undefined) return elements(patterns, body, node, scope);

  const over = parts.slice(rank).flat();
  // A position is one along one dimension, of however many factors.
  const groups = isPosition(reduce)
    ? [patternOf(over, over.length > 1)]
    : over.map((part) => patternOf([part], false));
  const expression = reduction(combined.name, groups, closed(raiseScalar(body, scope)));
  const below = isPosition(reduce) ? over.reduce((product, { extent }) => product * extent, 1) : undefined;
  const root = finish ?? reducedValue(isPosition(reduce) ? 'i32' : scalarType(body));
  if (usesOfReduced(root) === 1)
    return elements(patterns, root, node, { ...scope, reduced: { expression, below } });
  const total = binding(namePattern(raising.total), undefined, expression);
  const value: ReducedValue = { expression: named(raising.total), below };
  return elements(patterns, root, node, { ...scope, reduced: value }, [total]);
}

function isPosition(reduce: ComputeNode['reduce']): boolean {
  return reduce?.combiner === 'argmax' || reduce?.combiner === 'argmin';
}

/** The indices for the parts of each axis, of which the first `rank` are the output's. */
function namedParts(
  extents: readonly (readonly number[])[],
  rank: number,
  scalars: readonly Scalar[],
  raising: Raising,
): { readonly scope: ScalarScope; readonly parts: readonly (readonly Part[])[] } {
  const outputs = extents.slice(0, rank).flat().length;
  const all = extents.flat();
  const names = [...raising.indices.outputs(outputs), ...raising.indices.reduced(all.length - outputs)];
  const iterators = all.map((extent, part) => ({ name: names[part]!, extent }));
  const scope: ScalarScope = { raising, iterators, guards: [], reduced: undefined };
  const unclear = unclearAxes(scalars, scope);
  const seen = seenAxes(scalars[0]!, scope);
  const numbered = iterators.map((iterator, part): Part => {
    return { ...iterator, bounded: unclear.has(part) || (part >= outputs && !seen.has(part)) };
  });
  const firsts = extents.map((_, axis) => extents.slice(0, axis).flat().length);
  return {
    scope,
    parts: extents.map(({ length }, axis) => numbered.slice(firsts[axis], firsts[axis]! + length)),
  };
}

/** How the dimensions are cut that the axis makes, or that it subscripts by itself. */
function cutsOf(
  axis: number,
  scalars: readonly Scalar[],
  result: Tensor,
  { placementOf }: Raising,
): readonly AxisList[] {
  const read = scalars
    .flatMap(loadsOf)
    .flatMap(({ subscripts, tensor }) =>
      subscripts.flatMap((subscript, dim) =>
        subscript.op === 'iterator' && subscript.axis === axis ? [placementOf(tensor)?.dims[dim] ?? []] : [],
      ),
    );
  return [placementOf(result.id)?.dims[axis] ?? [], ...read];
}

interface Reduction {
  readonly name: ReductionName;
  readonly finish: Scalar | undefined;
}

/** A sum that is divided by the number of its terms is a mean. */
function reductionOf(reduce: ComputeNode['reduce']): Reduction | undefined {
  if (reduce === undefined) return undefined;
  const { combiner, extents, finish } = reduce;
  const [total, count] = finish?.op === 'apply' && finish.function === 'div' ? finish.operands : [];
  const terms = extents.reduce((product, extent) => product * extent, 1);
  const isMean = total?.op === 'reduced' && count?.op === 'constant' && count.value === terms;
  return combiner === 'sum' && isMean ? { name: 'mean', finish: undefined } : { name: combiner, finish };
}

function patternOf(parts: readonly Part[], isProduct: boolean): IndexPattern {
  return indexGroup(
    parts.map(({ name, extent, bounded }) => index(name, bounded || isProduct ? extent : undefined)),
  );
}

/** `for patterns: root`, as what the node stores. */
function elements(
  patterns: readonly IndexPattern[],
  root: Scalar,
  node: ComputeNode,
  scope: ScalarScope,
  before: readonly Binding[] = [],
): Elements {
  const { dtype } = node.result;
  const clamp = dtype === 'i32' ? clampOf(root) : undefined;
  const value = clamp === undefined ? stored(root, dtype, scope) : writeClamp(clamp, scope);
  return {
    value: comprehension(patterns, block(before, value)),
    below: clamp === undefined ? rangesIn(scope)(root) : clamp.below,
  };
}

/** Floats are rounded by the type that is written; integers are narrowed by a cast only. */
function stored(root: Scalar, dtype: Dtype, scope: ScalarScope): Expression {
  const { class: kind, arithmetic } = dtypeFacts[dtype];
  if (kind === 'float') {
    const isRounded = root.op === 'round' && root.dtype === dtype;
    return raiseScalar(isRounded ? root.operand : root, scope);
  }
  const element = raiseScalar(root, scope);
  const isStoredSo =
    arithmetic === dtype || ((root.op === 'round' || root.op === 'load') && root.dtype === dtype);
  return isStoredSo ? element : call(dtype, [element]);
}

// ── ranges of indices ──────────────────────────────────────────────────────────────────────────────────────

/** Axes whose range must be written: they subscript a dimension of another size, or a part of one. */
function unclearAxes(scalars: readonly Scalar[], { raising, iterators }: ScalarScope): ReadonlySet<number> {
  const found = new Set<number>();
  for (const load of scalars.flatMap(loadsOf)) {
    const { shape } = raising.tensor(load.tensor);
    for (const [dim, subscript] of load.subscripts.entries()) {
      if (subscript.op !== 'iterator') for (const axis of axesIn(subscript)) found.add(axis);
      else if (iterators[subscript.axis]!.extent !== shape[dim]) found.add(subscript.axis);
    }
  }
  return found;
}

/** Iterators that stand in sums, which may be written as parts of a product dimension. */
function axesIn(subscript: Scalar): readonly number[] {
  if (subscript.op === 'iterator') return [subscript.axis];
  return subscript.op === 'apply' ? operands(subscript).flatMap(axesIn) : [];
}

/** Axes whose range is plain from what they subscript by themselves. */
function seenAxes(scalar: Scalar, { raising }: ScalarScope): ReadonlySet<number> {
  const subscripts = loadsOf(scalar)
    // Of a tensor without elements nothing is read that could say so.
    .filter((load) => !raising.tensor(load.tensor).shape.includes(0))
    .flatMap((load) => load.subscripts);
  return new Set(subscripts.flatMap((subscript) => (subscript.op === 'iterator' ? [subscript.axis] : [])));
}

/** How often the reduced value is written, which is none, once, or several times. */
function usesOfReduced(scalar: Scalar): number {
  if (scalar.op === 'reduced') return 1;
  return operands(scalar).reduce((sum, operand) => sum + usesOfReduced(operand), 0);
}
