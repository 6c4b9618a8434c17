/**
 * For the test of soundness: random expressions that a rule may match, made out of its pattern, with inputs
 * on which both of its sides run. The inputs hold what rules go wrong on: NaN, infinities, both zeros,
 * subnormals, and integers at the ends of their types.
 */
import type { Dtype } from '../../../dsl/types/dtype.ts';
import { type ScalarFunction, scalarFunctions } from '../../../dsl/types/scalar-functions.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { type Choose, pick } from '../../graph/choice-tape.ts';
import type { Arithmetic, Scalar, Tensor, TensorId } from '../../graph/graph.ts';
import { randomScalar, type ScalarScope } from '../../graph/random-scalar.ts';
import { roundTo } from '../../graph/rounding.ts';
import { apply, arithmeticOf, constant, convert, integer, iterator, load } from '../../graph/scalar.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { wrap } from './fold.ts';
import type { Pattern, Rule, Sample } from './rule.ts';

/** Of the axes that instances range over: one position among them, so that single values occur. */
export const extents = [3, 1, 4, 5] as const;

const tensorTypes: readonly (readonly [Dtype, readonly number[]])[] = [
  ['f32', [16]],
  ['f32', [3, 5]],
  ['i32', [16]],
  ['i32', [3, 5]],
  ['u32', [16]],
  ['bool', [5]],
  ['bf16', [16]],
  ['f16', [16]],
  ['f8e4m3', [16]],
  ['f8e5m2', [16]],
  ['i8', [16]],
  ['u8', [16]],
];

export const instanceTensors: readonly Tensor[] = tensorTypes.map(([dtype, shape], id) => ({
  id,
  name: `${dtype}${id}`,
  dtype,
  shape,
}));

const { POSITIVE_INFINITY, NEGATIVE_INFINITY, NaN: notANumber } = Number;

/** Elements of the inputs, and constants, by arithmetic type. */
const awkward: { readonly [A in Arithmetic]: readonly number[] } = {
  f32: [
    1.5, -0.1, 3, 0, -0, 1e-40, -1e-45, 3e38, -3e38, 0.7, 2 ** 24 + 2, 1 / 3, -7.25, notANumber,
    POSITIVE_INFINITY, NEGATIVE_INFINITY,
  ],
  i32: [5, -3, 0, 1, -1, 7, 2 ** 31 - 1, -(2 ** 31), 2, 12, -12, 100, 3, -8, 2 ** 24 + 1, 2 ** 30],
  u32: [5, 0, 1, 7, 2 ** 32 - 1, 2 ** 31, 2, 12, 3, 100, 2 ** 24 + 1, 2 ** 30, 4, 6, 9, 2 ** 31 - 1],
  bool: [1, 0, 0, 1, 1],
}; // biome-ignore format: one topic a line

export const instanceInputs: ReadonlyMap<TensorId, TensorValue<number>> = new Map(
  instanceTensors.map((tensor) => {
    const { dtype, shape } = tensor;
    const values = awkward[arithmeticOf(dtype)];
    const data = Float64Array.from({ length: elementCount(tensor) }, (_, position) =>
      roundTo(dtype, values[position % values.length]!),
    );
    return [tensor.id, { dtype, shape, data }];
  }),
);

/** An expression of the rule's pattern with operands of `type`; whether the rule's condition holds, it tells. */
export function randomInstance(rule: Rule, type: Arithmetic, choose: Choose): Scalar {
  const scope: ScalarScope = {
    choose,
    tensors: instanceTensors,
    loops: [],
    axes: extents.map((extent, axis) => ({ axis, extent })),
    made: [],
  };
  const bound = new Map<string, Scalar>();

  function once(name: string, make: () => Scalar): Scalar {
    const known = bound.get(name) ?? make();
    bound.set(name, known);
    return known;
  }

  /** `wanted`: the type of the expression where the pattern does not say it. */
  function instance(pattern: Pattern, wanted: Arithmetic): Scalar {
    switch (pattern.match) {
      case 'hole':
        return once(pattern.name, () => randomSample(pattern.sample, wanted, scope));
      case 'constant':
        return once(pattern.name, () => randomConstant(pattern.values, wanted, choose));
      case 'value':
        return constant(wanted, pattern.value);
      case 'convert': {
        const operand = instance(pattern.operand, pattern.from);
        return { op: 'convert', dtype: pattern.to, operand };
      }
      case 'round':
        return { op: 'round', dtype: pattern.dtype, operand: instance(pattern.operand, wanted) };
      case 'apply': {
        const operands = pattern.operands.map((operand, position) =>
          instance(operand, operandType(pattern.function, position, wanted, type)),
        );
        return apply(pattern.function, ...operands);
      }
    }
  }

  return instance(rule.from, type);
}

function operandType(
  name: ScalarFunction,
  position: number,
  wanted: Arithmetic,
  compared: Arithmetic,
): Arithmetic {
  const { signature } = scalarFunctions[name];
  if (signature === 'bool') return 'bool';
  if (signature === 'compare') return compared;
  return signature === 'select' && position === 0 ? 'bool' : wanted;
}

function randomConstant(values: readonly number[] | undefined, type: Arithmetic, choose: Choose): Scalar {
  const value = pick(choose, values ?? awkward[type].filter(Number.isFinite));
  return constant(type, type === 'bool' ? Number(value !== 0) : wrap(type, value));
}

function randomSample(sample: Sample, type: Arithmetic, scope: ScalarScope): Scalar {
  switch (sample) {
    case 'expression':
      return randomScalar(scope, type, scope.choose(4));
    case 'affine':
      return convert(type, randomAffine(scope, 3));
    case 'natural':
      return convert(type, randomNatural(scope));
    default: {
      const tensor = instanceTensors.find(({ dtype }) => dtype === sample)!;
      const subscript = apply('mod', randomAffine(scope, 1), integer(tensor.shape[0]!));
      return load(tensor, [subscript]);
    }
  }
}

/** Subscripts as programs have them: sums of iterators and look-ups, of their quotients and remainders. */
function randomAffine(scope: ScalarScope, depth: number): Scalar {
  const { choose } = scope;
  const inner = (): Scalar => randomAffine(scope, depth - 1);
  const axis = (): Scalar => iterator(pick(choose, scope.axes).axis);
  const makers: readonly (() => Scalar)[] = [
    axis,
    axis,
    () => integer(pick(choose, [0, 1, -1, 2, 3, 4, 12, -6, 2 ** 31 - 1])),
    () => randomScalar(scope, 'i32', 0),
  ];
  const compounds: readonly (() => Scalar)[] = [
    () => apply('add', inner(), inner()),
    () => apply('add', apply('mul', inner(), integer(pick(choose, [2, 3, 4, 12]))), inner()),
    () => apply('sub', inner(), inner()),
    () => apply('mul', inner(), integer(pick(choose, [2, 3, 4, 5, 12, -3, 2 ** 20]))),
    () => apply('neg', inner()),
    () => apply('floordiv', inner(), integer(pick(choose, [1, 2, 3, 4, 12]))),
    () => apply('mod', inner(), integer(pick(choose, [1, 2, 3, 4, 12]))),
    () => splitAndMerged(inner(), integer(pick(choose, [2, 3, 4]))),
  ];
  return pick(choose, depth > 0 ? [...makers, ...compounds] : makers)();
}

function splitAndMerged(whole: Scalar, by: Scalar): Scalar {
  return apply('add', apply('mul', apply('floordiv', whole, by), by), apply('mod', whole, by));
}

function randomNatural(scope: ScalarScope): Scalar {
  const { choose } = scope;
  const affine = randomAffine(scope, 2);
  if (choose(3) === 0) return iterator(pick(choose, scope.axes).axis);
  return choose(2) === 0
    ? apply('mod', affine, integer(pick(choose, [1, 2, 12, 24])))
    : apply('max', affine, integer(0));
}
