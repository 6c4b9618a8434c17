/** How two partial results of a reduction become one, in the functions that every writer has. */
import type { Arithmetic, Combiner } from '../../compiler/graph/graph.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';

/** One value, or a value and its position. */
export type Entry<V> = readonly V[];

type Apply<V> = (name: ScalarFunction, dtype: Arithmetic, operands: readonly V[]) => V;

interface Typed {
  readonly dtype: Arithmetic;
}

type Merge = <V extends Typed>(apply: Apply<V>, left: Entry<V>, right: Entry<V>) => Entry<V>;

const byFunction =
  (name: ScalarFunction): Merge =>
  (apply, [left], [right]) => [apply(name, left!.dtype, [left!, right!])];

/** The better value with its position; of equals the lower position. */
const byPosition =
  (better: 'greater' | 'less'): Merge =>
  (apply, [value, position], [otherValue, otherPosition]) => {
    const [low, high] = better === 'greater' ? [value!, otherValue!] : [otherValue!, value!];
    const isEqual = apply('eq', 'bool', [otherValue!, value!]);
    const isEarlier = apply('and', 'bool', [isEqual, apply('lt', 'bool', [otherPosition!, position!])]);
    const takesOther = apply('or', 'bool', [apply('lt', 'bool', [low, high]), isEarlier]);
    return [
      apply('select', value!.dtype, [takesOther, otherValue!, value!]),
      apply('select', position!.dtype, [takesOther, otherPosition!, position!]),
    ];
  };

export const merges: { readonly [C in Combiner]: Merge } = {
  sum: byFunction('add'),
  prod: byFunction('mul'),
  max: byFunction('max'),
  min: byFunction('min'),
  any: byFunction('or'),
  all: byFunction('and'),
  argmax: byPosition('greater'),
  argmin: byPosition('less'),
};

/** Neighbours first: the order that loses least in a sum. */
export function inTree<T>(entries: readonly T[], merge: (left: T, right: T) => T): T {
  if (entries.length === 1) return entries[0]!;
  const half = Math.ceil(entries.length / 2);
  return merge(inTree(entries.slice(0, half), merge), inTree(entries.slice(half), merge));
}

/** All places of a box of these extents, row-major. */
export function placesIn(extents: readonly number[]): readonly (readonly number[])[] {
  return extents.reduce<readonly (readonly number[])[]>(
    (places, extent) => places.flatMap((place) => Array.from({ length: extent }, (_, at) => [...place, at])),
    [[]],
  );
}
