/**
 * The algebra of single precision, every operation rounded: correctly for what IEEE 754 rounds correctly (a
 * double holds enough bits that rounding twice is rounding once for sums, products, quotients and roots of
 * f32 values, Figueroa 1995), to an ulp for the others.
 */
import type { Algebra, FloatFunction } from './algebra.ts';
import { float64 } from './float64.ts';

function rounded(run: (...operands: number[]) => number): (...operands: number[]) => number {
  return (...operands) => Math.fround(run(...operands));
}

const functions = Object.entries(float64.functions).map(([name, run]) => [name, rounded(run)]);

export const float32: Algebra<number> = {
  name: 'float32',
  createStorage: float64.createStorage,
  constant: Math.fround,
  functions: Object.fromEntries(functions) as {
    readonly [F in FloatFunction]: Algebra<number>['functions'][F];
  },
  comparisons: float64.comparisons,
  round: float64.round,
  fromInteger: Math.fround,
  toNumber: float64.toNumber,
};
