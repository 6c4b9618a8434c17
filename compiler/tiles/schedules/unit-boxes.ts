/** Which factors of a contraction are boxes of tensors, so that an engine can copy them by itself. */
import { lowerScalar } from '../lower-scalar.ts';
import { grid, type TileExpression } from '../tile-expression.ts';
import type { Box, Packed } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';

/** Elements of 16 bits whose bytes are a multiple of 16, as engines ask of what lies between neighbours. */
const alignment = 8;

/**
 * The factor that varies along the rows or the columns; undefined where it is no plain part of a tensor.
 * @param isDeepFirst whether the tile's first axis is the reduced one
 * @param starts where the tile begins along what is reduced, and along its own axis
 */
export function factorBox(
  { node, contraction, batch, rows, columns, reduced }: ContractionProblem,
  along: 'rows' | 'columns',
  stored: Packed,
  isDeepFirst: boolean,
  [k, first]: readonly [TileExpression, TileExpression],
  { tensors }: ScheduleContext,
): Box | undefined {
  const factor = along === 'rows' ? contraction.left : contraction.right;
  const own = along === 'rows' ? rows : columns;
  const ends = [batch.end, own.end, reduced.end];
  if (factor.op !== 'load' || node.grouped !== undefined || ends.some((end) => end !== undefined))
    return undefined;
  if (factor.dtype !== stored) return undefined;
  const total = node.result.shape.length + node.reduce.extents.length;
  const flat = (name: string, extent: number): TileExpression => ({
    ...{ op: 'variable', name, range: { low: 0, high: Math.max(0, extent - 1) }, multipleOf: 1 },
  });
  const iterators = iteratorsAt(
    total,
    [
      [batch, flat('batch', batch.extent)],
      [rows, flat('rows', rows.extent)],
      [columns, flat('columns', columns.extent)],
      [reduced, flat('reduced', reduced.extent)],
    ],
    { op: 'constant', dtype: 'i32', value: 0 },
  );
  const lowered = lowerScalar(factor, { tensors, iterators });
  const strides = lowered.op === 'load' ? stridesOf(lowered.offset) : undefined;
  if (strides === undefined) return undefined;
  const strideOf = (name: string) => strides.get(name) ?? 0;
  const deep = { extent: reduced.extent, stride: strideOf('reduced'), start: k };
  const wide = { extent: own.extent, stride: strideOf(along), start: first };
  const several = { extent: batch.extent, stride: strideOf('batch'), start: grid(0, batch.extent) };
  const [inner, outer] = isDeepFirst ? [wide, deep] : [deep, wide];
  const outers = several.stride === 0 ? [outer] : [outer, several];
  const isBox = inner.stride === 1 && outers.every(({ stride }) => stride > 0 && stride % alignment === 0);
  if (!isBox || strideOf('') !== 0) return undefined;
  const dims = [inner, ...outers];
  return {
    tensor: factor.tensor,
    dims: dims.map(({ extent, stride }) => ({ extent, stride })),
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
