/** What a prefix reduction is of: rows, or pieces of rows, and what is before each. */
import { scaledExtent } from '../../graph/extent.ts';
import type { PrefixNode, Tensor } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import { identityOf } from '../combiners.ts';
import { endExpression, endOfRows, type GridEnd, gridEnd } from '../ends.ts';
import {
  apply,
  arithmeticOfDtype,
  below,
  both,
  constant,
  load,
  masked,
  product,
  quotient,
  remainder,
  sum,
  type TileExpression,
} from '../tile-expression.ts';

export type PrefixForm = 'walk' | 'scan' | 'pieces';

export interface PrefixProblem {
  readonly kind: 'prefix';
  readonly node: PrefixNode;
  readonly rows: number;
  /** Elements of a row. */
  readonly length: number;
  /** Of rows in pieces. */
  readonly pieces?: Pieces;
}

export interface Pieces {
  /** Elements of each but the last, which may have fewer. */
  readonly chunk: number;
  readonly count: number;
  /** By row, what is before each piece but the first. */
  readonly starts: Tensor;
}

export function prefixProblem(node: PrefixNode): PrefixProblem {
  const length = node.result.shape.at(-1) ?? 1;
  return { kind: 'prefix', node, rows: elementCount(node.result) / length, length };
}

/** What is gone through as one: a row, or a piece of one. */
export interface Run {
  /** Its first element. */
  readonly offset: TileExpression;
  /** So many there are at most. */
  readonly extent: number;
  /** Where all of them end, or before, in the run of the program at hand. */
  readonly end: TileExpression;
  /** Whether a place is before its own end, and whether there is room for it; undefined where all are. */
  readonly isReal: (place: TileExpression) => TileExpression | undefined;
  readonly hasRoom: (place: TileExpression) => TileExpression | undefined;
  /** What is before it, combined. */
  readonly start: TileExpression;
}

/** All pieces of a row follow each other. */
export function runCount({ rows, pieces }: PrefixProblem): number {
  return rows * (pieces?.count ?? 1);
}

/** @param at which of all runs */
export function runOf({ node, length, pieces }: PrefixProblem, at: TileExpression): Run {
  const { result, combiner } = node;
  const identity = identityOf(combiner, arithmeticOfDtype(result.dtype));
  const end = endExpression(result.ends?.at(-1), length);
  if (pieces === undefined)
    return {
      ...{ offset: product(at, constant(length)), extent: length, end, start: identity },
      isReal: (place) => below(place, end),
      hasRoom: (place) => below(place, constant(length)),
    };
  const { chunk, count, starts } = pieces;
  const [row, piece] = [quotient(at, count), remainder(at, count)];
  const before = product(piece, constant(chunk));
  const within = (to: TileExpression) => (place: TileExpression) =>
    both(below(place, constant(chunk)), below(sum(before, place), to));
  const start = load(starts.id, starts.dtype, sum(product(row, constant(count - 1)), piece, constant(-1)));
  return {
    offset: sum(product(row, constant(length)), before),
    extent: chunk,
    end: constant(chunk),
    isReal: within(end),
    hasRoom: within(constant(length)),
    start: masked(apply('lt', 'bool', constant(0), piece), start, identity),
  };
}

/** The grid for runs, so many of which a workgroup has. */
export function gridOfRuns(
  problem: PrefixProblem,
  together: number,
): { readonly grid: readonly [number]; readonly gridEnds: readonly (GridEnd | undefined)[] } {
  const end = endOfRows(problem.node.result);
  const ofRuns = end && scaledExtent(end, problem.pieces?.count ?? 1);
  return { grid: [Math.ceil(runCount(problem) / together)], gridEnds: [gridEnd(ofRuns, together)] };
}
