/** What a body changes, for back ends that remember what they have read. */
import type { TensorId } from '../graph/graph.ts';
import { allStatements } from './tile-builder.ts';
import type { TileStatement } from './tile-program.ts';

const updatedIn = new WeakMap<readonly TileStatement[], ReadonlySet<string>>();

/** Tiles that a body changes after their definition. */
export function updatedTiles(body: readonly TileStatement[]): ReadonlySet<string> {
  const known = updatedIn.get(body);
  if (known !== undefined) return known;
  const names = new Set(
    allStatements(body).flatMap((statement) => {
      if (statement.kind === 'update') return [statement.tile];
      return statement.kind === 'multiplyAccumulate' ? [statement.into] : [];
    }),
  );
  updatedIn.set(body, names);
  return names;
}

/** What is known of a tile or a tensor holds of one version of it. */
interface Versioned {
  version: number;
}

/** What was known of the tiles and tensors that `body` changes is so no longer. */
export function bumpVersions(
  {
    tiles,
    buffers,
  }: {
    readonly tiles: ReadonlyMap<string, Versioned>;
    readonly buffers: ReadonlyMap<TensorId, Versioned>;
  },
  body: readonly TileStatement[],
): void {
  for (const name of updatedTiles(body)) {
    const state = tiles.get(name);
    if (state !== undefined) state.version++;
  }
  for (const statement of allStatements(body)) {
    if (statement.kind !== 'store') continue;
    const buffer = buffers.get(statement.tensor);
    if (buffer !== undefined) buffer.version++;
  }
}
