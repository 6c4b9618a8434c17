import { describe, expect, test } from 'vitest';
import { type ScalarFunction, scalarFunctions } from '../../dsl/types/scalar-functions.ts';
import { float64 } from '../graph/float64.ts';
import type { Arithmetic, Scalar } from '../graph/graph.ts';
import { convertInteger, integerOperation, truncateFloat } from '../graph/integers.ts';
import { apply, applyType, constant, iterator, load } from '../graph/scalar.ts';
import { threefry2x32 } from '../graph/threefry.ts';
import { type Outcome, outcomeOf, type State } from './pending.ts';

type Rule = (scalar: Scalar, states: readonly State[], operands: readonly Scalar[]) => Outcome | undefined;

const states: readonly State[] = ['whole', 'sum', 'max', 'min'];
const types: readonly Arithmetic[] = ['f32', 'i32', 'u32', 'bool'];
const devices = 3;

/** What `f` gives for operands of the type. */
function compute(name: ScalarFunction, type: Arithmetic, operands: readonly number[]): number {
  if (name === 'select') return operands[0] !== 0 ? operands[1]! : operands[2]!;
  if (type !== 'f32') {
    const [first = 0, second = 0, third = 0, fourth = 0] = operands;
    return integerOperation(name, type)(first, second, third, fourth);
  }
  const { functions, comparisons } = float64;
  const compare = comparisons[name as keyof typeof comparisons];
  if (compare !== undefined) return Number(compare(operands[0]!, operands[1]!));
  return functions[name as keyof typeof functions](...operands);
}

function combine(state: State, type: Arithmetic, parts: readonly number[]): number {
  if (state === 'whole') return parts[0]!;
  const all = { sum: (a: number, b: number) => a + b, max: Math.max, min: Math.min }[state];
  const total = parts.reduce((left, right) => all(left, right));
  return type === 'f32' || type === 'bool' ? total : convertInteger(type, total);
}

/** Values of an operand on each device. Integers, so that sums are exact. */
function drawn(state: State, type: Arithmetic, seed: number): readonly number[] {
  const parts = Array.from({ length: devices }, (_, device) => {
    const bits = threefry2x32(seed, device, 0, 0)[0];
    return { f32: (bits % 13) - 6, i32: (bits % 13) - 6, u32: bits % 9, bool: bits % 2 }[type];
  });
  return state === 'whole' ? parts.map(() => parts[0]!) : parts;
}

interface Case {
  readonly what: string;
  readonly scalar: Scalar;
  readonly operands: readonly Scalar[];
  readonly types: readonly Arithmetic[];
  readonly result: Arithmetic;
  readonly compute: (operands: readonly number[]) => number;
}

/** An operand that nothing is known of, or a number where one is asked for. */
function operandOf(type: Arithmetic, value: number | undefined): Scalar {
  if (value !== undefined) return constant(type, value);
  return load({ id: 0, name: 'x', dtype: type, shape: [8] }, [iterator(0)]);
}

const names = Object.keys(scalarFunctions) as readonly ScalarFunction[];
const numbers = [undefined, 2, -3] as const;

const cases: readonly Case[] = [
  ...names.flatMap((name) =>
    types.flatMap((type) => {
      const { arity } = scalarFunctions[name];
      const operandTypes = Array.from(
        { length: arity },
        (_, position): Arithmetic => (name === 'select' && position === 0 ? 'bool' : type),
      );
      const result = applyType(name, operandTypes);
      if (result === undefined) return [];
      return numbers.flatMap((value) =>
        [0, arity - 1].flatMap((at): Case[] => {
          if (
            value !== undefined &&
            (type === 'bool' || (type === 'u32' && value < 0) || operandTypes[at] !== type)
          )
            return [];
          const operands = operandTypes.map((own, position) =>
            operandOf(own, position === at ? value : undefined),
          );
          return [
            {
              what: `${name} of ${type}`,
              scalar: apply(name, ...operands),
              operands,
              types: operandTypes,
              result,
              compute: (given) => compute(name, type, given),
            },
          ];
        }),
      );
    }),
  ),
  ...types.flatMap((from) =>
    types.flatMap((to): Case[] => {
      if (from === to) return [];
      const operand = operandOf(from, undefined);
      return [
        {
          what: `${from} to ${to}`,
          scalar: { op: 'convert', dtype: to, operand },
          operands: [operand],
          types: [from],
          result: to,
          compute: ([value]) =>
            to === 'f32' ? value! : from === 'f32' ? truncateFloat(to, value!) : convertInteger(to, value!),
        },
      ];
    }),
  ),
];

function product<T>(lists: readonly (readonly T[])[]): readonly (readonly T[])[] {
  return lists.reduce<readonly (readonly T[])[]>(
    (found, list) => found.flatMap((head) => list.map((item) => [...head, item])),
    [[]],
  );
}

/** Sums of bools do not exist, and a constant is the same everywhere. */
function statesFor(operand: Scalar, type: Arithmetic): readonly State[] {
  if (operand.op === 'constant') return ['whole'];
  return type === 'bool' ? states.filter((state) => state !== 'sum') : states;
}

/** What the rule allows and is wrong, with the values that show it. */
function wrongIn(
  rule: Rule,
  { what, scalar, operands, types: own, result, compute: run }: Case,
): readonly string[] {
  const found: string[] = [];
  for (const pattern of product(operands.map((operand, at) => statesFor(operand, own[at]!)))) {
    const outcome = rule(scalar, pattern, operands);
    if (outcome === undefined) continue;
    for (let round = 0; round < 60; round++) {
      const values = operands.map((operand, at) =>
        operand.op === 'constant'
          ? Array.from({ length: devices }, () => operand.value)
          : drawn(pattern[at]!, own[at]!, 97 * round + at),
      );
      const before = run(values.map((parts, at) => combine(pattern[at]!, own[at]!, parts)));
      // Division by zero is no number.
      if (!Number.isFinite(before)) continue;
      const parts = Array.from({ length: devices }, (_, device) =>
        run(values.map((each, at) => (outcome.masked.includes(at) && device > 0 ? 0 : each[device]!))),
      );
      const after = combine(outcome.state, result, parts);
      const same = before === after || Math.abs(before - after) < 1e-9;
      if (!same) {
        found.push(`${what} (${pattern.join(', ')}) gives ${outcome.state}: ${before}, not ${after}`);
        break;
      }
    }
  }
  return found;
}

describe('what is allowed before values are combined gives the same after', () => {
  test.each(cases.map((own) => [own.what, own] as const))('%s', (_, own) => {
    expect(wrongIn(outcomeOf, own)).toEqual([]);
  });
});

test('what matters is allowed', () => {
  const x = operandOf('f32', undefined);
  const allowed = (scalar: Scalar, given: readonly State[]): State | undefined => {
    const { operands } = scalar as Scalar & { readonly op: 'apply' };
    return outcomeOf(scalar, given, operands)?.state;
  };
  expect(allowed(apply('add', x, x), ['sum', 'sum'])).toBe('sum');
  expect(allowed(apply('add', x, x), ['whole', 'sum'])).toBe('sum');
  expect(allowed(apply('add', x, x), ['max', 'whole'])).toBe('max');
  expect(allowed(apply('sub', x, x), ['whole', 'max'])).toBe('min');
  expect(allowed(apply('mul', x, x), ['sum', 'whole'])).toBe('sum');
  expect(allowed(apply('mul', x, x), ['sum', 'sum'])).toBeUndefined();
  expect(allowed(apply('div', x, x), ['sum', 'whole'])).toBe('sum');
  expect(allowed(apply('div', x, x), ['whole', 'sum'])).toBeUndefined();
  expect(allowed(apply('exp', x), ['max'])).toBe('max');
  expect(allowed(apply('exp', x), ['sum'])).toBeUndefined();
  expect(outcomeOf(apply('add', x, x), ['whole', 'sum'], [x, x])?.masked).toEqual([0]);
});

/** Each is wrong for some function and some states. */
const mutants: { readonly [name: string]: Rule } = {
  'masks nothing': (...given) => {
    const outcome = outcomeOf(...given);
    return outcome && { ...outcome, masked: [] };
  },
  'takes everything for linear': (_, given) => ({
    state: given.find((state) => state !== 'whole') ?? 'whole',
    masked: [],
  }),
  'forgets that order turns around': (scalar, given, operands) => {
    const outcome = outcomeOf(scalar, given, operands);
    const state = given.find((own) => own !== 'whole');
    return outcome && state ? { ...outcome, state } : outcome;
  },
  'takes sums for maxima': (...given) => {
    const outcome = outcomeOf(...given);
    return outcome?.state === 'sum' ? { ...outcome, state: 'max' } : outcome;
  },
};

test.each(Object.entries(mutants))('a rule that %s is found out', (_, rule) => {
  expect(cases.flatMap((own) => wrongIn(rule, own)).length).toBeGreaterThan(0);
});
