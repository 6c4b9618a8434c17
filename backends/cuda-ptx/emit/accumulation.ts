/**
 * Sums that take up one product after the other: multiplied and added in one instruction, which rounds once.
 * Nobody says in which order a sum is added up, nor so what is rounded on the way.
 */
import { subexpressionsOf, type TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Tile } from '../../../compiler/tiles/tile-program.ts';

/** What is multiplied and added to a tile in registers, of which the factors know nothing. */
export type Factors = readonly [TileExpression, TileExpression];

/** Of what a tile is updated with; undefined where that is anything else. */
export function addedProduct({ name, axes, dtype }: Tile, value: TileExpression): Factors | undefined {
  if (dtype !== 'f32' || value.op !== 'apply' || value.function !== 'add') return undefined;
  const [old, product] = value.operands as Factors;
  const isOld =
    old.op === 'element' &&
    old.tile === name &&
    old.subscripts.length === axes.length &&
    old.subscripts.every((index, axis) => isOwn(index, axis) || axes[axis]!.extent === 1);
  if (!isOld || product.op !== 'apply' || product.function !== 'mul') return undefined;
  const factors = product.operands as Factors;
  return factors.some((factor) => reads(factor, name)) ? undefined : factors;
}

function isOwn(index: TileExpression, axis: number): boolean {
  return index.op === 'coordinate' && index.axis === axis;
}

function reads(expression: TileExpression, tile: string): boolean {
  return [...subexpressionsOf(expression)].some((each) => each.op === 'element' && each.tile === tile);
}
