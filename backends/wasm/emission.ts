/** What is known while one kernel is written. */
import type { LoopId, Tensor, TensorId } from '../../compiler/graph/graph.ts';
import { isOverUnits, sharersOf } from '../../compiler/tiles/tile-builder.ts';
import type { Spread, Tile, TileAxis, TileProgram } from '../../compiler/tiles/tile-program.ts';
import type { SharedValues } from '../writing/shared-values.ts';
import { type HelperName, helperArity, helperValue, isInlined } from './helpers.ts';
import type { Linear } from './linear.ts';
import { component, widen } from './values.ts';
import type { Value, Writer } from './writer.ts';

export interface Emission {
  readonly program: TileProgram;
  readonly writer: Writer;
  /** Of the expression that is being written. */
  readonly written: SharedValues<Value, Value>;
  /** Relaxed SIMD may be used for sums of products. */
  readonly multiplyAdd: boolean;
  readonly buffers: ReadonlyMap<TensorId, Buffer>;
  readonly counters: ReadonlyMap<LoopId, Value>;
  /** The device's own place along mesh axes. */
  readonly coordinates: ReadonlyMap<string, Value>;
  /** The workgroup's place along each axis of the grid. */
  readonly grid: Value[];
  /** The invocation's row and column, and its number. */
  readonly places: { readonly [S in Dealt]: Linear };
  readonly variables: Map<string, LoopVariable>;
  readonly tiles: Map<string, TileState>;
  /** Those that the module needs. */
  readonly helpers: Set<HelperName>;
}

type Dealt = 'rows' | 'columns' | 'threads';

/** What a loop counts: `value` and `ahead` more. */
export interface LoopVariable {
  readonly value: Value;
  readonly ahead: number;
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

/** A tile, of which each invocation has its part in locals. */
export interface TileState {
  readonly tile: Tile;
  /** How many elements an invocation has along each axis. */
  readonly fragment: readonly number[];
  readonly width: 1 | 4;
  /** Row-major; of a tile that is updated the locals that are its variables. */
  readonly registers: readonly Register[];
  version: number;
}

export type Register =
  | { readonly kind: 'value'; readonly value: Value }
  | { readonly kind: 'variable'; readonly local: number };

export function refuse(emission: Emission, reason: string): Error {
  return new Error(`${emission.program.name} ${reason}, which kernels in WebAssembly are not scheduled with`);
}

/** Among how many invocations an axis is dealt out. */
export function sharers(emission: Emission, over: Spread): number {
  if (over === 'lanes') throw refuse(emission, 'deals a tile out over lanes');
  if (isOverUnits(over)) throw refuse(emission, 'deals a tile out over matrix units');
  return sharersOf(over, emission.program.threads);
}

export function fragmentExtent(emission: Emission, axis: TileAxis): number {
  return axis.extent / sharers(emission, axis.over);
}

/** A helper's result for operands of one width. */
export function callHelper(
  { writer, helpers, multiplyAdd }: Emission,
  name: HelperName,
  dtype: Value['dtype'],
  operands: readonly Value[],
): Value {
  if (helperArity(name) !== operands.length) throw new Error(`${name} of ${operands.length} operands`);
  const { width } = operands[0]!;
  const vectors = operands.map((operand) => widen(writer, operand, 4));
  if (!isInlined(name)) helpers.add(name);
  const found = isInlined(name)
    ? { ...helperValue(name, writer, vectors, multiplyAdd), dtype }
    : writer.call(name, dtype, 'v128', vectors);
  return width === 4 ? found : component(writer, found, 0);
}
