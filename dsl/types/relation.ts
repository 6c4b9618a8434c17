/** How two sizes may stand to each other, as a `where` says it. */

export const sizeRelations = ['<=', '<', '==', '|', '%'] as const;
export type SizeRelation = (typeof sizeRelations)[number];

const deciders: { readonly [R in SizeRelation]: (left: number, right: number) => boolean } = {
  '<=': (left, right) => left <= right,
  '<': (left, right) => left < right,
  '==': (left, right) => left === right,
  '|': divides,
  '%': (left, right) => divides(right, left),
};

function divides(divisor: number, dividend: number): boolean {
  return divisor > 0 && dividend % divisor === 0;
}

/** Whether numbers do. */
export function holds(relation: SizeRelation, left: number, right: number): boolean {
  return deciders[relation](left, right);
}
