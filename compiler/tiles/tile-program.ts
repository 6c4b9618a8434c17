/**
 * Tile programs: one kernel each, the meeting point of the back ends.
 *
 * A program runs once for each point of `grid` in a workgroup of `threads.rows × threads.columns`
 * invocations. Its statements work on tiles: small dense values that belong to the whole workgroup. Each axis
 * of a tile says how it is spread over the invocations, and that is all a schedule has to choose:
 *
 *     whole     every invocation has (a copy of) the whole axis
 *     rows      blocks of `block` neighbours are dealt out to thread rows, columns or all threads, round by
 *     columns   round: with 16 columns and block 4, an axis of 128 gives column c the elements 4c…4c+3 and
 *     threads   64+4c…64+4c+3
 *     lanes     as `threads`, over the lanes of a subgroup; reading an element broadcasts it, so each lane
 *               loads a part and uses all (every lane of the workgroup must reach that place); each warp
 *               has the whole axis, and for results of units each lane reads what is of its own columns
 *     unitRows, unitColumns
 *               as matrix units have the results of a warp, which is 32 neighbours of a thread row: blocks
 *               of rows (multiples of 16) are dealt out to the thread rows, blocks of columns (multiples of
 *               8) to the warps of a row; lane l has the rows l / 4 + 8i of its block, and of every eight
 *               columns the two from 2 (l % 4) on
 *
 * A `register` tile lives in the invocations' registers, unrolled; a `shared` one in workgroup memory, where
 * its axes' spread is ignored: all invocations together compute it, whoever needs an element reads it. But
 * what is spread as over units, or is computed from tiles in registers, each invocation brings there from its
 * own.
 *
 * A `packed` tile is a shared one that matrix units read, and nobody else: elements of a type that they
 * multiply (`packed.ts`), in an order that the back end chooses. A product into a tile that is spread over units
 * is computed by them.
 * A `turned` tile is a shared one of elements as narrow as in memory, which turns a square of them.
 *
 * Barriers are not written: a back end derives them from what reads and writes shared tiles. `block` of the
 * last axis is also its vector width: loads and stores of 4 neighbours become one where the offset is
 * provably a multiple of 4.
 *
 * How a schedule is written (see `schedules/map.ts` for the smallest, `schedules/reduction.ts` for one with a
 * loop):
 *
 *     const row = sum(product(grid(0, rows), constant(64)), coordinate(0)); // see tile-expression.ts
 *     const total = element('total', 'f32', [coordinate(0)]);
 *     const body = [
 *       define(register('total', 'f32', [spread(64, 'threads')]), constant(0, 'f32')),
 *       loop('k', upTo(K), (k) => [
 *         update('total', add(total, load(x, 'f32', sum(product(row, constant(K)), k)))),
 *       ]),
 *       store(result, [spread(64, 'threads')], row, total, below(row, constant(rows))),
 *     ];
 *
 * Expressions (`TileExpression`) are pure; a back end hoists what does not change out of loops and computes
 * equal expressions once, so a schedule writes plain index arithmetic. `element` of a register tile takes,
 * for each axis, a `coordinate` of the tile being computed whose axis has the same spread, or a constant (for
 * `whole` and `lanes`); that of all columns of a warp's results reads `lanes` of two neighbours. Loop bounds
 * and `when` conditions must be the same in all invocations of a workgroup.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Arithmetic, Combiner, LoopId, TensorId } from '../graph/graph.ts';
import type { Choice } from './choices/choice.ts';
import type { GridEnd } from './ends.ts';
import type { Packed } from './packed.ts';
import type { TileExpression } from './tile-expression.ts';

export interface TileProgram {
  /** Unique in its package, readable: `contract_h`, `softmax_scores`. */
  readonly name: string;
  /** In binding order. A tensor occurs once; `readwrite` only where a kernel updates in place. */
  readonly buffers: readonly TileBuffer[];
  /**
   * Tensors that a workgroup has to itself, and that are there while it runs, with anything in them at first.
   * Of a core only, where a thread runs one workgroup after the other.
   */
  readonly scratch?: readonly TensorId[];
  /** Loop counters that the body reads, outermost first: passed in by the launch. */
  readonly counters: readonly LoopId[];
  /**
   * Mesh axes along which the body asks for the device's place, and sizes of which it asks what they are in
   * the run, by name: passed in after the counters.
   */
  readonly coordinates: readonly string[];
  /** Extents of the workgroup grid, slowest first; any rank and size. */
  readonly grid: readonly number[];
  /**
   * Of a bounded program, by axis of the grid: where it ends in a run. Workgroups behind that do nothing that
   * anybody looks at.
   */
  readonly gridEnds?: readonly (GridEnd | undefined)[];
  readonly threads: ThreadShape;
  /**
   * Workgroups that are neighbours along the last axis of the grid and may bring common boxes for each other,
   * each a part: so many, which divide its extent. One, where it is left out.
   */
  readonly cluster?: number;
  /**
   * It is not launched as one with others: an engine brings its tiles, which it does for one pipeline of a
   * kernel.
   */
  readonly isAlone?: boolean;
  readonly body: readonly TileStatement[];
  /** What made it so, where there was something to choose. For people alone. */
  readonly choice?: Choice | undefined;
}

export interface TileBuffer {
  readonly tensor: TensorId;
  readonly access: 'read' | 'write' | 'readwrite';
}

/** The invocations of a workgroup; columns are neighbours. */
export interface ThreadShape {
  readonly rows: number;
  readonly columns: number;
}

export type Spread = 'whole' | 'rows' | 'columns' | 'threads' | 'lanes' | UnitSpread;
export type UnitSpread = 'unitRows' | 'unitColumns';

export interface TileAxis {
  readonly extent: number;
  readonly over: Spread;
  /**
   * Neighbouring elements that stay together in one invocation. `extent` is a multiple of block ×
   * invocations.
   */
  readonly block: number;
}

export interface Tile {
  /** Unique in the program, an identifier. */
  readonly name: string;
  readonly dtype: Arithmetic;
  readonly space: 'register' | 'shared';
  readonly axes: readonly TileAxis[];
  /** What the elements of a packed tile are stored as, or what those in registers are rounded to. */
  readonly packed?: Packed;
  /**
   * Of a packed tile in registers: it is multiplied as the sum of so many such numbers, each of which is what
   * the ones before leave of an element, rounded.
   */
  readonly parts?: 1 | 2 | 3;
  /**
   * Of a shared tile of two axes that is filled along the last one, as many elements at once as its block,
   * and read along the other by invocations that have as many: what its elements are stored as.
   */
  readonly turned?: Dtype;
  /** Of a shared tile that is not packed: elements between two rows that nobody uses. */
  readonly padding?: number;
}

/** A packed tile, and what it has in a step of a pipeline. */
export interface Feed {
  readonly tile: Tile;
  readonly value: TileExpression;
  /** The same as a box of a tensor, where it is one: for engines that copy boxes. */
  readonly box?: Box;
  /** A step has what was brought for the one before it. */
  readonly lags?: boolean;
}

/**
 * Neighbours of a tensor of the tile's own dtype, seen as of these dimensions, the innermost first; what is
 * outside of them is read as zeros and not written. The tile's last axis is along the first dimension, the
 * other along the second, and of others it has one place; but for a tile whose rows go through all of the
 * second dimension before they go on along the third.
 */
export interface Box {
  readonly tensor: TensorId;
  /** Elements, and from one to the next in elements: 1 in the first. */
  readonly dims: readonly { readonly extent: number; readonly stride: number }[];
  /** Where it begins. */
  readonly starts: readonly TileExpression[];
  /** Of a tile whose rows go on along the third dimension: how many go along the second. */
  readonly rowsOfSecond?: number;
  /** Of a feed: whether all workgroups of a cluster bring the same, in as many steps. */
  readonly isCommon?: boolean;
}

export type TileStatement =
  /** Brings `tile` into being. Its `value` may use `coordinate(axis)` of it; `box` is as that of a feed. */
  | { readonly kind: 'define'; readonly tile: Tile; readonly value: TileExpression; readonly box?: Box }
  /**
   * Recomputes a tile. Elements of it in `value` are the old ones, which they stay where `isNeeded` does not
   * hold: a warp that has no others may leave it out.
   */
  | {
      readonly kind: 'update';
      readonly tile: string;
      readonly value: TileExpression;
      readonly isNeeded?: TileExpression;
    }
  /**
   * `into[m, n] += Σ_k left[m, k] · right[k, n]`, f32, over all of k (which is `whole`). By matrix units: of
   * packed tiles; `left` may be one in registers, spread as `into` is.
   */
  | {
      readonly kind: 'multiplyAccumulate';
      readonly into: string;
      readonly left: string;
      readonly right: string;
      /** `km`: left is indexed [k, m], as only a packed tile may be. */
      readonly leftOrder: 'mk' | 'km';
      /** `kn`: right is indexed [k, n]; `nk`: [n, k], and vectors run along k. */
      readonly rightOrder: 'kn' | 'nk';
    }
  /**
   * Reduces the last axis of register tiles, defining register tiles of the other axes that every invocation
   * along it has. `argmax` and `argmin` reduce a pair (values, i32 positions; the lowest position on ties).
   * `isOwn`: only what each invocation has of the axis, which is left with one element for each of them.
   */
  | {
      readonly kind: 'reduce';
      readonly combiner: Combiner;
      readonly from: readonly string[];
      readonly into: readonly string[];
      readonly isOwn?: boolean;
    }
  /**
   * An inclusive prefix reduction of a register tile along all of its axes but the first, which are gone
   * through row-major as one run: defines `into`, of the same axes, and `total`, of the first axis, which
   * every invocation has. The axes between are whole, and so may be the last one; else it is dealt out over
   * columns or threads in one round, and they are a power of two.
   */
  | {
      readonly kind: 'scan';
      readonly combiner: ScanCombiner;
      readonly from: string;
      readonly into: string;
      readonly total: string;
    }
  /** `variable` = from, from + step, … while below `to`. */
  | {
      readonly kind: 'loop';
      readonly variable: string;
      readonly from: TileExpression;
      readonly to: TileExpression;
      readonly step: number;
      readonly body: readonly TileStatement[];
    }
  /**
   * As a loop, with packed tiles that are brought while earlier steps compute, `stages` − 1 steps ahead.
   * Nothing that the body stores is read by a feed. Where feeds lag, the first step is `first` instead,
   * which has only the others, and the last one is followed by `last`, which has what lags: so that products
   * of a step and of the one before are under way together. That takes engines that copy boxes.
   */
  | {
      readonly kind: 'pipeline';
      readonly variable: string;
      readonly from: TileExpression;
      readonly to: TileExpression;
      readonly step: number;
      readonly stages: number;
      readonly feeds: readonly Feed[];
      readonly body: readonly TileStatement[];
      readonly first?: readonly TileStatement[];
      readonly last?: readonly TileStatement[];
    }
  | { readonly kind: 'when'; readonly condition: TileExpression; readonly body: readonly TileStatement[] }
  /**
   * `tensor[offset] = value` for every coordinate of `axes` at which `mask` holds, rounded to the tensor's
   * dtype. In a dtype narrower than 32 bits, runs of a word's worth of elements along the last axis must be
   * stored whole: aligned by construction, and masked only behind the end of the tensor (`words.ts`). What is
   * spread over units may have a `box`: then `mask` leaves out just what is outside of the box's dimensions.
   */
  | {
      readonly kind: 'store';
      readonly tensor: TensorId;
      readonly axes: readonly TileAxis[];
      readonly offset: TileExpression;
      readonly value: TileExpression;
      readonly mask: TileExpression | undefined;
      /** The same as a box of the tensor, where it is one: for engines that copy boxes. */
      readonly box?: Box;
    };

/** Those of one value, whose place does not matter. */
export type ScanCombiner = Exclude<Combiner, 'argmax' | 'argmin'>;

export type TileStatementKind = TileStatement['kind'];
export type StatementOf<K extends TileStatementKind> = TileStatement & { readonly kind: K };
