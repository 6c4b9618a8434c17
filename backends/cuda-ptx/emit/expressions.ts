/** Writes expressions at a point of the tile being computed: one element, or four neighbours. */
import { divisorOf, laneStride } from '../../../compiler/tiles/lanes.ts';
import {
  arithmeticOf,
  type ExpressionOf,
  intervalOf,
  type TileExpression,
  usesVariable,
} from '../../../compiler/tiles/tile-expression.ts';
import { sumAt } from '../../writing/index-sums.ts';
import { linearConstant, linearValue, plus, times } from '../../writing/linear.ts';
import { first, type Point as PointOf } from '../../writing/point.ts';
import { bufferOf, type Emission, type Sum, tileState } from './emission.ts';
import { type ScaledDifference, scaledDifference, scaledExponential } from './exponentials.ts';
import { applyFunction, convert } from './functions.ts';
import { halfOf, isAligned, isInside, loadLanes, loadOne, type Places } from './memory.ts';
import { roundedTo } from './narrow.ts';
import { readShared, readSharedLanes, sharedPlace } from './shared-memory.ts';
import { sumOf, termsOf } from './sums.ts';
import { readRegisters } from './tile-elements.ts';
import { behindRun, readTurned } from './turned-layout.ts';
import { type Lanes, laneOf, lanesFrom, literal, type Value } from './values.ts';

/** The value of `expression`, once where it is the same for all four. */
export function emit(emission: Emission, expression: TileExpression, point: PointOf<Value>): Lanes {
  return emission.written.value(expression, point, () => emitAnew(emission, expression, point));
}

function emitAnew(emission: Emission, expression: TileExpression, point: PointOf<Value>): Lanes {
  if (point.width === 1) return [emitScalar(emission, expression, point)];
  const stride = laneStride(expression, point.domain);
  if (stride === undefined) return emitOperation(emission, expression, point);
  const scalar = first(point);
  if (stride === 0) return [emitScalar(emission, expression, scalar)];
  const start = linear(emission, expression, scalar);
  return lanesFrom(4, (lane) => sumOf(emission.writer, plus(start, linearConstant(lane * stride))));
}

function emitScalar(emission: Emission, expression: TileExpression, point: PointOf<Value>): Value {
  return arithmeticOf(expression) === 'i32'
    ? sumOf(emission.writer, linear(emission, expression, point))
    : emitOperation(emission, expression, point)[0];
}

/** An integer expression at a point (at the first of four) as a sum. */
export function linear(emission: Emission, expression: TileExpression, point: PointOf<Value>): Sum {
  const own = (part: TileExpression): Sum => {
    const [value] = emitOperation(emission, part, first(point));
    if (value.known !== undefined) return linearConstant(value.known);
    return linearValue(value, {
      divisor: divisorOf(part, point.domain),
      isNatural: intervalOf(part).low >= 0,
    });
  };
  const operand = (part: TileExpression) => linear(emission, part, point);
  return emission.written.sum(expression, point, () => sumAt(expression, point, own, operand));
}

/** Where the four neighbours at `point` find the element of a tensor whose place `offset` says. */
export function placesOf(emission: Emission, offset: TileExpression, point: PointOf<Value>): Places {
  const stride = laneStride(offset, point.domain);
  if (stride !== undefined) {
    const start = linear(emission, offset, first(point));
    return {
      kind: 'strided',
      first: start,
      stride,
      isAligned: isAligned(offset, point),
      half: halfOf(offset, point),
    };
  }
  const places = emit(emission, offset, point);
  return { kind: 'scattered', each: [0, 1, 2, 3].map((lane) => laneOf(places, lane)) };
}

/** An expression by its outermost operation. */
function emitOperation(emission: Emission, expression: TileExpression, point: PointOf<Value>): Lanes {
  const { writer } = emission;
  const each = (operand: TileExpression, of: (value: Value) => Value): Lanes => {
    const values = emit(emission, operand, point);
    return lanesFrom(values.length, (lane) => of(laneOf(values, lane)));
  };
  switch (expression.op) {
    case 'constant':
      return [literal(expression.value, expression.dtype)];
    case 'grid':
      return [emission.grid[expression.axis]!];
    case 'variable':
      return [emission.variables.get(expression.name)!];
    case 'counter':
      return [emission.counters.get(expression.loop)!];
    case 'device':
      return [emission.coordinates.get(expression.axis)!];
    case 'coordinate':
      return [sumOf(writer, point.coordinates[expression.axis]!)];
    case 'element':
      return emitElement(emission, expression, point);
    case 'load':
      return emitLoad(emission, expression, point);
    case 'round':
      return each(expression.operand, (value) => roundedTo(writer, expression.dtype, value));
    case 'convert':
      return each(expression.operand, (value) => convert(writer, expression.dtype, value));
    case 'apply': {
      const difference = scaledDifference(expression);
      if (difference !== undefined) return emitScaledDifference(emission, difference, point);
      const compared = emitComparison(emission, expression, point);
      if (compared !== undefined) return [compared];
      const operands = expression.operands.map((operand) => emit(emission, operand, point));
      const width = operands.some((lanes) => lanes.length === 4) ? 4 : 1;
      return lanesFrom(width, (lane) =>
        applyFunction(
          writer,
          expression.function,
          expression.dtype,
          operands.map((operand) => laneOf(operand, lane)),
        ),
      );
    }
  }
}

/** Places and sizes are far from where a difference of two would wrap around. */
const farthest = 2 ** 30;

/**
 * Places that both vary are compared by what their difference is but for a number: neighbours, which are
 * compared with the same, share it.
 */
function emitComparison(
  emission: Emission,
  expression: ExpressionOf<'apply'>,
  point: PointOf<Value>,
): Value | undefined {
  const { function: name, operands } = expression;
  if ((name !== 'le' && name !== 'lt') || point.width !== 1) return undefined;
  const isNear = (operand: TileExpression) => {
    const { low, high } = intervalOf(operand);
    return arithmeticOf(operand) === 'i32' && low >= -farthest && high <= farthest;
  };
  if (!operands.every(isNear)) return undefined;
  const [left, right] = operands.map((operand) => linear(emission, operand, point)) as [Sum, Sum];
  if (left.terms.length === 0 || right.terms.length === 0) return undefined;
  const difference = plus(left, times(right, -1));
  const varying = termsOf(emission.writer, difference);
  if (varying === undefined) return undefined;
  const rest = literal(-difference.constant, 'i32');
  return emission.writer.operation(`setp.${name}.s32`, 'bool', [varying, rest]);
}

function emitScaledDifference(
  emission: Emission,
  { left, right, scale }: ScaledDifference,
  point: PointOf<Value>,
): Lanes {
  const [a, b] = [emit(emission, left, point), emit(emission, right, point)];
  return lanesFrom(a.length === 4 || b.length === 4 ? 4 : 1, (lane) =>
    scaledExponential(emission.writer, laneOf(a, lane), laneOf(b, lane), scale),
  );
}

function emitLoad(
  emission: Emission,
  { tensor, offset }: ExpressionOf<'load'>,
  point: PointOf<Value>,
): Lanes {
  const { count } = bufferOf(emission, tensor);
  const known = {
    isInside: isInside(offset, count),
    isFixed: emission.ahead !== undefined && usesVariable(offset, emission.ahead),
  };
  if (point.width === 1) return [loadOne(emission, tensor, linear(emission, offset, point), known)];
  return loadLanes(emission, tensor, { places: placesOf(emission, offset, point), ...known });
}

/** A tile's element: by a number known here in registers, by a computed place in shared memory. */
function emitElement(
  emission: Emission,
  { tile, subscripts }: ExpressionOf<'element'>,
  point: PointOf<Value>,
): Lanes {
  const state = tileState(emission, tile);
  if (state.tile.packed !== undefined) throw new Error(`${emission.program.name} reads packed ${tile}`);
  if (state.tile.space !== 'shared') return readRegisters(emission, state, subscripts, point);
  if (state.tile.turned !== undefined) {
    const [row, column] = subscripts.map((subscript) => linear(emission, subscript, first(point)));
    return readTurned(emission, state, [row!, column!], behindRun(state.tile, subscripts, point));
  }
  const flat = (parts: readonly Sum[]) => sharedPlace(state.tile, parts);
  const place = () => flat(subscripts.map((subscript) => linear(emission, subscript, first(point))));
  if (point.width === 1) return [readShared(emission, state, place())];
  const strides = subscripts.map((subscript) => laneStride(subscript, point.domain));
  if (strides.every((stride) => stride !== undefined)) {
    const stride = flat(strides.map(linearConstant)).constant;
    const last = subscripts.at(-1);
    const aligned = stride === 1 && strides.at(-1) === 1 && last !== undefined && isAligned(last, point);
    return readSharedLanes(emission, state, place(), stride, aligned);
  }
  const values = subscripts.map((subscript) => emit(emission, subscript, point));
  return lanesFrom(4, (lane) =>
    readShared(emission, state, flat(values.map((value) => linearValue(laneOf(value, lane))))),
  );
}
