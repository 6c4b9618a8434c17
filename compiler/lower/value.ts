/**
 * What expressions stand for while they are lowered. Tensors are comprehensions: nothing is stored until it
 * must be.
 */
import type { Scalar } from '../graph/graph.ts';

/**
 * A dimension of a value. `iterator` is a number that no other index variable of the lowering has; the body
 * of the value is written with it. `factors`: how a product dimension is made, major first; [extent] for
 * others.
 */
export interface Axis {
  readonly iterator: number;
  readonly extent: number;
  readonly factors: readonly number[];
}

/**
 * `for axes: body`. Iterators of the body that are not its axes are index variables of the comprehensions
 * around it.
 */
export interface TensorValue {
  readonly kind: 'tensor';
  readonly axes: readonly Axis[];
  readonly body: Scalar;
}

/** A threefry key: two u32 words of the same dims. */
export interface KeyValue {
  readonly kind: 'key';
  readonly words: readonly [TensorValue, TensorValue];
}

export type Value =
  | TensorValue
  | KeyValue
  /** An array of records is a record of tensors with the dims of the array in front. */
  | { readonly kind: 'record'; readonly fields: ReadonlyMap<string, Value> }
  | { readonly kind: 'tuple'; readonly elements: readonly Value[] };

export function scalarValue(body: Scalar): TensorValue {
  return { kind: 'tensor', axes: [], body };
}

/** The tensors that make up a value, in order of their paths. */
export function leaves(value: Value): readonly TensorValue[] {
  const found: TensorValue[] = [];
  mapLeaves(value, (leaf) => {
    found.push(leaf);
    return leaf;
  });
  return found;
}

export function mapLeaves(value: Value, change: (leaf: TensorValue) => TensorValue): Value {
  switch (value.kind) {
    case 'tensor':
      return change(value);
    case 'key':
      return { kind: 'key', words: [change(value.words[0]), change(value.words[1])] };
    case 'record': {
      const fields = [...value.fields].map(([name, field]) => [name, mapLeaves(field, change)] as const);
      return { kind: 'record', fields: new Map(fields) };
    }
    case 'tuple':
      return { kind: 'tuple', elements: value.elements.map((element) => mapLeaves(element, change)) };
  }
}

/** A value of the same form with other leaves, in the order in which `leaves` lists them. */
export function withLeaves(value: Value, replaced: readonly TensorValue[]): Value {
  let next = 0;
  return mapLeaves(value, () => replaced[next++]!);
}

/** Combines two values of one form leaf by leaf. */
export function zipLeaves(
  left: Value,
  right: Value,
  combine: (left: TensorValue, right: TensorValue) => TensorValue,
): Value {
  const others = leaves(right);
  let next = 0;
  return mapLeaves(left, (leaf) => combine(leaf, others[next++]!));
}

/** The value of an expression of tensor type. Throws (an internal error) for others. */
export function tensorOf(value: Value): TensorValue {
  if (value.kind !== 'tensor') throw new Error(`a tensor was expected, not a ${value.kind}`);
  return value;
}

/** The value of an expression of scalar type. Throws (an internal error) for others. */
export function scalarOf(value: Value): Scalar {
  const { axes, body } = tensorOf(value);
  if (axes.length > 0) throw new Error(`a scalar was expected, not a tensor of rank ${axes.length}`);
  return body;
}
