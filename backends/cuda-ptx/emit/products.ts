/** Products of a tile program, and how many of their results a thread has in registers at a time. */
import { mostResults } from '../../../compiler/tiles/schedules/unit-stream.ts';
import { allStatements, tileNamed } from '../../../compiler/tiles/tile-builder.ts';
import type { StatementOf, TileProgram, TileStatement } from '../../../compiler/tiles/tile-program.ts';

export type Product = StatementOf<'multiplyAccumulate'>;

export function productsAmong(statements: readonly TileStatement[]): readonly Product[] {
  return statements.filter((statement) => statement.kind === 'multiplyAccumulate');
}

export function resultsOfThread(program: TileProgram, products: readonly Product[]): number {
  const { rows, columns } = program.threads;
  const tiles = [...new Set(products.map(({ into }) => into))].map((name) => tileNamed(program, name)!);
  const results = tiles.map(({ axes }) => axes.reduce((total, { extent }) => total * extent, 1));
  return results.reduce((total, each) => total + each, 0) / (rows * columns);
}

const crowded = new WeakMap<TileProgram, boolean>();

/**
 * Whether a thread has so many that descriptors are found where they are used, each time: those of a tile
 * that stays where it is ptxas would keep through all of a loop, as many as there are steps.
 */
export function isCrowded(program: TileProgram): boolean {
  const known = crowded.get(program);
  if (known !== undefined) return known;
  const found = resultsOfThread(program, productsAmong(allStatements(program.body))) > mostResults;
  crowded.set(program, found);
  return found;
}
