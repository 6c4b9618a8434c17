/**
 * What a function may be given before its operands are final. A value that is pending as a sum over devices
 * may go through what is linear in it, one that is pending as a maximum through what is increasing in it;
 * everything else needs the final value.
 */
import type { PendingCombiner } from '../../placement/placement.ts';
import type { ReductionName } from '../../syntax/tree.ts';
import type { ScalarFunction } from '../scalar-functions.ts';

export type Role =
  /** Linear in all operands together: those that are not pending are masked to one device. */
  | 'sum'
  /** Linear in each operand alone. */
  | 'product'
  /** Linear in its first operand alone. */
  | 'quotient'
  /** Linear in its second and third operand together; the first is final. */
  | 'choice'
  | 'negation'
  /** Increasing, and not linear. */
  | 'increasing'
  | 'greatest'
  | 'least'
  | 'final';

export const roles: { readonly [F in ScalarFunction]: Role } = {
  add: 'sum',
  sub: 'sum',
  mul: 'product',
  div: 'quotient',
  floordiv: 'final',
  mod: 'final',
  neg: 'negation',
  abs: 'final',
  sign: 'increasing',
  min: 'least',
  max: 'greatest',
  exp: 'increasing',
  // Of a part below zero they are not numbers, though the maximum may be above.
  log: 'final',
  sqrt: 'final',
  rsqrt: 'final',
  sin: 'final',
  cos: 'final',
  tanh: 'increasing',
  erf: 'increasing',
  pow: 'final',
  floor: 'increasing',
  ceil: 'increasing',
  round: 'increasing',
  eq: 'final',
  ne: 'final',
  lt: 'final',
  le: 'final',
  and: 'least',
  or: 'greatest',
  not: 'final',
  select: 'choice',
  shift_left: 'final',
  shift_right: 'final',
  threefry0: 'final',
  threefry1: 'final',
};

const operators: { readonly [F in ScalarFunction]?: string } = {
  add: '+',
  sub: '-',
  mul: '*',
  div: '/',
  mod: '%',
  neg: '-',
  eq: '==',
  ne: '!=',
  lt: '<',
  le: '<=',
};

/** As it is written in source. */
export function operationName(name: ScalarFunction): string {
  const operator = operators[name];
  return operator === undefined ? name : `\`${operator}\``;
}

/** Which operands may be pending under the combiner, given which ones are. */
type Allows = (pending: readonly boolean[]) => boolean;

const never: Allows = () => false;
const always: Allows = () => true;
const onlyOne: Allows = (pending) => pending.filter((is) => is).length === 1;
const onlyFirst: Allows = (pending) => pending.every((is, operand) => !is || operand === 0);
const notFirst: Allows = ([first]) => first !== true;

const allowed: { readonly [R in Role]: { readonly [C in PendingCombiner]: Allows } } = {
  // A difference is decreasing in what it takes away; a sum of two maxima is no maximum of sums.
  sum: { sum: always, max: onlyFirst, min: onlyFirst },
  product: { sum: onlyOne, max: never, min: never },
  quotient: { sum: onlyFirst, max: never, min: never },
  choice: { sum: notFirst, max: never, min: never },
  negation: { sum: always, max: never, min: never },
  increasing: { sum: never, max: always, min: always },
  greatest: { sum: never, max: always, min: never },
  least: { sum: never, max: never, min: always },
  final: { sum: never, max: never, min: never },
};

export function allows(role: Role, combiner: PendingCombiner, pending: readonly boolean[]): boolean {
  return allowed[role][combiner](pending);
}

/** What a reduction over a cut range leaves pending, and may find pending; or else it needs all of it. */
export const leaves: { readonly [R in ReductionName]: PendingCombiner | 'needs the whole range' } = {
  sum: 'sum',
  mean: 'sum',
  max: 'max',
  min: 'min',
  any: 'max',
  all: 'min',
  prod: 'needs the whole range',
  argmax: 'needs the whole range',
  argmin: 'needs the whole range',
};
