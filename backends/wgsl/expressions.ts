/** Writes expressions at a point of the tile being computed: one element, or four neighbours as a vector. */

import { float32 } from '../../compiler/graph/float32.ts';
import type { Arithmetic } from '../../compiler/graph/graph.ts';
import { divisorOf, laneStride } from '../../compiler/tiles/lanes.ts';
import {
  arithmeticOf,
  constantValue,
  type ExpressionOf,
  intervalOf,
  operandsOf,
  type TileExpression,
} from '../../compiler/tiles/tile-expression.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import { sumAt } from '../writing/index-sums.ts';
import { linearConstant, linearValue, plus, times } from '../writing/linear.ts';
import { first, type Point as PointOf } from '../writing/point.ts';
import { type Emission, helper, named } from './emission.ts';
import { type Linear, sumOf } from './linear.ts';
import { loadFour, loadSingle, roundTo } from './memory.ts';
import { fromLanes, type Places } from './places.ts';
import { readRegister, readShared, readSharedFour, tileState } from './tile-elements.ts';
import { applyFunction, component, convert, runtimeFloat, widen } from './values.ts';
import { components, literal, splat } from './wgsl-text.ts';
import type { Value } from './writer.ts';

/** The value of `expression`: four wide, or scalar where all four are the same. */
export function emit(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  return emission.written.value(expression, point, () => emitAnew(emission, expression, point));
}

function emitAnew(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  if (point.width === 1) return emitScalar(emission, expression, point);
  const stride = laneStride(expression, point.domain);
  if (stride === undefined) return emitOperation(emission, expression, point);
  const base = emitScalar(emission, expression, first(point));
  if (stride === 0) return base;
  const offsets = `vec4i(0, ${stride}, ${2 * stride}, ${3 * stride})`;
  return emission.writer.compute('i32', 4, [base], ([text]) => `${text} + ${offsets}`);
}

/** As `emit`, in exactly the point's width. */
export function emitFull(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  return widen(emission, emit(emission, expression, point), point.width);
}

function emitScalar(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  return arithmeticOf(expression) === 'i32'
    ? sumOf(emission, linear(emission, expression, point))
    : emitOperation(emission, expression, point);
}

/** An integer expression at a point (at the first of four) as a sum. */
export function linear(emission: Emission, expression: TileExpression, point: PointOf<Value>): Linear {
  const own = (part: TileExpression): Linear => {
    const value = emitOperation(emission, part, first(point));
    const known = /^\(?(-?\d+)\)?$/.exec(value.text);
    return known === null
      ? linearValue(value, { divisor: divisorOf(part, point.domain) })
      : linearConstant(Number(known[1]));
  };
  const operand = (part: TileExpression) => linear(emission, part, point);
  return emission.written.sum(expression, point, () => sumAt(expression, point, own, operand));
}

/** Where the four neighbours at `point` find the element of an array whose place `offset` says. */
export function placesOf(emission: Emission, offset: TileExpression, point: PointOf<Value>): Places {
  const stride = laneStride(offset, point.domain);
  if (stride === undefined) {
    const places = emit(emission, offset, point);
    return { kind: 'scattered', each: fromLanes((lane) => linearValue(component(places, lane))) };
  }
  const aligned = stride === 1 && divisorOf(offset, point.domain) % 4 === 0;
  return { kind: 'strided', first: linear(emission, offset, point), stride, aligned };
}

/** An expression by its outermost operation. */
function emitOperation(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  switch (expression.op) {
    case 'constant':
      return emitConstant(emission, expression.value, expression.dtype);
    case 'grid':
      return named(`g${expression.axis}`);
    case 'variable':
      return named(`i_${expression.name}`, emission.loopDepths.get(expression.name) ?? 0);
    case 'counter':
      return uniform(emission, emission.program.counters.indexOf(expression.loop));
    case 'device': {
      const { counters, coordinates } = emission.program;
      return uniform(emission, counters.length + coordinates.indexOf(expression.axis));
    }
    case 'coordinate':
      return sumOf(emission, point.coordinates[expression.axis]!);
    case 'element':
      return emitElement(emission, expression, point);
    case 'load':
      return point.width === 4
        ? loadFour(emission, expression.tensor, placesOf(emission, expression.offset, point))
        : loadSingle(emission, expression.tensor, linear(emission, expression.offset, point));
    case 'round':
      return roundTo(emission, expression.dtype, emit(emission, expression.operand, point));
    case 'convert':
      return convert(emission, expression.dtype, emit(emission, expression.operand, point));
    case 'apply':
      return emitApply(emission, expression, point);
  }
}

/** What the launch passes in at a place: counters of loops, then coordinates of the device. */
function uniform({ writer }: Emission, place: number): Value {
  return writer.compute('i32', 1, [], () => `i32(counters.${components[place]})`);
}

/** A tile's element: by a number known here in registers, by a computed place in workgroup memory. */
function emitElement(emission: Emission, expression: ExpressionOf<'element'>, point: PointOf<Value>): Value {
  const state = tileState(emission, expression.tile);
  const { subscripts } = expression;
  if (state.tile.space !== 'shared') return readRegister(emission, state, subscripts, point);
  const extents = state.tile.axes.map((axis) => axis.extent);
  const flat = (parts: readonly Linear[]) =>
    parts.reduce((total, part, axis) => plus(times(total, extents[axis]!), part), linearConstant(0));
  const place = () => flat(subscripts.map((subscript) => linear(emission, subscript, point)));
  if (point.width === 1) return readShared(emission, state, place());
  const strides = subscripts.map((subscript) => laneStride(subscript, point.domain));
  if (strides.every((stride) => stride !== undefined)) {
    const stride = strides.reduce((total, at, axis) => total * extents[axis]! + at, 0);
    const last = subscripts.at(-1);
    const aligned =
      stride === 1 && strides.at(-1) === 1 && last !== undefined && divisorOf(last, point.domain) % 4 === 0;
    return readSharedFour(emission, state, { kind: 'strided', first: place(), stride, aligned });
  }
  const values = subscripts.map((subscript) => emit(emission, subscript, point));
  const each = fromLanes((lane) => flat(values.map((value) => linearValue(component(value, lane)))));
  return readSharedFour(emission, state, { kind: 'scattered', each });
}

function emitConstant(emission: Emission, value: number, dtype: Arithmetic): Value {
  if (!Number.isFinite(value)) helper(emission, 'float_of_bits', 1);
  return literal(value, dtype);
}

const knownFloats = new WeakMap<TileExpression, number | 'unknown'>();

/** What a float of nothing but constants is, such as 0 / 0. */
function knownFloat(expression: TileExpression): number | undefined {
  const known = knownFloats.get(expression) ?? computeKnownFloat(expression) ?? 'unknown';
  knownFloats.set(expression, known);
  return known === 'unknown' ? undefined : known;
}

function computeKnownFloat(expression: TileExpression): number | undefined {
  if (expression.op === 'constant') return expression.dtype === 'f32' ? expression.value : undefined;
  if (expression.op !== 'apply' || expression.dtype !== 'f32') return undefined;
  const run = floatFunctions[expression.function];
  const operands = expression.operands.map(knownFloat);
  return operands.every((operand) => operand !== undefined) ? run?.(...operands) : undefined;
}

const floatFunctions: { readonly [F in ScalarFunction]?: (...operands: number[]) => number } =
  float32.functions;

function emitApply(emission: Emission, expression: ExpressionOf<'apply'>, point: PointOf<Value>): Value {
  const shift = powerOfTwoForm(emission, expression, point);
  if (shift !== undefined) return shift;
  // As a literal it is seen where it is chosen.
  if (Number.isNaN(knownFloat(expression))) return emitConstant(emission, Number.NaN, 'f32');
  const operands = operandsOf(expression).map((operand) => emit(emission, operand, point));
  const [first, ...rest] = expression.operands;
  if (first?.op !== 'constant' || first.dtype !== 'f32' || rest.some((operand) => operand.op !== 'constant'))
    return applyFunction(emission, expression.function, expression.dtype, operands);
  return applyFunction(emission, expression.function, expression.dtype, [
    runtimeFloat(emission, first.value),
    ...operands.slice(1),
  ]);
}

/**
 * Division by a power of two is a shift (rounding down as wanted); by a positive number, plain where nothing
 * is negative.
 */
function powerOfTwoForm(
  emission: Emission,
  expression: ExpressionOf<'apply'>,
  point: PointOf<Value>,
): Value | undefined {
  const [a, b] = expression.operands;
  if (expression.dtype !== 'i32' || a === undefined || b === undefined) return undefined;
  if (expression.function !== 'floordiv' && expression.function !== 'mod') return undefined;
  const divisor = constantValue(b);
  if (divisor === undefined || divisor <= 0) return undefined;
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
