/** Writes expressions at a point of the tile being computed: one element, or four neighbours as a vector. */
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import {
  arithmeticOf,
  constantValue,
  intervalOf,
  operandsOf,
  type TileExpression,
} from '../../compiler/tiles/tile-expression.ts';
import { type Emission, helper, named } from './emission.ts';
import { functionRules } from './functions.ts';
import { type Domain, divisorOf, laneStride } from './lanes.ts';
import { type Linear, linearConstant, linearValue, plus, sumOf, times } from './linear.ts';
import { loadFour, loadSingle, roundTo } from './memory.ts';
import { readElement } from './tile-elements.ts';
import { components, literal, splat, typeText } from './wgsl-text.ts';
import type { Value } from './writer.ts';

/** Where in its domain an invocation computes: one register, or one unit of a shared tile. */
export interface Point {
  readonly domain: Domain;
  /** 1 asks for the first of the four neighbours of a domain of vectors. */
  readonly width: 1 | 4;
  /** Along each axis. */
  readonly coordinates: readonly Linear[];
  /** Along each axis which of the invocation's elements it is; undefined in a shared tile. */
  readonly fragment: readonly number[] | undefined;
}

/** The value of `expression`: four wide, or scalar where all four are the same. */
export function emit(emission: Emission, expression: TileExpression, point: Point): Value {
  if (point.width === 1) return emitScalar(emission, expression, point);
  const stride = laneStride(expression, point.domain);
  if (stride === undefined) return emitVector(emission, expression, point);
  const base = emitScalar(emission, expression, first(point));
  if (stride === 0) return base;
  const offsets = `vec4i(0, ${stride}, ${2 * stride}, ${3 * stride})`;
  return emission.writer.compute('i32', 4, [base], ([text]) => `${text} + ${offsets}`);
}

/** As `emit`, in exactly the point's width. */
export function emitFull(emission: Emission, expression: TileExpression, point: Point): Value {
  return widen(emission, emit(emission, expression, point), point.width);
}

export function widen(emission: Emission, value: Value, width: 1 | 4): Value {
  if (value.width === width) return value;
  return emission.writer.compute(value.dtype, width, [value], ([text]) => splat(text!, value, width));
}

const firsts = new WeakMap<Point, Point>();

export function first(point: Point): Point {
  if (point.width === 1) return point;
  const known = firsts.get(point) ?? { ...point, width: 1 };
  firsts.set(point, known);
  return known;
}

function emitScalar(emission: Emission, expression: TileExpression, point: Point): Value {
  return arithmeticOf(expression) === 'i32'
    ? sumOf(emission, linear(emission, expression, point))
    : emitOperation(emission, expression, point);
}

/** An integer expression at a point (at the first of four) as a sum. */
export function linear(emission: Emission, expression: TileExpression, point: Point): Linear {
  switch (expression.op) {
    case 'constant':
      return linearConstant(expression.value);
    case 'coordinate':
      return point.coordinates[expression.axis]!;
    case 'apply': {
      const [a, b] = expression.operands;
      const part = (operand: TileExpression) => linear(emission, operand, point);
      switch (expression.function) {
        case 'add':
          return plus(part(a!), part(b!));
        case 'sub':
          return plus(part(a!), times(part(b!), -1));
        case 'neg':
          return times(part(a!), -1);
        case 'mul': {
          const [left, right] = [part(a!), part(b!)];
          if (left.terms.length === 0) return times(right, left.constant);
          if (right.terms.length === 0) return times(left, right.constant);
          break;
        }
      }
    }
  }
  const value = emitOperation(emission, expression, first(point));
  const known = /^\(?(-?\d+)\)?$/.exec(value.text);
  return known === null
    ? linearValue(value, divisorOf(expression, point.domain))
    : linearConstant(Number(known[1]));
}

function emitVector(emission: Emission, expression: TileExpression, point: Point): Value {
  return emitOperation(emission, expression, point);
}

/** An expression by its outermost operation. */
function emitOperation(emission: Emission, expression: TileExpression, point: Point): Value {
  switch (expression.op) {
    case 'constant':
      if (!Number.isFinite(expression.value)) helper(emission, 'float_of_bits', 1);
      return literal(expression.value, expression.dtype);
    case 'grid':
      return named(`g${expression.axis}`);
    case 'variable':
      return named(`i_${expression.name}`, emission.loopDepths.get(expression.name) ?? 0);
    case 'counter': {
      const component = components[emission.program.counters.indexOf(expression.loop)];
      return emission.writer.compute('i32', 1, [], () => `i32(counters.${component})`);
    }
    case 'coordinate':
      return sumOf(emission, point.coordinates[expression.axis]!);
    case 'element':
      return readElement(emission, expression, point);
    case 'load':
      return point.width === 4
        ? loadFour(emission, expression, point)
        : loadSingle(emission, expression.tensor, linear(emission, expression.offset, point));
    case 'round':
      return roundTo(emission, expression.dtype, emit(emission, expression.operand, point));
    case 'convert':
      return convert(emission, expression.dtype, emit(emission, expression.operand, point));
    case 'apply':
      return emitApply(emission, expression, point);
  }
}

function emitApply(
  emission: Emission,
  expression: TileExpression & { readonly op: 'apply' },
  point: Point,
): Value {
  const shift = powerOfTwoForm(emission, expression, point);
  if (shift !== undefined) return shift;
  const operands = operandsOf(expression).map((operand) => emit(emission, operand, point));
  const [first, ...rest] = expression.operands;
  if (first?.op !== 'constant' || first.dtype !== 'f32' || rest.some((operand) => operand.op !== 'constant'))
    return applyFunction(emission, expression.function, expression.dtype, operands);
  return applyFunction(emission, expression.function, expression.dtype, [
    runtimeFloat(emission, first.value),
    ...operands.slice(1),
  ]);
}

/** A constant that compilers do not evaluate with: 0 / 0 and the like are errors at compile time, NaN at run time. */
function runtimeFloat(emission: Emission, value: number): Value {
  helper(emission, 'float_of_bits', 1);
  const bits = new Uint32Array(new Float32Array([value]).buffer)[0] ?? 0;
  const text = `float_of_bits(0x${bits.toString(16).padStart(8, '0')}u)`;
  return { text, key: text, dtype: 'f32', width: 1, depth: 0 };
}

/** A pointwise function of values, the scalar ones extended where there are vectors. */
export function applyFunction(
  emission: Emission,
  name: keyof typeof functionRules,
  dtype: Arithmetic,
  operands: readonly Value[],
): Value {
  const [left, right] = operands;
  if ((name === 'ne' || name === 'eq') && left?.dtype === 'f32' && left.key === right?.key)
    return isNaNOf(emission, left, name === 'ne');
  const rule = functionRules[name];
  const width = operands.some((operand) => operand.width === 4) ? 4 : 1;
  if (rule.scalarOnly && width === 4) {
    const parts = [0, 1, 2, 3].map((lane) =>
      applyFunction(
        emission,
        name,
        dtype,
        operands.map((operand) => component(operand, lane)),
      ),
    );
    return compose(emission, parts);
  }
  if (rule.helper !== undefined) helper(emission, rule.helper, width);
  const form = { dtype: operands.at(-1)!.dtype, width } as const;
  return emission.writer.compute(dtype, width, operands, (texts) => {
    const [a = '', b = '', c = '', d = ''] = texts.map((text, at) => splat(text, operands[at]!, width));
    return rule.write(form, a, b, c, d);
  });
}

/** `x != x`, or `x == x`, as a program asks whether it is NaN. */
function isNaNOf(emission: Emission, value: Value, isWanted: boolean): Value {
  const name = helper(emission, 'is_nan', value.width);
  return emission.writer.compute('bool', value.width, [value], ([text]) =>
    isWanted ? `${name}(${text})` : `!${name}(${text})`,
  );
}

/** Division by a power of two is a shift (rounding down as wanted); by anything, plain where nothing is negative. */
function powerOfTwoForm(
  emission: Emission,
  expression: TileExpression & { readonly op: 'apply' },
  point: Point,
): Value | undefined {
  const [a, b] = expression.operands;
  if (expression.dtype !== 'i32' || a === undefined || b === undefined) return undefined;
  if (expression.function !== 'floordiv' && expression.function !== 'mod') return undefined;
  const divisor = constantValue(b);
  if (divisor === undefined) return undefined;
  const bits = Math.log2(divisor);
  const isDivision = expression.function === 'floordiv';
  const operand = emit(emission, a, point);
  const compute = (write: (text: string) => string) =>
    emission.writer.compute('i32', operand.width, [operand], ([text]) => write(text!));
  if (Number.isInteger(bits)) {
    const shift = operand.width === 4 ? `vec4u(${bits}u)` : `${bits}u`;
    return compute((text) =>
      isDivision ? `${text} >> ${shift}` : `${text} & ${mask(divisor - 1, operand)}`,
    );
  }
  if (intervalOf(a).low < 0) return undefined;
  return compute((text) => `${text} ${isDivision ? '/' : '%'} ${divisor}`);
}

function mask(bits: number, operand: Value): string {
  return splat(`${bits}`, { ...operand, width: 1 }, operand.width);
}

/** Between arithmetic types. */
export function convert(emission: Emission, dtype: Arithmetic, value: Value): Value {
  if (value.dtype === dtype) return value;
  const fromFloat = value.dtype === 'f32' && (dtype === 'i32' || dtype === 'u32');
  const name = fromFloat
    ? helper(emission, dtype === 'i32' ? 'to_i32' : 'to_u32', value.width)
    : typeText(dtype, value.width);
  return emission.writer.compute(dtype, value.width, [value], ([text]) => `${name}(${text})`);
}

/** One of four, or the scalar itself. */
export function component(value: Value, lane: number): Value {
  if (value.width === 1) return value;
  const part = `${value.text}.${components[lane]}`;
  const key = `${value.key}.${components[lane]}`;
  return { ...value, text: part, key, width: 1 };
}

/** A vector of four scalars. */
export function compose(emission: Emission, parts: readonly Value[]): Value {
  const dtype = parts[0]!.dtype;
  return emission.writer.compute(
    dtype,
    4,
    parts,
    ([x, y, z, w]) => `${typeText(dtype, 4)}(${x}, ${y}, ${z}, ${w})`,
  );
}
