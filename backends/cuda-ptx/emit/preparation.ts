/**
 * What who brings the tiles of a pipeline has to know, and finds out for itself: whose rows a workgroup has,
 * and so which weights.
 */
import { allStatements, tilesOf, tilesUsedBy } from '../../../compiler/tiles/tile-builder.ts';
import { subexpressionsOf, type TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { TileProgram, TileStatement } from '../../../compiler/tiles/tile-program.ts';

/**
 * The statements that an expression depends on; undefined where they are more than numbers that every thread
 * has for itself.
 * @param before what the pipeline is behind
 */
export function preparationOf(
  before: readonly TileStatement[],
  wanted: readonly TileExpression[],
): readonly TileStatement[] | undefined {
  const names = new Set(wanted.flatMap(tilesIn));
  const needed: TileStatement[] = [];
  for (const statement of before.toReversed()) {
    const all = allStatements([statement]);
    if (!all.some((each) => changedBy(each).some((name) => names.has(name)))) continue;
    if (!all.every(isOfEachThread)) return undefined;
    needed.unshift(statement);
    for (const each of all) for (const name of tilesUsedBy(each)) names.add(name);
  }
  const defined = new Set(needed.flatMap(tilesOf).map(({ name }) => name));
  return [...names].every((name) => defined.has(name)) ? needed : undefined;
}

function tilesIn(expression: TileExpression): readonly string[] {
  return [...subexpressionsOf(expression)].flatMap((part) => (part.op === 'element' ? [part.tile] : []));
}

function changedBy(statement: TileStatement): readonly string[] {
  return statement.kind === 'update' ? [statement.tile] : tilesOf(statement).map(({ name }) => name);
}

function isOfEachThread(statement: TileStatement): boolean {
  if (statement.kind !== 'define') return statement.kind === 'update' || statement.kind === 'loop';
  const { space, axes } = statement.tile;
  return space === 'register' && axes.every(({ over }) => over === 'whole');
}

/** Of what is the same in all threads of a block: elements are those of a preparation. */
export function isKnownToAll(program: TileProgram, expression: TileExpression): boolean {
  return [...subexpressionsOf(expression)].every((part) => {
    if (part.op !== 'load') return part.op !== 'coordinate';
    return program.buffers.find(({ tensor }) => tensor === part.tensor)!.access === 'read';
  });
}
