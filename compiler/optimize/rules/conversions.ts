/** Conversions between arithmetic types, and roundings to storage types. */
import { type Dtype, dtypeFacts, dtypes } from '../../../dsl/types/dtype.ts';
import { contains, type Interval } from '../expressions/ranges.ts';
import { type Bound, converted, hole, type Rule, rounded } from './rule.ts';

const arithmetics = ['f32', 'i32', 'u32', 'bool'] as const;

/** All of them are f32 values. */
const exactIntegers: Interval = { low: -(2 ** 24), high: 2 ** 24 };

const roundTrips: readonly Rule[] = (
  [
    ['i32', 'u32'],
    ['u32', 'i32'],
    ['bool', 'i32'],
    ['bool', 'u32'],
    ['bool', 'f32'],
  ] as const
).map(([inner, outer]) => ({
  name: `${inner} to ${outer} and back`,
  types: [inner],
  from: converted(outer, inner, converted(inner, outer, hole('x'))),
  to: ({ x }) => x,
}));

const narrow: readonly Dtype[] = dtypes.filter((dtype) => dtype !== dtypeFacts[dtype].arithmetic);

/** Exponent range and mantissa of the narrow floats: what makes one contain another. */
const exponentBits: { readonly [D in Dtype]?: number } = { bf16: 8, f16: 5, f8e4m3: 4, f8e5m2: 5 };

/** Whether every value of `inner` is one of `outer`: rounding to `outer` then does nothing. */
function holdsAll(outer: Dtype, inner: Dtype): boolean {
  if (outer === inner) return true;
  const [outerExponent, innerExponent] = [exponentBits[outer], exponentBits[inner]];
  if (outerExponent === undefined || innerExponent === undefined) return false;
  // One more bit of exponent also covers the subnormals, and the top exponent that f8e4m3 uses for numbers.
  return outerExponent > innerExponent
    ? dtypeFacts[outer].mantissa >= dtypeFacts[inner].mantissa
    : outerExponent === innerExponent && outer === 'f16' && inner === 'f8e5m2';
}

const roundings: readonly Rule[] = narrow.flatMap((outer) =>
  narrow
    .filter((inner) => holdsAll(outer, inner))
    .flatMap((inner): Rule[] => [
      {
        name: `round ${outer} of round ${inner}`,
        types: [dtypeFacts[inner].arithmetic],
        from: rounded(outer, rounded(inner, hole('x'))),
        to: ({ x }) => ({ op: 'round', dtype: inner, operand: x! }),
      },
      {
        name: `round ${outer} of a load of ${inner}`,
        types: [dtypeFacts[inner].arithmetic],
        from: rounded(outer, hole('x', inner)),
        to: ({ x }) => (x!.op === 'load' && x!.dtype === inner ? x : undefined),
      },
    ]),
);

export const conversionRules: readonly Rule[] = [
  ...roundTrips,
  ...roundings,
  ...arithmetics.map((type) => ({
    name: `${type} to itself`,
    types: [type],
    from: converted(type, type, hole('x')),
    to: ({ x }: Bound) => x,
  })),
  {
    name: 'small i32 to f32 and back',
    types: ['i32'],
    from: converted('f32', 'i32', converted('i32', 'f32', hole('x', 'affine'))),
    to: ({ x }, { range }) => (contains(exactIntegers, range(x!)) ? x : undefined),
  },
];
