/**
 * What pointwise functions give on constants, where that is one value on every device: integer and logical
 * functions, and the f32 operations that IEEE 754 rounds correctly. The rest (exp, sin, …) are left to the
 * device.
 */
import type { ScalarFunction } from '../../../dsl/types/scalar-functions.ts';
import { float64 } from '../../graph/float64.ts';
import type { Arithmetic, Scalar } from '../../graph/graph.ts';
import { convertInteger, integerOperation, truncateFloat } from '../../graph/integers.ts';
import { roundTo } from '../../graph/rounding.ts';
import { constant, scalarType } from '../../graph/scalar.ts';

const correctlyRounded = [
  'add', 'sub', 'mul', 'div', 'neg', 'abs', 'sign', 'min', 'max', 'sqrt', 'floor', 'ceil', 'round',
] as const; // biome-ignore format: one topic a line
const comparisons = ['eq', 'ne', 'lt', 'le'] as const;

/** A value of the type from an exact result: rounded for f32, modulo 2^32 for integers. */
export function wrap(type: Arithmetic, exact: number): number {
  return type === 'f32' ? Math.fround(exact) : convertInteger(type, exact);
}

/** `scalar` as a constant, or undefined where it is not one or gives no finite number. */
export function foldConstant(scalar: Scalar): Scalar | undefined {
  const value = foldedValue(scalar);
  return value !== undefined && Number.isFinite(value) ? constant(scalarType(scalar), value) : undefined;
}

function foldedValue(scalar: Scalar): number | undefined {
  switch (scalar.op) {
    case 'convert':
      return scalar.operand.op === 'constant'
        ? converted(scalar.operand.dtype, scalar.dtype, scalar.operand.value)
        : undefined;
    case 'round':
      return scalar.operand.op === 'constant' ? roundTo(scalar.dtype, scalar.operand.value) : undefined;
    case 'apply': {
      const values = scalar.operands.flatMap((operand) => (operand.op === 'constant' ? [operand.value] : []));
      if (values.length < scalar.operands.length || scalar.function === 'select') return undefined;
      return appliedTo(scalar.function, scalarType(scalar.operands[0]!), values);
    }
    default:
      return undefined;
  }
}

function converted(from: Arithmetic, to: Arithmetic, value: number): number {
  if (to === 'f32') return Math.fround(value);
  return from === 'f32' ? truncateFloat(to, value) : convertInteger(to, value);
}

function appliedTo(name: ScalarFunction, type: Arithmetic, values: readonly number[]): number | undefined {
  const [first = 0, second = 0, third = 0, fourth = 0] = values;
  if (type !== 'f32') {
    const divides = name === 'floordiv' || name === 'mod';
    return divides && second <= 0 ? undefined : integerOperation(name, type)(first, second, third, fourth);
  }
  const rounded = correctlyRounded.find((candidate) => candidate === name);
  if (rounded !== undefined) return Math.fround(float64.functions[rounded](first, second));
  const comparison = comparisons.find((candidate) => candidate === name);
  return comparison && Number(float64.comparisons[comparison](first, second));
}
