/** What is known while one kernel is written. */
import type { Arithmetic, Tensor, TensorId } from '../../compiler/graph/graph.ts';
import { isOverUnits, sharersOf } from '../../compiler/tiles/tile-builder.ts';
import type { Spread, ThreadShape, Tile, TileAxis, UnitSpread } from '../../compiler/tiles/tile-program.ts';
import type { Sharing } from '../writing/barriers.ts';
import type { SharedValues } from '../writing/shared-values.ts';
import { type HelperName, type HelperUse, helperCall } from './helpers.ts';
import type { View } from './storage.ts';
import type { Value, Writer } from './writer.ts';

export interface Emission extends Sharing {
  readonly writer: Writer;
  /** Of the expression that is being written. */
  readonly written: SharedValues<Value, Value>;
  readonly buffers: ReadonlyMap<TensorId, Buffer>;
  readonly tiles: Map<string, TileState>;
  readonly helpers: Map<string, HelperUse>;
  /** Workgroup memory of reductions, by name. */
  readonly scratch: Map<string, WorkgroupArray>;
  /** The block in which each loop's variable is known. */
  readonly loopDepths: Map<string, number>;
  readonly subgroupSize: number | undefined;
  /** Whether the kernel needs `enable subgroups`. */
  usesSubgroups: boolean;
}

export interface Buffer {
  readonly name: string;
  readonly tensor: Tensor;
  /** `four` only where the tensor has a multiple of four elements. */
  readonly view: View;
  /** Set when four neighbours are accessed together, in a pass that tries `four` everywhere. */
  readonly wide: { used: boolean };
  /** Its contents do not change while the kernel runs. */
  readonly constant: boolean;
  version: number;
}

export interface TileState {
  readonly tile: Tile;
  /** Of registers: how many elements an invocation has along each axis. */
  readonly fragment: readonly number[];
  /** Vector width of a register, or of an element of the workgroup array. */
  readonly width: 1 | 4;
  /** The registers' values, row-major; of a tile that is updated, its variables. */
  readonly registers: readonly Value[];
  /** Updated after its definition, so in variables. */
  readonly mutable: boolean;
  version: number;
}

/** An array in workgroup memory. */
export interface WorkgroupArray {
  readonly name: string;
  readonly dtype: Arithmetic;
  readonly width: 1 | 4;
  readonly count: number;
}

export function helper(emission: Emission, name: HelperName, width: 1 | 4): string {
  const called = helperCall({ name, width });
  emission.helpers.set(called, { name, width });
  return called;
}

/** Among how many invocations (or lanes) an axis is dealt out. */
export function sharers(over: Spread, threads: ThreadShape, subgroupSize: number | undefined): number {
  if (over === 'lanes' && subgroupSize === undefined)
    throw new Error('a tile over lanes on a device without fixed subgroups');
  if (isOverUnits(over)) throw new Error('a tile over matrix units, which WGSL has none of');
  return sharersOf(over, threads, subgroupSize);
}

export function fragmentExtent(emission: Emission, axis: TileAxis): number {
  return axis.extent / sharers(axis.over, emission.program.threads, emission.subgroupSize);
}

export type Dealt = Exclude<Spread, 'whole' | UnitSpread>;

const indexNames: { readonly [S in Dealt]: string } = {
  rows: 'row',
  columns: 'column',
  threads: 'thread',
  lanes: 'lane',
};

export function invocationIndex(emission: Emission, over: Dealt): Value {
  if (over === 'lanes') emission.usesSubgroups = true;
  return named(indexNames[over]);
}

/** An i32 known everywhere. */
export function named(name: string, depth = 0): Value {
  return { text: name, key: name, dtype: 'i32', width: 1, depth };
}
