/** From offsets to lines and columns. */
import type { Span } from './diagnostic.ts';

/** Both from 1; columns in UTF-16 code units, as editors count them. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface LineTable {
  readonly text: string;
  /**
   * Offset of the first character of each line; a text that ends with a line break has an empty last line.
   */
  readonly starts: readonly number[];
}

export function lineTable(text: string): LineTable {
  return { text, starts: [0, ...[...text.matchAll(/\n/g)].map(({ index }) => index + 1)] };
}

/** Offsets outside the text count as its nearest end. */
export function positionAt(table: LineTable, offset: number): Position {
  const inside = clampOffset(table, offset);
  let low = 0;
  let high = table.starts.length;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (table.starts[middle]! <= inside) low = middle;
    else high = middle;
  }
  return { line: low + 1, column: inside - table.starts[low]! + 1 };
}

/** Without its line break. */
export function lineText(table: LineTable, line: number): string {
  const start = table.starts[line - 1] ?? table.text.length;
  const end = table.starts[line] ?? table.text.length;
  return table.text.slice(start, end).replace(/\r?\n$/, '');
}

export interface Range {
  readonly start: Position;
  readonly end: Position;
}

export function rangeOf(table: LineTable, span: Span): Range {
  const start = positionAt(table, span.start);
  const end = positionAt(table, Math.max(span.start, span.end));
  return { start, end };
}

function clampOffset(table: LineTable, offset: number): number {
  return Math.min(Math.max(offset, 0), table.text.length);
}
