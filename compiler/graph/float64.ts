/**
 * The algebra of double-precision numbers: the meaning of a program up to roundings far below those of f32.
 */
import type { Algebra } from './algebra.ts';
import { roundTo } from './rounding.ts';

export const float64: Algebra<number> = {
  name: 'float64',
  createStorage: (length) => new Float64Array(length),
  constant: (value) => value,
  functions: {
    add: (left, right) => left + right,
    sub: (left, right) => left - right,
    mul: (left, right) => left * right,
    div: (left, right) => left / right,
    neg: (operand) => -operand,
    abs: Math.abs,
    sign: Math.sign,
    min: Math.min,
    max: Math.max,
    exp: Math.exp,
    log: Math.log,
    sqrt: Math.sqrt,
    rsqrt: (operand) => 1 / Math.sqrt(operand),
    sin: Math.sin,
    cos: Math.cos,
    tanh: Math.tanh,
    erf,
    pow: (base, exponent) => base ** exponent,
    floor: Math.floor,
    ceil: Math.ceil,
    round: roundTiesToEven,
  },
  comparisons: {
    eq: (left, right) => left === right,
    ne: (left, right) => left !== right,
    lt: (left, right) => left < right,
    le: (left, right) => left <= right,
  },
  // What is stored as f32 keeps its precision: the roundings of f32 are the devices', not the program's.
  round: (dtype, value) => (dtype === 'f32' ? value : roundTo(dtype, value)),
  fromInteger: (value) => value,
  toNumber: (value) => value,
  dot: (start, left, right, count) => {
    const { data: leftData, stride: leftStride } = left;
    const { data: rightData, stride: rightStride } = right;
    let sum = start;
    let leftOffset = left.offset;
    let rightOffset = right.offset;
    for (let position = 0; position < count; position++) {
      sum += leftData[leftOffset]! * rightData[rightOffset]!;
      leftOffset += leftStride;
      rightOffset += rightStride;
    }
    return sum;
  },
};

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  if (fraction < 0.5) return floor;
  if (fraction > 0.5) return floor + 1;
  return floor % 2 === 0 ? floor : floor + 1;
}

/**
 * Kummer's series `erf x = 2/√π · e^(−x²) · Σ (2x²)^n x / (2n+1)!!`: all terms have one sign, so nothing
 * cancels and the result is good to a few ulps (DLMF 7.6.2). Beyond 6 it is 1 to the last bit.
 */
function erf(value: number): number {
  if (Number.isNaN(value) || Math.abs(value) > 6) return Math.sign(value);
  let term = value;
  let sum = value;
  for (let odd = 3; Math.abs(term) > Math.abs(sum) * 2 ** -55; odd += 2) {
    term *= (2 * value * value) / odd;
    sum += term;
  }
  return (2 / Math.sqrt(Math.PI)) * Math.exp(-value * value) * sum;
}
