/**
 * Random sizes for property tests, as expressions with a meaning of their own to compare the normal form
 * with.
 */
import fc from 'fast-check';
import type { Size } from './size.ts';
import { addSizes, multiplySizes, natural, parameter, quotient, subtractSizes } from './size.ts';

export const sizeNames = ['A', 'B', 'C'] as const;

export interface SizeSample {
  readonly size: Size;
  /** The value by integer arithmetic on the expression, undefined where a quotient is no natural number. */
  readonly value: (values: ReadonlyMap<string, number>) => number | undefined;
}

const leafSamples: fc.Arbitrary<SizeSample> = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(...sizeNames).map(parameterSample) },
  { weight: 1, arbitrary: fc.constantFrom(0, 1, 2, 3, 4, 8).map(naturalSample) },
);

function parameterSample(name: string): SizeSample {
  return { size: parameter(name), value: (values) => values.get(name) };
}

function naturalSample(value: number): SizeSample {
  return { size: natural(value), value: () => value };
}

type Operator = '+' | '-' | '*' | '/';

const operations: {
  readonly [O in Operator]: {
    readonly size: (left: Size, right: Size) => Size;
    readonly value: (left: number, right: number) => number | undefined;
  };
} = {
  '+': { size: addSizes, value: (left, right) => left + right },
  '-': { size: subtractSizes, value: (left, right) => left - right },
  '*': { size: multiplySizes, value: (left, right) => left * right },
  '/': {
    size: quotient,
    value: (left, right) => (left >= 0 && right > 0 && left % right === 0 ? left / right : undefined),
  },
};

function combineSamples(operator: Operator, left: SizeSample, right: SizeSample): SizeSample {
  const operation = operations[operator];
  return {
    size: operation.size(left.size, right.size),
    value: (values) => {
      const [a, b] = [left.value(values), right.value(values)];
      return a === undefined || b === undefined ? undefined : operation.value(a, b);
    },
  };
}

/** Expressions of up to `depth` nested operators. */
export function sizeSamples(depth: number, operators: readonly Operator[]): fc.Arbitrary<SizeSample> {
  if (depth === 0) return leafSamples;
  const smaller = sizeSamples(depth - 1, operators);
  return fc.oneof(
    { weight: 1, arbitrary: leafSamples },
    {
      weight: 3,
      arbitrary: fc
        .tuple(fc.constantFrom(...operators), smaller, smaller)
        .map(([operator, left, right]) => combineSamples(operator, left, right)),
    },
  );
}

/** Every assignment of 0 … `limit` to the names. */
export function allValues(limit: number): readonly ReadonlyMap<string, number>[] {
  const range = Array.from({ length: limit + 1 }, (_, value) => value);
  return range.flatMap((a) =>
    range.flatMap((b) =>
      range.map(
        (c) =>
          new Map([
            ['A', a],
            ['B', b],
            ['C', c],
          ]),
      ),
    ),
  );
}

export const randomValues: fc.Arbitrary<ReadonlyMap<string, number>> = fc
  .tuple(...sizeNames.map(() => fc.nat(24)))
  .map((values) => new Map(sizeNames.map((name, position) => [name, values[position]!])));
