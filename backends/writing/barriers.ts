/**
 * Where barriers go: before a read of a shared tile that was written since the last one, and before a write
 * of one that was read (or written by another mapping of invocations to elements).
 */
import { allStatements, expressionsOf, tilesOf } from '../../compiler/tiles/tile-builder.ts';
import { operandsOf, type TileExpression } from '../../compiler/tiles/tile-expression.ts';
import type { TileProgram, TileStatement } from '../../compiler/tiles/tile-program.ts';

/** A kernel being written whose invocations share tiles. */
export interface Sharing {
  readonly program: TileProgram;
  readonly barriers: BarrierState;
  /** Writes a barrier. */
  readonly synchronize: () => void;
  /** Other tiles that lie where a shared tile does, at other times. */
  readonly inPlaceOf?: (tile: string) => readonly string[];
}

/** Which shared tiles were read or written since the last barrier. */
export interface BarrierState {
  readonly read: Set<string>;
  readonly written: Set<string>;
}

/** The shared tiles that expressions read. */
export function sharedReads(sharing: Sharing, expressions: readonly TileExpression[]): Set<string> {
  const found = new Set<string>();
  const seen = new Set<TileExpression>();
  const visit = (expression: TileExpression): void => {
    if (seen.has(expression)) return;
    seen.add(expression);
    if (expression.op === 'element' && sharedTiles(sharing).has(expression.tile)) found.add(expression.tile);
    for (const operand of operandsOf(expression)) visit(operand);
  };
  for (const expression of expressions) visit(expression);
  return found;
}

const known = new WeakMap<object, ReadonlySet<string>>();

function sharedTiles(sharing: Sharing): ReadonlySet<string> {
  const found =
    known.get(sharing.program) ??
    new Set(
      allStatements(sharing.program.body)
        .flatMap(tilesOf)
        .flatMap(({ space, name }) => (space === 'shared' ? [name] : [])),
    );
  known.set(sharing.program, found);
  return found;
}

function readsOf(sharing: Sharing, statement: TileStatement): ReadonlySet<string> {
  const found = sharedReads(sharing, expressionsOf(statement));
  if (statement.kind === 'multiplyAccumulate')
    for (const name of [statement.left, statement.right]) if (sharedTiles(sharing).has(name)) found.add(name);
  return found;
}

function writesOf(sharing: Sharing, statement: TileStatement): readonly string[] {
  const names = statement.kind === 'update' ? [statement.tile] : tilesOf(statement).map(({ name }) => name);
  return names.filter((name) => sharedTiles(sharing).has(name));
}

/**
 * Puts the barrier that a statement needs before it, and notes what it reads. Writes are noted where they are
 * done.
 */
export function prepareShared(sharing: Sharing, statement: TileStatement): void {
  const reads = readsOf(sharing, statement);
  const { barriers, inPlaceOf = () => [] } = sharing;
  const written = writesOf(sharing, statement).flatMap((name) => [name, ...inPlaceOf(name)]);
  const isNeeded =
    [...reads].some((name) => barriers.written.has(name)) ||
    written.some((name) => barriers.read.has(name) || barriers.written.has(name));
  if (isNeeded) barrier(sharing);
  for (const name of reads) barriers.read.add(name);
}

export function barrier(sharing: Sharing): void {
  sharing.synchronize();
  sharing.barriers.read.clear();
  sharing.barriers.written.clear();
}

/**
 * Called before a loop. Its body follows itself: what it touches counts as touched before it. What was
 * written before and is only read in it needs a barrier once, not in every turn.
 */
export function enterLoop(sharing: Sharing, body: readonly TileStatement[]): void {
  const { barriers } = sharing;
  const written = new Set<string>();
  const [reads, readFirst] = [new Set<string>(), new Set<string>()];
  for (const statement of allStatements(body)) {
    for (const name of readsOf(sharing, statement)) {
      if (!written.has(name)) readFirst.add(name);
      reads.add(name);
    }
    for (const name of writesOf(sharing, statement)) written.add(name);
  }
  if ([...readFirst].some((name) => barriers.written.has(name) && !written.has(name))) barrier(sharing);
  for (const name of reads) barriers.read.add(name);
  for (const name of readFirst) if (written.has(name)) barriers.written.add(name);
}

/** Called before a branch; what it returns, after it: then anything touched before it or in it counts. */
export function leaveBranch(sharing: Sharing): () => void {
  const { barriers } = sharing;
  const [read, written] = [[...barriers.read], [...barriers.written]];
  return () => {
    for (const name of read) barriers.read.add(name);
    for (const name of written) barriers.written.add(name);
  };
}
