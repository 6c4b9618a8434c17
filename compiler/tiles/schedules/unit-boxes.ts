/** Which factors of a contraction are boxes of tensors, so that an engine can copy them by itself. */
import type { Scalar } from '../../graph/graph.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { constant, grid, type TileExpression } from '../tile-expression.ts';
import type { Box, Packed } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';

/** Elements of 16 bits whose bytes are a multiple of 16, as engines ask of what lies between neighbours. */
const alignment = 8;
/** Of a box. */
const mostDimensions = 5;

/**
 * The factor that varies along the rows or the columns; undefined where it is no plain part of a tensor.
 * Rows that are looked up are none.
 * @param extra iterators beyond the node's own: an expert
 * @param isDeepFirst whether the tile's first axis is the reduced one
 * @param starts where the tile begins along what is reduced, and along its own axis
 */
export function factorBox(
  { node, batch, rows, columns, reduced }: ContractionProblem,
  along: 'rows' | 'columns',
  { factor, extra }: { readonly factor: Scalar; readonly extra: readonly TileExpression[] },
  stored: Packed,
  isDeepFirst: boolean,
  [k, first]: readonly [TileExpression, TileExpression],
  context: ScheduleContext,
): Box | undefined {
  const own = along === 'rows' ? rows : columns;
  const ends = [batch.end, own.end, reduced.end];
  const isGathered = along === 'rows' && node.grouped !== undefined;
  if (isGathered || ends.some((end) => end !== undefined)) return undefined;
  const total = node.result.shape.length + node.reduce.extents.length;
  const deep = side('reduced', reduced.extent, k);
  const wide = side(along, own.extent, first);
  const several = side('batch', batch.extent, grid(0, batch.extent));
  const experts = extra.map((start) => side('expert', node.grouped?.experts ?? 1, start));
  const plain = iteratorsAt(
    total,
    [
      [batch, several.place],
      [rows, side('rows', rows.extent, constant(0)).place],
      [columns, side('columns', columns.extent, constant(0)).place],
      [reduced, deep.place],
    ],
    constant(0),
  );
  const iterators = [...plain, ...experts.map(({ place }) => place)];
  const sides = [...(isDeepFirst ? [wide, deep] : [deep, wide]), several, ...experts];
  return boxOf(factor, stored, iterators, sides, context);
}

/** A dimension of a box: what a factor is indexed with along it, and where the box begins. */
export interface Side {
  readonly place: TileExpression & { readonly op: 'variable' };
  readonly start: TileExpression;
}

export function side(name: string, extent: number, start: TileExpression): Side {
  const range = { low: 0, high: Math.max(0, extent - 1) };
  return { place: { op: 'variable', name, range, multipleOf: 1 }, start };
}

/**
 * A factor as a box.
 * @param iterators what it is indexed with, of the places of sides
 * @param sides along which it varies, if at all: along the first two as the tile does, the last one first
 */
export function boxOf(
  factor: Scalar,
  stored: Packed,
  iterators: readonly TileExpression[],
  sides: readonly Side[],
  { tensors }: Pick<ScheduleContext, 'tensors'>,
): Box | undefined {
  if (factor.op !== 'load' || factor.dtype !== stored) return undefined;
  const lowered = lowerScalar(factor, { tensors, iterators });
  const strides = lowered.op === 'load' ? stridesOf(lowered.offset) : undefined;
  if (strides === undefined) return undefined;
  const strideOf = ({ place }: Side) => strides.get(place.name) ?? 0;
  const dims = sides.filter((each, at) => at < 2 || strideOf(each) !== 0);
  const [inner, ...outers] = dims.map(strideOf);
  const isBox = inner === 1 && outers.every((stride) => stride > 0 && stride % alignment === 0);
  const names = new Set(dims.map(({ place }) => place.name));
  const isOfThese = [...strides].every(([name, stride]) => names.has(name) || stride === 0);
  if (!isBox || !isOfThese || dims.length > mostDimensions) return undefined;
  return {
    tensor: factor.tensor,
    dims: dims.map((each) => ({ extent: each.place.range.high + 1, stride: strideOf(each) })),
    starts: dims.map(({ start }) => start),
  };
}

/** By what each variable of a sum is multiplied, and, of no name, what is added; undefined: it is no sum. */
function stridesOf(expression: TileExpression): ReadonlyMap<string, number> | undefined {
  if (expression.op === 'constant') return new Map([['', expression.value]]);
  if (expression.op === 'variable') return new Map([[expression.name, 1]]);
  if (expression.op !== 'apply') return undefined;
  const [left, right] = expression.operands.map(stridesOf);
  if (left === undefined || right === undefined) return undefined;
  if (expression.function === 'add') {
    const sum = new Map(left);
    for (const [name, stride] of right) sum.set(name, (sum.get(name) ?? 0) + stride);
    return sum;
  }
  const by = right.get('');
  if (expression.function !== 'mul' || by === undefined || right.size > 1) return undefined;
  return new Map([...left].map(([name, stride]) => [name, stride * by]));
}
