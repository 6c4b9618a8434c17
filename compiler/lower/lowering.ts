/**
 * What the parts of lowering share: the program, the graph being made, and the meaning of names in a
 * function.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import { evaluateSize, type Size, showSize } from '../../dsl/types/size.ts';
import type {
  ElementType,
  IndexId,
  LocalId,
  Type,
  TypedExpression,
  TypedPattern,
  TypedProgram,
} from '../../dsl/types/typed.ts';
import { leafTypes } from '../../dsl/types/types.ts';
import type { Scalar, TensorId } from '../graph/graph.ts';
import { convert } from '../graph/scalar.ts';
import type { AutoRegion } from './auto-region.ts';
import { isCheap } from './cheap.ts';
import type { GraphBuilder } from './graph-builder.ts';
import { nameTensors } from './origin.ts';
import { leaves, mapLeaves, scalarOf, scalarValue, type TensorValue, type Value } from './value.ts';

/** One function at one set of sizes and arguments. */
export interface Scope {
  readonly sizes: ReadonlyMap<string, number>;
  readonly locals: Map<LocalId, Value>;
  readonly indices: Map<IndexId, Scalar>;
  /** Inside `per_device`: collectives are exchanges between devices. */
  readonly perDevice: boolean;
  /** In an `auto fn`: those that are called are a part of it. */
  readonly auto: boolean;
}

export interface Lowering {
  readonly program: TypedProgram;
  readonly builder: GraphBuilder;
  /** What the program calls tensors. */
  readonly names: Map<TensorId, string>;
  /** The calls of an `auto fn` by what is placed by hand, so far. */
  readonly regions: AutoRegion[];
  readonly lower: (expression: TypedExpression, scope: Scope) => Value;
}

/**
 * Throws (an internal error) for a size without a value: the checker and the facts of the entry rule it out.
 */
export function sizeOf(size: Size, scope: Scope): number {
  const value = evaluateSize(size, scope.sizes);
  if (value === undefined || value < 0) throw new Error(`the size ${showSize(size)} has no value`);
  return value;
}

/**
 * What an element is stored as. Floats of unsettled storage never name a new tensor: they are read from
 * inputs.
 */
export function dtypeOfElement(element: ElementType): Dtype {
  if (element.kind === 'dtype') return element.dtype;
  return element.kind === 'ix' ? 'i32' : 'f32';
}

/** The types of the leaves of a value of the type, in the order of `leaves`: a key is two words. */
export function typesOfLeaves(type: Type): readonly Type[] {
  return leafTypes(type).flatMap((leaf): readonly Type[] => (leaf.kind === 'key' ? [leaf, leaf] : [leaf]));
}

/** What these leaves are stored as. */
export function leafDtypes(type: Type): readonly Dtype[] {
  return typesOfLeaves(type).map((leaf) => {
    if (leaf.kind === 'tensor') return dtypeOfElement(leaf.element);
    if (leaf.kind === 'key') return 'u32';
    throw new Error('a program with errors is not lowered');
  });
}

/** The value, stored where it is not cheap to evaluate again. */
export function settle(lowering: Lowering, value: Value, name: string): Value {
  const several = leaves(value).length > 1;
  let position = 0;
  return mapLeaves(value, (leaf) => {
    const leafName = several ? `${name}.${position++}` : name;
    return isCheap(leaf.body) ? leaf : lowering.builder.store(leaf, { name: leafName }).value;
  });
}

export function settleScalar(lowering: Lowering, scalar: Scalar, name: string): Scalar {
  return scalarOf(settle(lowering, scalarValue(scalar), name));
}

export function bindPattern(lowering: Lowering, scope: Scope, pattern: TypedPattern, value: Value): void {
  if (pattern.kind === 'local') {
    const settled = settle(lowering, value, pattern.name);
    nameTensors(lowering.names, settled, pattern.name);
    scope.locals.set(pattern.local, settled);
    return;
  }
  if (value.kind !== 'tuple') throw new Error(`a tuple was expected, not a ${value.kind}`);
  for (const [position, element] of pattern.elements.entries())
    bindPattern(lowering, scope, element, value.elements[position]!);
}

/** An integer of any type as a subscript. */
export function asIndex(scalar: Scalar): Scalar {
  return convert('i32', scalar);
}

/** The rows of a value at leading subscripts; dimensions without one stay whole. */
export function rowsAt(builder: GraphBuilder, value: Value, subscripts: readonly Scalar[]): Value {
  return mapLeaves(value, (leaf): TensorValue => {
    const replaced = leaf.axes
      .slice(0, subscripts.length)
      .map((axis, i) => [axis.iterator, subscripts[i]!] as const);
    return {
      kind: 'tensor',
      axes: leaf.axes.slice(subscripts.length),
      body: builder.substitute(leaf.body, new Map(replaced)),
    };
  });
}
