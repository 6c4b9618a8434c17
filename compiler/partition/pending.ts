/**
 * What becomes of values that are still to be combined over an axis when something is done to them. An
 * operation is allowed where doing it before the combining is the same as doing it after: where it is linear
 * in what is pending as a sum, monotone in what is pending as a maximum or minimum. Each axis is looked at
 * by itself. Floats are taken as exact and finite numbers: rounding each part instead of the whole is
 * allowed. Integers wrap, which sums do not mind; signed ones are taken not to where order matters, unsigned
 * ones are not.
 */
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Combiner, Scalar } from '../graph/graph.ts';
import { scalarType } from '../graph/scalar.ts';
import { isFloat } from '../graph/tensor-type.ts';

/** Of a value along one axis: the same on all devices, or to be combined. */
export type State = 'whole' | PendingCombiner;

export interface Outcome {
  readonly state: State;
  /** Operands that are whole and count once only: all devices but the first put zero instead. */
  readonly masked: readonly number[];
}

/** `operands` are the expressions that the states are of. undefined: not allowed. */
type Rule = (states: readonly State[], operands: readonly Scalar[]) => Outcome | undefined;

const flipped: { readonly [S in State]: State } = { whole: 'whole', sum: 'sum', max: 'min', min: 'max' };

function unmasked(state: State | undefined): Outcome | undefined {
  return state && { state, masked: [] };
}

function only(states: readonly State[], allowed: readonly State[]): boolean {
  return states.every((state) => allowed.includes(state));
}

/** All terms are summands: those that are whole count once. */
function summed(states: readonly State[]): Outcome | undefined {
  if (!states.includes('sum') || !only(states, ['sum', 'whole'])) return undefined;
  return {
    state: 'sum',
    masked: [...states.keys()].filter((position) => states[position] === 'whole'),
  };
}

/** One operand is pending and all others whole: its position. */
function single(states: readonly State[]): number | undefined {
  const pending = [...states.keys()].filter((position) => states[position] !== 'whole');
  return pending.length === 1 ? pending[0] : undefined;
}

function signOf(scalar: Scalar | undefined): number | undefined {
  if (scalar?.op !== 'constant' || !Number.isFinite(scalar.value) || scalar.value === 0) return undefined;
  return Math.sign(scalar.value);
}

/** A product or quotient with one factor that is whole; maxima need to know the factor's sign. */
function scaled(state: State, factor: Scalar | undefined): Outcome | undefined {
  if (state === 'sum') return unmasked('sum');
  const sign = signOf(factor);
  return sign === undefined ? undefined : unmasked(sign > 0 ? state : flipped[state]);
}

/** Of max (own: 'max'), min, or and and: the combiner itself, or monotone in one operand. */
function lattice(own: 'max' | 'min'): Rule {
  return (states) => {
    if (only(states, [own, 'whole'])) return unmasked(own);
    const position = single(states);
    return position !== undefined && states[position] === flipped[own] ? unmasked(flipped[own]) : undefined;
  };
}

const increasing: Rule = ([state]) => (state === 'sum' ? undefined : unmasked(state));

/** Where at least one operand is pending. What is not listed is allowed for whole operands only. */
const rules: { readonly [F in ScalarFunction]?: Rule } = {
  add: (states) => {
    const position = single(states);
    return summed(states) ?? unmasked(position === undefined ? undefined : states[position]);
  },
  sub: (states) => {
    const position = single(states);
    if (position === undefined || states[position] === 'sum') return summed(states);
    return unmasked(position === 0 ? states[0] : flipped[states[1]!]);
  },
  neg: ([state]) => unmasked(flipped[state!]),
  mul: (states, operands) => {
    const position = single(states);
    return position === undefined ? undefined : scaled(states[position]!, operands[1 - position]);
  },
  div: (states, operands) => (single(states) === 0 ? scaled(states[0]!, operands[1]) : undefined),
  max: lattice('max'),
  min: lattice('min'),
  or: lattice('max'),
  and: lattice('min'),
  not: ([state]) => unmasked(flipped[state!]),
  select: ([condition, ...branches]) => {
    if (condition !== 'whole') return undefined;
    const sum = summed(branches);
    if (sum) return { state: 'sum', masked: sum.masked.map((position) => position + 1) };
    if (only(branches, ['max', 'whole'])) return unmasked('max');
    return only(branches, ['min', 'whole']) ? unmasked('min') : undefined;
  },
  exp: increasing,
  tanh: increasing,
  erf: increasing,
  floor: increasing,
  ceil: increasing,
  round: increasing,
  sign: increasing,
};

/** Integers among themselves are a ring; of other conversions those that keep the order. */
function converted(state: State, from: string, to: string): State | undefined {
  const ring = from !== 'f32' && from !== 'bool' && to !== 'f32' && to !== 'bool';
  if (state === 'sum') return ring ? state : undefined;
  return to !== 'bool' && !ring ? state : undefined;
}

/** Functions that choose among their operands. */
const keepsOrder: ReadonlySet<ScalarFunction> = new Set<ScalarFunction>(['max', 'min', 'select']);

/** Along one axis. undefined: not allowed. */
export function outcomeOf(
  scalar: Scalar,
  states: readonly State[],
  operands: readonly Scalar[],
): Outcome | undefined {
  if (states.every((state) => state === 'whole')) return unmasked('whole');
  switch (scalar.op) {
    case 'apply':
      if (scalar.dtype === 'u32' && !states.includes('sum') && !keepsOrder.has(scalar.function))
        return undefined;
      return rules[scalar.function]?.(states, operands);
    case 'convert':
      return unmasked(converted(states[0]!, scalarType(operands[0]!), scalar.dtype));
    case 'round':
      return isFloat(scalar) ? unmasked(states[0]) : undefined;
    default:
      return undefined;
  }
}

/** How partial results of a reduction are combined; undefined: they cannot be. */
export const partialOf: { readonly [C in Combiner]: PendingCombiner | undefined } = {
  sum: 'sum',
  max: 'max',
  any: 'max',
  min: 'min',
  all: 'min',
  prod: undefined,
  argmax: undefined,
  argmin: undefined,
};
