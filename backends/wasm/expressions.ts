/** Writes expressions at a point of the tile being computed: one element, or four neighbours as a vector. */

import { laneStride } from '../../compiler/tiles/lanes.ts';
import {
  arithmeticOf,
  constantValue,
  type ExpressionOf,
  intervalOf,
  type TileExpression,
} from '../../compiler/tiles/tile-expression.ts';
import { sumAt } from '../writing/index-sums.ts';
import { linearConstant, linearValue, plus } from '../writing/linear.ts';
import { first, type Point as PointOf } from '../writing/point.ts';
import type { Emission } from './emission.ts';
import { applyFunction, convert } from './functions.ts';
import { type Linear, sumOf } from './linear.ts';
import { loadFour, loadSingle, type Places, roundTo } from './memory.ts';
import { readTile } from './tiles.ts';
import { component, knownInteger, literal, vectorLiteral, widen } from './values.ts';
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
  const { writer } = emission;
  return writer.instruction('i32x4.add', 'i32', [widen(writer, base, 4), steps(stride)]);
}

/** 0, `stride`, 2 · `stride`, 3 · `stride`. */
function steps(stride: number): Value {
  const words = [0, stride, 2 * stride, 3 * stride] as const;
  return { ...vectorLiteral(0, 'i32'), key: `w${words}`, code: { kind: 'v128', words } };
}

/** As `emit`, in exactly the point's width. */
export function emitFull(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  return widen(emission.writer, emit(emission, expression, point), point.width);
}

function emitScalar(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  return arithmeticOf(expression) === 'i32'
    ? sumOf(emission.writer, linear(emission, expression, point))
    : emitOperation(emission, expression, point);
}

/** An integer expression at a point (at the first of four) as a sum. */
export function linear(emission: Emission, expression: TileExpression, point: PointOf<Value>): Linear {
  const own = (part: TileExpression): Linear => {
    const facts = { isNatural: intervalOf(part).low >= 0 };
    if (part.op === 'variable') {
      const { value, ahead } = emission.variables.get(part.name)!;
      return plus(linearValue(value, facts), linearConstant(ahead));
    }
    const value = emitOperation(emission, part, first(point));
    const known = knownInteger(value);
    return known === undefined ? linearValue(value, facts) : linearConstant(known);
  };
  const operand = (part: TileExpression) => linear(emission, part, point);
  return emission.written.sum(expression, point, () => sumAt(expression, point, own, operand));
}

/** Where the four neighbours at `point` find the element of a tensor whose place `offset` says. */
export function placesOf(emission: Emission, offset: TileExpression, point: PointOf<Value>): Places {
  const stride = laneStride(offset, point.domain);
  if (stride !== undefined) return { kind: 'strided', first: linear(emission, offset, point), stride };
  const places = emitFull(emission, offset, point);
  const each = [0, 1, 2, 3].map((lane) => linearValue(component(emission.writer, places, lane)));
  return { kind: 'scattered', each };
}

/** An expression by its outermost operation. */
function emitOperation(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  switch (expression.op) {
    case 'constant':
      return literal(expression.value, expression.dtype);
    case 'grid':
      return emission.grid[expression.axis]!;
    case 'variable':
      return sumOf(emission.writer, linear(emission, expression, point));
    case 'counter':
      return emission.counters.get(expression.loop)!;
    case 'device':
      return emission.coordinates.get(expression.axis)!;
    case 'coordinate':
      return sumOf(emission.writer, point.coordinates[expression.axis]!);
    case 'element':
      return readTile(emission, expression, point);
    case 'load': {
      const { tensor, offset } = expression;
      const range = intervalOf(offset);
      return point.width === 4
        ? loadFour(emission, tensor, range, placesOf(emission, offset, point))
        : loadSingle(emission, tensor, range, linear(emission, offset, point));
    }
    case 'round':
      return roundTo(emission, expression.dtype, emit(emission, expression.operand, point));
    case 'convert': {
      const { dtype, operand } = expression;
      const value = emit(emission, operand, point);
      return convert(emission, dtype, isNatural(operand) ? { ...value, dtype: 'i32' } : value);
    }
    case 'apply':
      return emitApply(emission, expression, point);
  }
}

/** Whether a word is the same number with and without a sign: processors convert what has one faster. */
function isNatural(word: TileExpression): boolean {
  const { low, high } = intervalOf(word);
  return arithmeticOf(word) === 'u32' && low >= 0 && high < 2 ** 31;
}

type Application = ExpressionOf<'apply'>;

function emitApply(emission: Emission, expression: Application, point: PointOf<Value>): Value {
  const operands = expression.operands.map((operand) => emit(emission, operand, point));
  return (
    simpleDivision(emission, expression, operands) ??
    applyFunction(emission, expression.function, expression.dtype, operands)
  );
}

/**
 * Division by a power of two is a shift (rounding down as wanted); by another positive number, plain where
 * nothing is negative.
 */
function simpleDivision(
  { writer }: Emission,
  { operands: [a, b], dtype, function: name }: Application,
  [operand]: readonly Value[],
): Value | undefined {
  if (dtype !== 'i32' || a === undefined || b === undefined || operand === undefined) return undefined;
  if (name !== 'floordiv' && name !== 'mod') return undefined;
  const divisor = constantValue(b);
  if (divisor === undefined || divisor <= 0) return undefined;
  const bits = Math.log2(divisor);
  const isFour = operand.width === 4;
  if (Number.isInteger(bits)) {
    if (name === 'floordiv')
      return writer.instruction(isFour ? 'i32x4.shr_s' : 'i32.shr_s', 'i32', [operand, literal(bits, 'i32')]);
    const mask = widen(writer, literal(divisor - 1, 'i32'), operand.width);
    return writer.instruction(isFour ? 'v128.and' : 'i32.and', 'i32', [operand, mask]);
  }
  if (isFour || intervalOf(a).low < 0) return undefined;
  return writer.instruction(name === 'floordiv' ? 'i32.div_u' : 'i32.rem_u', 'i32', [
    operand,
    literal(divisor, 'i32'),
  ]);
}
