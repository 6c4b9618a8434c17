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
  const isPosition = reduce?.combiner === 'argmax' || reduce?.combiner === 'argmin';
  // There is no position in nothing: then there is no element either, and what it would be does not matter.
  const isNothing = isPosition && extents.slice(rank).includes(0);
  const body = isNothing ? constant('i32', 0) : node.body;
  const combined = isNothing ? undefined : reductionOf(reduce);
  const finish = combined?.finish;

  const scalars = [body, ...(finish === undefined ? [] : [finish])];
  const split = splitAxes(scalars, extents, countsOf(raising), (axis, parts) =>
    cutsOf(axis, scalars, result, raising).every((axes) => raising.facts.splits(axes, parts)),
  );
  const outputs = split.parts.slice(0, rank);
  const reducedParts = split.parts.slice(rank).flat();
  const names = [
    ...raising.indices.outputs(outputs.flat().length),
    ...raising.indices.reduced(reducedParts.length),
  ];
  const iterators = split.parts.flat().map((extent, part) => ({ name: names[part]!, extent }));
  const scope: ScalarScope = { raising, iterators, guards: [], reduced: undefined };
  const written = split.rewrite(body);
  const finished = finish && split.rewrite(finish);

  const isUnclear = unclearAxes([written, ...(finished === undefined ? [] : [finished])], scope);
  const isSeen = seenAxes(written, scope);
  const partAt = (part: number, isReduced: boolean): Part => ({
    ...iterators[part]!,
    bounded: isUnclear.has(part) || (isReduced && !isSeen.has(part)),
  });
  const patterns = outputs.map((own, axis): IndexPattern => {
    const first = outputs.slice(0, axis).flat().length;
    return patternOf(
      own.map((_, position) => partAt(first + position, false)),
      own.length > 1,
    );
  });
  if (combined === undefined) return elements(patterns, written, node, scope);
  const all = reducedParts.map((_, position) => partAt(outputs.flat().length + position, true));
  // A position is one along one dimension, of however many factors.
  const over = isPosition ? [patternOf(all, all.length > 1)] : all.map((part) => patternOf([part], false));
  const reducedExpression = reduction(combined.name, over, closed(raiseScalar(written, scope)));
  const below = isPosition ? reducedParts.reduce((product, extent) => product * extent, 1) : undefined;
  const last = finished ?? reducedValue(isPosition ? 'i32' : scalarType(written));
  if (usesOfReduced(last) === 1) {
    const value: ReducedValue = { expression: reducedExpression, below };
    return elements(patterns, last, node, { ...scope, reduced: value });
  }
  const total = binding(namePattern(raising.total), undefined, reducedExpression);
  const value: ReducedValue = { expression: named(raising.total), below };
  return elements(patterns, last, node, { ...scope, reduced: value }, [total]);
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
