/** Tables of words that code reads, kept in the memory of a thread until there is no room for more. */
import type { Memory } from './memory.ts';

export class Table {
  readonly words: Int32Array;
  /** Where it is, and since which time that began with an empty memory. */
  place = 0;
  time = 0;

  constructor(words: readonly number[] | Int32Array) {
    this.words = Int32Array.from(words);
  }
}

/** Of a thread: for tables that stay, and behind them for one that does not and for decoded factors. */
export const tablesBytes = 2 ** 20;
export const passingWords = 1024;
/** A left factor of 16 by 32 and a tile of 32 by 8, in f64. */
const factorBytes = 8 * (16 * 32 + 32 * 8);
const bytesToKeep = tablesBytes - 4 * passingWords - factorBytes;

/** Of all memories of tables, so that none takes a table of another to be in it. */
let lastTime = 0;

function newTime(): number {
  return ++lastTime;
}

export class Tables {
  private readonly memory: Memory;
  private readonly start: number;
  private end: number;
  private time = newTime();

  constructor(memory: Memory, start: number) {
    this.memory = memory;
    this.start = start;
    this.end = start;
  }

  /** Where all of them are, until the next are asked for. */
  placesOf(...tables: readonly Table[]): readonly number[] {
    const missing = tables.filter(({ time }) => time !== this.time);
    const bytes = missing.reduce((all, { words }) => all + words.byteLength, 0);
    if (this.end + bytes > this.start + bytesToKeep) {
      this.time = newTime();
      this.end = this.start;
      return this.placesOf(...tables);
    }
    for (const table of missing) {
      this.memory.words.set(table.words, this.end >>> 2);
      table.place = this.end;
      table.time = this.time;
      this.end += table.words.byteLength;
    }
    return tables.map(({ place }) => place);
  }

  /** Where words are until others are put there. */
  get passing(): number {
    return this.start + bytesToKeep;
  }

  get leftFactor(): number {
    return this.passing + 4 * passingWords;
  }

  get rightTile(): number {
    return this.leftFactor + 8 * 16 * 32;
  }
}
