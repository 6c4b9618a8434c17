/**
 * Where in shared memory tiles are. A tile is there from its definition to its last use, and others may be in
 * its place before and after: so results that go to memory through shared tiles need no more than the factors
 * that they were computed from.
 */
import { allStatements, insideOf, tilesOf, tilesUsedBy } from '../../../compiler/tiles/tile-builder.ts';
import type { Tile, TileProgram, TileStatement } from '../../../compiler/tiles/tile-program.ts';
import { packedBytes } from './packed-layout.ts';
import { turnedBytes } from './turned-layout.ts';
import { wordBytes } from './writer.ts';

export interface SharedPlaces {
  /** The first byte of a tile, or of what was reserved. */
  readonly start: (name: string) => number;
  /** What invocations need beside tiles: there while the kernel runs. */
  readonly reserve: (name: string, bytes: number, alignment?: number) => void;
  /** Other tiles that take some of the bytes of this one. */
  readonly inPlaceOf: (tile: string) => readonly string[];
  /** Of all. */
  readonly bytes: () => number;
}

/** A tile and when it is there: in numbers of statements, in the order in which they stand. */
interface Piece {
  readonly name: string;
  readonly bytes: number;
  readonly alignment: number;
  readonly from: number;
  readonly to: number;
  readonly start: number;
}

export function sharedPlaces({ body }: TileProgram): SharedPlaces {
  const pieces: Piece[] = [];
  for (const wanted of lifetimes(body)) pieces.push({ ...wanted, start: firstFit(wanted, pieces) });
  const starts = new Map(pieces.map(({ name, start }) => [name, start]));
  let end = pieces.reduce((most, { start, bytes }) => Math.max(most, start + bytes), 0);
  return {
    start: (name) => {
      const start = starts.get(name);
      if (start === undefined) throw new Error(`${name} is not in shared memory`);
      return start;
    },
    reserve: (name, bytes, alignment = wordAlignment) => {
      if (starts.has(name)) return;
      const start = aligned(end, alignment);
      starts.set(name, start);
      end = start + bytes;
    },
    inPlaceOf: (tile) => {
      const own = pieces.find(({ name }) => name === tile);
      if (own === undefined) return [];
      return pieces.filter((other) => other !== own && overlap(own, other)).map(({ name }) => name);
    },
    bytes: () => end,
  };
}

function overlap(left: Piece, right: Piece): boolean {
  return left.start < right.start + right.bytes && right.start < left.start + left.bytes;
}

/** The lowest place that none has who is there at the same time. */
function firstFit(wanted: Omit<Piece, 'start'>, placed: readonly Piece[]): number {
  const others = placed.filter(({ from, to }) => from <= wanted.to && wanted.from <= to);
  const candidates = [0, ...others.map(({ start, bytes }) => aligned(start + bytes, wanted.alignment))];
  const fits = (start: number) => others.every((other) => !overlap({ ...wanted, start }, other));
  return Math.min(...candidates.filter(fits));
}

function aligned(place: number, alignment: number): number {
  return Math.ceil(place / alignment) * alignment;
}

/** Of vectors of four words. */
const wordAlignment = 16;
/** Packed tiles repeat their order after so many bytes. */
export const packedAlignment = 1024;

/** From one statement to another, both included. */
interface Span {
  readonly from: number;
  readonly to: number;
}

function lifetimes(body: readonly TileStatement[]): readonly Omit<Piece, 'start'>[] {
  const found = new Map<string, { tile: Tile; copies: number; from: number; to: number; depth: number }>();
  let clock = 0;
  /** What is used in a loop in which it is not defined is there while the loop runs. */
  const touch = (name: string, loops: readonly Span[]) => {
    const piece = found.get(name);
    if (piece !== undefined) piece.to = Math.max(piece.to, loops[piece.depth]?.to ?? clock);
  };
  const define = (tile: Tile, copies: number, span: Span, loops: readonly Span[]) => {
    const known = found.get(tile.name);
    if (known === undefined) found.set(tile.name, { tile, copies, ...span, depth: loops.length });
    else {
      known.copies = Math.max(known.copies, copies);
      touch(tile.name, loops);
    }
  };
  const visit = (statements: readonly TileStatement[], loops: readonly Span[]): void => {
    for (const statement of statements) {
      clock++;
      const inside = insideOf(statement);
      const span = { from: clock, to: clock + allStatements(inside).length };
      const isAhead = statement.kind === 'pipeline';
      const copies = isAhead ? statement.stages : 1;
      // What is brought ahead may be so for the next turn of a loop around it.
      const there = (isAhead && loops[0]) || span;
      for (const tile of tilesOf(statement)) if (tile.space === 'shared') define(tile, copies, there, loops);
      for (const name of tilesUsedBy(statement)) touch(name, loops);
      visit(inside, statement.kind === 'when' ? loops : [...loops, span]);
    }
  };
  visit(body, []);
  return [...found].map(([name, { tile, copies, from, to }]) => ({
    ...{ name, from, to },
    bytes: copies * bytesOfTile(tile),
    alignment: tile.packed === undefined ? wordAlignment : packedAlignment,
  }));
}

/** Of one copy. */
export function bytesOfTile(tile: Tile): number {
  if (tile.packed !== undefined) return packedBytes(tile);
  if (tile.turned !== undefined) return turnedBytes(tile);
  const rows = tile.axes.slice(0, -1).reduce((product, { extent }) => product * extent, 1);
  return wordBytes * rows * ((tile.axes.at(-1)?.extent ?? 1) + (tile.padding ?? 0));
}
