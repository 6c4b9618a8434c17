/** Which factors and results of contractions are boxes of tensors, which an engine can copy by itself. */
import type { Scalar, TensorId } from '../../graph/graph.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { isHalf, type Packed, packedFacts } from '../packed.ts';
import {
  constant,
  type ExpressionOf,
  flatten,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { Box } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';

/** What bytes between neighbours are a multiple of, as engines ask. */
const alignment = 16;
/** Of a box. */
const mostDimensions = 5;

/** Where a tile begins along each class of axes. */
export interface TileStart {
  readonly batch: TileExpression;
  readonly rows: TileExpression;
  readonly columns: TileExpression;
  readonly reduced: TileExpression;
  /** Whose the rows are, where they are of one expert. */
  readonly expert?: TileExpression | undefined;
}

/** The box of a tile that begins there. */
export type BoxAt = (start: TileStart) => Box;

/**
 * Of a factor that varies along the rows or the columns; undefined where it is no plain part of a tensor.
 * Rows that are looked up are none.
 * @param isDeepFirst whether the tile's first axis is the reduced one
 * @param depth its extent along that
 */
export function factorBox(
  problem: ContractionProblem,
  along: 'rows' | 'columns',
  factor: Scalar,
  stored: Packed,
  { isDeepFirst, depth }: { readonly isDeepFirst: boolean; readonly depth: number },
  context: ScheduleContext,
): BoxAt | undefined {
  const { node, batch, reduced, parts } = problem;
  const ends = [batch.end, problem[along].end, reduced.end];
  const isGathered = along === 'rows' && node.grouped !== undefined;
  const isOfTwoParts = parts > 1 && reduced.extent % (parts * depth) !== 0;
  if (isGathered || isOfTwoParts || ends.some((end) => end !== undefined)) return undefined;
  const dims = isDeepFirst ? ([along, 'reduced'] as const) : (['reduced', along] as const);
  return boxesOf(problem, [...dims, 'part', 'batch', 'expert'], (iterators, sides) =>
    boxOf(factor, stored, iterators, sides, context),
  );
}

/** Of results of 16 bits, of which those of a row lie together; undefined where they are no box. */
export function resultBox(problem: ContractionProblem): BoxAt | undefined {
  const { node, batch, rows, columns } = problem;
  const { id, dtype, shape } = node.result;
  const ends = [batch.end, rows.end, columns.end];
  if (node.grouped !== undefined || ends.some((end) => end !== undefined)) return undefined;
  if (!isHalf(dtype)) return undefined;
  return boxesOf(problem, ['columns', 'rows', 'batch'], (iterators, sides) =>
    boxAt(id, dtype, flatten(iterators.slice(0, shape.length), shape), sides),
  );
}

/** Of a class of axes, or of what a tile has one of. */
type SideName = keyof TileStart | 'part';

/**
 * @param box of iterators of the node: a variable for each class (of what is reduced, for that of one part),
 *   and for the part and an expert
 */
function boxesOf(
  problem: ContractionProblem,
  dims: readonly SideName[],
  box: (iterators: readonly TileExpression[], sides: readonly Side[]) => Box | undefined,
): BoxAt | undefined {
  const { node, parts, batch, rows, columns, reduced } = problem;
  const ofPart = reduced.extent / parts;
  const extents: { readonly [N in SideName]: number } = {
    ...{ batch: batch.extent, rows: rows.extent, columns: columns.extent, reduced: ofPart },
    ...{ part: parts, expert: node.grouped?.experts ?? 1 },
  };
  const place = (name: SideName) => side(name, extents[name], constant(0)).place;
  const alongAll =
    parts > 1 ? sum(product(place('part'), constant(ofPart)), place('reduced')) : place('reduced');
  const plain = iteratorsAt(
    node.result.shape.length + node.reduce.extents.length,
    [
      [batch, place('batch')],
      [rows, place('rows')],
      [columns, place('columns')],
      [reduced, alongAll],
    ],
    constant(0),
  );
  const iterators = [...plain, ...(node.grouped === undefined ? [] : [place('expert')])];
  const at = (start: TileStart) => {
    const parted = { part: quotient(start.reduced, ofPart), reduced: remainder(start.reduced, ofPart) };
    const starts: { readonly [N in SideName]?: TileExpression | undefined } = {
      ...start,
      ...(parts > 1 && parted),
    };
    return box(
      iterators,
      dims.map((name) => side(name, extents[name], starts[name] ?? constant(0))),
    );
  };
  const zero = constant(0);
  if (at({ batch: zero, rows: zero, columns: zero, reduced: zero }) === undefined) return undefined;
  return (start) => at(start)!;
}

/** A dimension of a box: what a factor is indexed with along it, and where the box begins. */
export interface Side {
  readonly place: ExpressionOf<'variable'>;
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
  if (factor.op !== 'load' || factor.dtype !== packedFacts[stored].stored) return undefined;
  const lowered = lowerScalar(factor, { tensors, iterators });
  return lowered.op === 'load' ? boxAt(factor.tensor, stored, lowered.offset, sides) : undefined;
}

/** What is at an offset in elements. */
function boxAt(
  tensor: TensorId,
  stored: Packed,
  offset: TileExpression,
  sides: readonly Side[],
): Box | undefined {
  const strides = stridesOf(offset);
  if (strides === undefined) return undefined;
  const strideOf = ({ place }: Side) => strides.get(place.name) ?? 0;
  const dims = sides.filter((each, at) => at < 2 || strideOf(each) !== 0);
  const [inner, ...outers] = dims.map(strideOf);
  const { bytes } = packedFacts[stored];
  const isBox = inner === 1 && outers.every((stride) => stride > 0 && (stride * bytes) % alignment === 0);
  const names = new Set(dims.map(({ place }) => place.name));
  const isOfThese = [...strides].every(([name, stride]) => names.has(name) || stride === 0);
  if (!isBox || !isOfThese || dims.length > mostDimensions) return undefined;
  return {
    tensor,
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
