/** What is known while one kernel is written. */
import type { LoopId, Tensor, TensorId } from '../../../compiler/graph/graph.ts';
import type { PtxTarget } from '../../../compiler/tiles/ptx-target.ts';
import { sharersOf } from '../../../compiler/tiles/tile-builder.ts';
import type { TileExpression } from '../../../compiler/tiles/tile-expression.ts';
import type { Spread, Tile, TileAxis } from '../../../compiler/tiles/tile-program.ts';
import type { Sharing } from '../../writing/barriers.ts';
import type { Linear } from '../../writing/linear.ts';
import type { SharedValues } from '../../writing/shared-values.ts';
import type { Taken } from './consumer.ts';
import type { Flight } from './products-in-flight.ts';
import type { SharedPlaces } from './shared-places.ts';
import type { Locate } from './source-lines.ts';
import type { Specialised } from './specialisation.ts';
import { warpSize } from './units.ts';
import type { Lanes, Value } from './values.ts';
import type { Writer } from './writer.ts';

export interface Emission extends Sharing {
  readonly writer: Writer;
  /** Of the expression that is being written. */
  readonly written: SharedValues<Value, Lanes>;
  readonly locate: Locate;
  readonly target: PtxTarget;
  /** The kernel's pipeline, where others bring its tiles. */
  readonly specialised: Specialised | undefined;
  /** The value of what is the same for all. */
  readonly uniform: (expression: TileExpression) => Value;
  /** Addresses of its maps. */
  readonly maps: readonly Value[];
  /** Where those who compute are among the stages of what is brought. */
  taken: readonly Taken[];
  /** Products of warpgroups that were begun and not waited for, in their order. */
  readonly flights: Flight[];
  /** Is told of products that were waited for. */
  landed: (flights: readonly Flight[]) => void;
  readonly buffers: ReadonlyMap<TensorId, Buffer>;
  readonly counters: ReadonlyMap<LoopId, Value>;
  /** The device's own place along mesh axes, and sizes in the run at hand. */
  readonly coordinates: ReadonlyMap<string, Value>;
  /** The workgroup's place along each axis of the grid. */
  readonly grid: readonly Value[];
  /** The invocation's row and column, and its number. */
  readonly places: { readonly [S in Dealt]: Value };
  readonly variables: Map<string, Value>;
  /** The variable of a pipeline that is ahead of the step at hand: in its range under a condition only. */
  ahead: string | undefined;
  readonly tiles: Map<string, TileState>;
  /** Only to be used by what is spread over units. */
  readonly unit: UnitPlaces;
  readonly shared: SharedPlaces;
  /** How often reductions wrote to shared memory. */
  scratchVersion: number;
}

export type Dealt = 'rows' | 'columns' | 'threads';

/** Where an invocation is among the matrix units: each a value, or 0 where there is one only. */
export interface UnitPlaces {
  /** In its warp. */
  readonly lane: Value;
  /** The warp's row and column. */
  readonly warpRow: Value;
  readonly warpColumn: Value;
}

export interface Buffer {
  readonly tensor: Tensor;
  readonly count: number;
  /** Its first byte. */
  readonly pointer: Value;
  /** Its contents do not change while the kernel runs. */
  readonly constant: boolean;
  version: number;
}

export interface TileState {
  readonly tile: Tile;
  /** How many elements an invocation has along each axis; of a shared tile all. */
  readonly fragment: readonly number[];
  /** Of a register tile the elements that the invocation has, row-major. */
  readonly registers: readonly Value[];
  /** Updated after its definition, so in variables. */
  readonly mutable: boolean;
  /** Of a tile that a pipeline brings: how many bytes behind its place the one of this step is. */
  readonly stage?: Value;
  version: number;
}

export function tileState(emission: Emission, name: string): TileState {
  const state = emission.tiles.get(name);
  if (state === undefined)
    throw new Error(`${emission.program.name} uses tile ${name} before its definition`);
  return state;
}

export function bufferOf(emission: Emission, id: TensorId): Buffer {
  const buffer = emission.buffers.get(id);
  if (buffer === undefined) throw new Error(`${emission.program.name} has no buffer of tensor ${id}`);
  return buffer;
}

/** Among how many invocations an axis is dealt out. */
export function sharers({ program }: Emission, over: Spread): number {
  return sharersOf(over, program.threads, warpSize);
}

export function fragmentExtent(emission: Emission, axis: TileAxis): number {
  return axis.extent / sharers(emission, axis.over);
}

export type Sum = Linear<Value>;
