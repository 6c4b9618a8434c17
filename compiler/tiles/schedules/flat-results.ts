/** The results of a node, run through by one flat index in pieces: a workgroup each. */
import { scaledExtent } from '../../graph/extent.ts';
import type { Tensor } from '../../graph/graph.ts';
import { gridEnd } from '../ends.ts';
import { below, constant, coordinate, grid, product, sum, type TileExpression } from '../tile-expression.ts';
import type { KernelParts } from './context.ts';

export interface FlatResults extends Pick<KernelParts, 'grid' | 'gridEnds'> {
  /** The position in the tensor, by coordinate 0 of a tile. */
  readonly flat: TileExpression;
  /** Whether it is one; undefined where all are. */
  readonly mask: TileExpression | undefined;
}

/** Neighbours that are stored together stay so. */
const together = 4;

/**
 * Where a dimension ends in a run, each of those before it has pieces of its own, so that all that are behind
 * the end can be left out.
 */
export function flatResults({ shape, ends }: Pick<Tensor, 'shape' | 'ends'>, tile: number): FlatResults {
  const size = (from: number, to: number) =>
    shape.slice(from, to).reduce((product, extent) => product * extent, 1);
  const found = ends?.findIndex((end) => end !== undefined) ?? -1;
  const split = found > 0 && size(found, shape.length) % together === 0 ? found : 0;
  const [outer, inner] = [size(0, split), size(split, shape.length)];
  const groups = Math.ceil(inner / tile);
  const isEnding = found >= 0 && size(split, found) === 1;
  const end = isEnding
    ? gridEnd(scaledExtent(ends![found]!, size(found + 1, shape.length)), tile)
    : undefined;
  const isOne = outer === 1;
  const within = sum(product(grid(isOne ? 0 : 1, groups), constant(tile)), coordinate(0, tile));
  return {
    grid: isOne ? [groups] : [outer, groups],
    gridEnds: isOne ? [end] : [undefined, end],
    flat: isOne ? within : sum(product(grid(0, outer), constant(inner)), within),
    mask: below(within, constant(inner)),
  };
}
