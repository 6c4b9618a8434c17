/** Parts of expressions: operands, and the names that patterns bind. */
import type { TypedExpression } from '../typed.ts';
import { type PlacedTensor, type PlacedValue, unknownValue } from './placed-value.ts';
import type { PlaceScope, Placing } from './placing.ts';

export type Typed<K extends TypedExpression['kind']> = Extract<TypedExpression, { kind: K }>;

export function bindPlaced(pattern: Typed<'let'>['pattern'], value: PlacedValue, scope: PlaceScope): void {
  if (pattern.kind === 'local') {
    scope.locals.set(pattern.local, value);
    return;
  }
  for (const [i, element] of pattern.elements.entries())
    bindPlaced(element, value.kind === 'tuple' ? value.elements[i]! : unknownValue, scope);
}

/** The operands as tensors; undefined when one of them is not known. */
export function placeTensors(
  operands: readonly TypedExpression[],
  scope: PlaceScope,
  placing: Placing,
): readonly PlacedTensor[] | undefined {
  const values = operands.map((operand) => placing.place(operand, scope));
  const tensors = values.filter((value) => value.kind === 'tensor');
  return tensors.length === values.length ? tensors : undefined;
}
