/** Scalar expressions as source: one table by operation, and the subscripts that must be proved in range. */
import type { AxisList } from '../../dsl/placement/placement.ts';
import type { Expression } from '../../dsl/syntax/tree.ts';
import type { Scalar } from '../graph/graph.ts';
import { constant, type Load, type ScalarOp, scalarType } from '../graph/scalar.ts';
import {
  type Affine,
  affineOf,
  guardsOf,
  isProvedBelow,
  productParts,
  type RangeOf,
} from './proved-range.ts';
import { applied } from './raise-function.ts';
import { closed, constants } from './raise-number.ts';
import type { Raising } from './raising.ts';
import { binary, call, named, number, subscripted, tuple } from './source-tree.ts';

export interface ScalarScope {
  readonly raising: Raising;
  /** By axis. */
  readonly iterators: readonly Iterator[];
  /** What is known where the expression stands, from the conditions around it. */
  readonly guards: readonly Affine[];
  /** In `finish` only: what stands for the reduced value. */
  readonly reduced: ReducedValue | undefined;
}

export interface Iterator {
  readonly name: string;
  readonly extent: number;
}

export interface ReducedValue {
  readonly expression: Expression;
  /** Of a position among so many. */
  readonly below: number | undefined;
}

type Writers = {
  readonly [Op in ScalarOp]: (scalar: Extract<Scalar, { op: Op }>, scope: ScalarScope) => Expression;
};

const writers: Writers = {
  constant: ({ dtype, value }) => constants[dtype](value),
  iterator: ({ axis }, { iterators }) => named(iterators[axis]!.name),
  counter: ({ loop }, { raising }) => named(raising.steps.get(loop)!.name),
  coordinate: ({ axis }) => {
    throw new Error(`the place of a device along ${axis} is not written as source`);
  },
  size: ({ name }) => {
    throw new Error(`the size ${name} of a run is not written as source`);
  },
  load: writeLoad,
  apply: (scalar, scope) => {
    const operands = scalar.operands.map((operand, position) =>
      raiseScalar(
        operand,
        scalar.function === 'select' ? branchScope(scalar.operands, position, scope) : scope,
      ),
    );
    return applied(scalar.function, operands, scalarType(scalar.operands.at(-1)!));
  },
  convert: ({ dtype, operand }, scope) => {
    const value = closed(raiseScalar(operand, scope));
    if (dtype !== 'bool') return call(dtype, [value]);
    return binary('!=', value, zeros[scalarType(operand)]);
  },
  round: ({ dtype, operand }, scope) => call(dtype, [raiseScalar(operand, scope)]),
  reduced: (_, { reduced }) => reduced!.expression,
};

const zeros = {
  f32: number('0.0'),
  i32: number('0'),
  u32: call('u32', [number('0')]),
  bool: constants.bool(0),
};

export function raiseScalar(scalar: Scalar, scope: ScalarScope): Expression {
  return (writers[scalar.op] as (scalar: Scalar, scope: ScalarScope) => Expression)(scalar, scope);
}

/** Only the chosen branch is evaluated: in it the condition is known to hold, or not to. */
function branchScope(operands: readonly Scalar[], position: number, scope: ScalarScope): ScalarScope {
  if (position === 0) return scope;
  const known = guardsOf(operands[0]!, position === 1, rangesIn(scope));
  return { ...scope, guards: [...scope.guards, ...known] };
}

/** The range of what is an `ix` in the source. */
export function rangesIn({ raising, iterators, reduced }: ScalarScope): RangeOf {
  return (scalar) => {
    switch (scalar.op) {
      case 'iterator':
        return iterators[scalar.axis]!.extent;
      case 'counter':
        return raising.steps.get(scalar.loop)!.count;
      case 'load':
        return raising.below.get(scalar.tensor);
      case 'reduced':
        return reduced?.below;
      default:
        return undefined;
    }
  };
}

// ── loads ──────────────────────────────────────────────────────────────────────────────────────────────────

function writeLoad(load: Load, scope: ScalarScope): Expression {
  const { shape } = scope.raising.tensor(load.tensor);
  const isNeverRead = shape.some(
    (extent, dim) => extent === 0 && !isEmptyIndex(load.subscripts[dim]!, scope),
  );
  // Nothing is an index into a dimension of size 0, so nothing is ever read by one.
  if (isNeverRead) return raiseScalar(constant(scalarType(load), 0), scope);
  const subscripts = load.subscripts.map((subscript, dim) => {
    const axes = scope.raising.placementOf(load.tensor)?.dims[dim] ?? [];
    return writeSubscript(subscript, shape[dim]!, axes, scope);
  });
  return subscripted(named(scope.raising.name(load.tensor)), subscripts);
}

function isEmptyIndex(subscript: Scalar, { iterators }: ScalarScope): boolean {
  return subscript.op === 'iterator' && iterators[subscript.axis]!.extent === 0;
}

/** Of a dimension of this extent that the axes cut. */
function writeSubscript(subscript: Scalar, extent: number, axes: AxisList, scope: ScalarScope): Expression {
  const affine = affineOf(subscript, rangesIn(scope));
  const parts = affine && productParts(affine, extent)?.map((axis) => scope.iterators[axis]!);
  const extents = parts?.map((part) => part.extent) ?? [];
  // Where a device has no whole parts, what is read is looked up.
  if (parts !== undefined && scope.raising.facts.splits(axes, extents))
    return tuple(parts.map(({ name }) => named(name)));
  const clamp = clampOf(subscript);
  if (clamp !== undefined && clamp.below <= extent) return writeClamp(clamp, scope);
  const value = raiseScalar(subscript, scope);
  if (affine !== undefined && isProvedBelow(affine, extent, scope.guards)) return value;
  return call('clamp_index', [value], [extent]);
}

/** `min(max(value, 0), below - 1)`. */
export interface Clamp {
  readonly value: Scalar;
  readonly below: number;
}

export function clampOf(scalar: Scalar): Clamp | undefined {
  if (scalar.op !== 'apply' || scalar.function !== 'min' || scalar.dtype !== 'i32') return undefined;
  const [inner, last] = scalar.operands;
  if (last?.op !== 'constant' || last.value < 0) return undefined;
  if (inner?.op !== 'apply' || inner.function !== 'max') return undefined;
  const [value, first] = inner.operands;
  return first?.op === 'constant' && first.value === 0 ? { value: value!, below: last.value + 1 } : undefined;
}

export function writeClamp({ value, below }: Clamp, scope: ScalarScope): Expression {
  return call('clamp_index', [raiseScalar(value, scope)], [below]);
}
