/**
 * The index graph: what every pass of the compiler reads and writes. Sizes are numbers here.
 *
 * There is one kind of compute node, `out[i…] = finish(reduce r…: body)`: the body is a scalar expression
 * over loads whose subscripts are integer scalar expressions (affine, split and merged by floordiv/mod, or
 * looked up through another tensor). Beside it stand the few nodes that are not comprehensions. Each node
 * defines one or more tensors; nodes are in topological order. `well-formed.ts` states the rules and is run
 * after every pass.
 */
import type { AxisList, PendingCombiner, Placement } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Extent } from './extent.ts';

/** Names one tensor of a graph; unique across the graph and its loop bodies. */
export type TensorId = number & { readonly brand?: 'tensor' };

/** A dense row-major tensor of known shape. Rank 0 is a scalar. */
export interface TensorType {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

export interface Tensor extends TensorType {
  readonly id: TensorId;
  /** Where it came from, for people: `h`, `scores`, `experts.gate`. Not unique. */
  readonly name: string;
  /**
   * In a bounded program: the extent that a dimension has in a run, where that is not the one in `shape`.
   * Nothing is said of elements behind it, and nobody may look at them.
   */
  readonly ends?: Ends;
}

/** By dimension or axis; undefined for one that goes as far as its number says in every run. */
export type Ends = readonly (Extent | undefined)[];

export interface Graph {
  readonly name: string;
  readonly inputs: readonly GraphInput[];
  readonly nodes: readonly Node[];
  readonly outputs: readonly GraphOutput[];
}

/** An entry's parameter by path: `x`, `experts.gate`. */
export interface GraphInput {
  readonly path: string;
  readonly tensor: Tensor;
}

/** An entry's result by path: `out`, `out.0`, `out.gate`. */
export interface GraphOutput {
  readonly path: string;
  readonly tensor: TensorId;
}

// ── scalar expressions ─────────────────────────────────────────────────────────────────────────────────────

/**
 * A scalar expression inside a node. Its type is one of the arithmetic types (`f32`, `i32`, `u32`, `bool`)
 * except right under a `round`: loads of narrow types give f32/i32/u32 values. Indices and counters are i32.
 */
export type Scalar =
  | { readonly op: 'constant'; readonly dtype: Arithmetic; readonly value: number }
  /** Iterator `axis` of the node: output axes first, then reduced axes (see `ComputeNode`). */
  | { readonly op: 'iterator'; readonly axis: number }
  /** The step of the enclosing loop node `loop`. */
  | { readonly op: 'counter'; readonly loop: LoopId }
  /**
   * The coordinate of the device at hand along a mesh axis: an i32 in [0, devices). In the program of one
   * device of a mesh only.
   */
  | { readonly op: 'coordinate'; readonly axis: string; readonly devices: number }
  /** What a size is in the run at hand: an i32 in [0, most]. In a bounded program only. */
  | { readonly op: 'size'; readonly name: string; readonly most: number }
  | {
      readonly op: 'load';
      readonly tensor: TensorId;
      readonly dtype: Dtype;
      readonly subscripts: readonly Scalar[];
    }
  | {
      readonly op: 'apply';
      readonly function: ScalarFunction;
      readonly dtype: Arithmetic;
      readonly operands: readonly Scalar[];
    }
  /**
   * Conversion between arithmetic types. Float to integer truncates towards zero, saturating; NaN gives 0.
   */
  | { readonly op: 'convert'; readonly dtype: Arithmetic; readonly operand: Scalar }
  /** Round to a narrow storage type and read back: `dtype` is narrow, the value is of its arithmetic type. */
  | { readonly op: 'round'; readonly dtype: Dtype; readonly operand: Scalar }
  /** In `finish` only: the result of this node's reduction (or the score). */
  | { readonly op: 'reduced'; readonly dtype: Arithmetic };

export type Arithmetic = 'f32' | 'i32' | 'u32' | 'bool';
export type LoopId = number & { readonly brand?: 'loop' };

/**
 * `mean` is a sum and a division before it gets here. argmax and argmin give the i32 position, lowest on
 * ties.
 */
export const combiners = ['sum', 'prod', 'max', 'min', 'any', 'all', 'argmax', 'argmin'] as const;
export type Combiner = (typeof combiners)[number];

// ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

export type Node =
  | ComputeNode
  | SoftmaxSumNode
  | RouteNode
  | OrderNode
  | PrefixNode
  | LoopNode
  | CollectiveNode
  | BlockNode
  | ExchangeNode;
export type NodeKind = Node['kind'];

/**
 * `result[i0…] = finish(reduce over r0…: body)`. Axes 0 … rank−1 are the output's, with extents
 * `result.shape`; axes rank … are reduced, with extents `reduce.extents`. Without `reduce` the node is a map
 * and `finish` absent. The body of a reduction is of the combiner's arithmetic type and accumulated in it
 * (f32 for floats); `finish` (default: the reduced value itself) sees output axes only. What is stored is
 * rounded to `result.dtype`.
 */
export interface ComputeNode {
  readonly kind: 'compute';
  readonly result: Tensor;
  readonly body: Scalar;
  readonly reduce:
    | {
        readonly combiner: Combiner;
        readonly extents: readonly number[];
        /**
         * In a bounded program, by reduced axis: where it ends in a run. The body gives what changes nothing
         * from there on, so that a kernel may stop.
         */
        readonly ends?: Ends;
        readonly finish: Scalar | undefined;
      }
    | undefined;
  /** Set by `recover`: this contraction looks its weights up by expert and is to be run grouped. */
  readonly grouped: GroupedLookup | undefined;
}

/**
 * The contraction reads a tensor at `[…, pick[i…], …]` where `pick` is the tensor that `route` sorted.
 * `axes` are the output axes that index `pick` in order (its rows and slots); the other output axes index
 * columns.
 */
export interface GroupedLookup {
  readonly pick: TensorId;
  readonly order: TensorId;
  readonly offsets: TensorId;
  readonly experts: number;
  readonly axes: readonly number[];
}

/**
 * A softmax-weighted sum, streamed: `result[i…] = Σ_u p_u · value`, `p = softmax over visible u of
 * finish(score)`, `score = sum over r…: scoreBody`. Never stores the scores. Rows that see nothing give 0.
 *
 * Axes: output axes 0 … rank−1; the streamed axis u is `rank`; the score's reduced axes follow it.
 * `scoreBody` may use all of them but those in `valueAxes`; `logit` and `visible` likewise without the
 * reduced ones, with `reduced` as the score; `value` uses output axes and u. `valueAxes` are the output axes
 * that only `value` uses.
 */
export interface SoftmaxSumNode {
  readonly kind: 'softmaxSum';
  readonly result: Tensor;
  /** Extent of u. */
  readonly extent: number;
  /** In a bounded program: where u ends in a run. Nothing is visible from there on. */
  readonly end?: Extent;
  readonly scoreExtents: readonly number[];
  readonly scoreBody: Scalar;
  readonly logit: Scalar;
  /** bool; undefined when all is visible. */
  readonly visible: Scalar | undefined;
  readonly value: Scalar;
  readonly valueAxes: readonly number[];
  readonly partial?: PartialSoftmax | undefined;
}

/**
 * A softmax over a part of what it goes over, before it is divided by its total: `top` is the greatest of
 * `lowest` and the visible logits, `total` the sum of exp(logit − top) over them, and the node's result that
 * sum weighted by values. Both have the output axes but those in `valueAxes`. Those of several parts are put
 * together by factors exp(top − greatest top).
 */
export interface PartialSoftmax {
  readonly top: Tensor;
  readonly total: Tensor;
  readonly lowest: number;
}

/**
 * Groups the flat positions of `pick` (ix values below `experts`) by value: `order` (i32[n]) lists the
 * positions stably sorted by expert, `offsets` (i32[experts + 1]) says where each expert's begin.
 */
export interface RouteNode {
  readonly kind: 'route';
  readonly pick: TensorId;
  /** In a bounded program: flat positions from there on are of no expert. */
  readonly end?: Extent;
  readonly experts: number;
  readonly order: Tensor;
  readonly offsets: Tensor;
}

/**
 * Positions along the last axis of `source` in order: the first `result.shape.at(-1)` of them, i32.
 * Ties by lowest position; NaN last, whichever the direction. top-k is `descending` with fewer results than
 * entries.
 */
export interface OrderNode {
  readonly kind: 'order';
  readonly source: TensorId;
  readonly direction: 'ascending' | 'descending';
  readonly result: Tensor;
}

/** Inclusive prefix reduction along the last axis of `source`. */
export interface PrefixNode {
  readonly kind: 'prefix';
  readonly source: TensorId;
  readonly combiner: 'sum' | 'prod' | 'max';
  readonly result: Tensor;
}

/**
 * `count` steps of `body`, which is a graph: its inputs are the states (in order; `path` is only a name); it
 * may also load any tensor defined before the loop outside, subscripted with `counter(loop)` where it wants
 * the step. Its outputs are the next states, then the collected values. `results` are the final states, then
 * each collected value stacked in a leading axis of `count`.
 */
export interface LoopNode {
  readonly kind: 'loop';
  readonly loop: LoopId;
  readonly count: number;
  readonly initial: readonly TensorId[];
  readonly body: Graph;
  readonly results: readonly Tensor[];
}

/**
 * A change of where a tensor lives, in a program that says what a whole mesh computes. On values it is the
 * identity, so that leaving it out gives the program of a single device. `result` is of the dtype and shape
 * of `source`.
 */
export interface CollectiveNode {
  readonly kind: 'collective';
  readonly source: TensorId;
  readonly result: Tensor;
  readonly change: PlacementChange;
}

/**
 * `axes` are the minor end of the list they are taken from, major first. Dimensions are positions in the
 * tensor.
 */
export type CollectiveChange =
  /** The axes no longer cut the dimension that they cut. */
  | { readonly kind: 'all_gather'; readonly axes: AxisList }
  /** What is pending over the axes is combined, everywhere. */
  | { readonly kind: 'all_reduce'; readonly axes: AxisList }
  /** What is pending over the axes is combined, and the axes then cut `dim` further. */
  | { readonly kind: 'reduce_scatter'; readonly axes: AxisList; readonly dim: number }
  /** The axes cut dimension `to` further instead of `from`. */
  | { readonly kind: 'all_to_all'; readonly axes: AxisList; readonly from: number; readonly to: number }
  /** Every device along the axes gets what the first holds. */
  | { readonly kind: 'broadcast'; readonly axes: AxisList };

export type PlacementChange =
  | CollectiveChange
  /** `to.dims` are those of the dimensions from `first` on; those before and after stay as they are. */
  | { readonly kind: 'reshard'; readonly first: number; readonly to: Placement }
  /**
   * What a declaration says of the dimensions from `first` on, and of what is pending; undefined: nothing, it
   * stays as it is. Never moves data: what is whole is cut, what is final is masked.
   */
  | {
      readonly kind: 'declare';
      readonly first: number;
      readonly dims: readonly (AxisList | undefined)[];
      readonly pending: Placement['pending'] | undefined;
    };

/**
 * The border between what a whole mesh computes and what each of its devices does on its own, in a program of
 * the whole mesh. `enter` makes the block that a device has of `source`, `leave` the tensor of which `source`
 * is the block: dimension d is cut over `cuts[d]` outside, and `devices[d]` times smaller inside. Along other
 * axes both are as any tensor. On a mesh with one device along the axes it is the identity.
 */
export interface BlockNode {
  readonly kind: 'block';
  readonly direction: 'enter' | 'leave';
  readonly source: TensorId;
  readonly cuts: readonly AxisList[];
  readonly devices: readonly number[];
  readonly result: Tensor;
}

/**
 * Moves data between the devices of a group: those that differ in the coordinates along `axes` only, `devices`
 * many, ranked by these coordinates read as digits, the first axis most significant. In the program of one
 * device of a mesh only. What is exchanged is always the leading axis or the whole tensor, so that each verb
 * is one call of a communicator; packing is the business of compute nodes before and after. With P devices:
 * - `all_gather`: s to [P, …s], in order of rank;
 * - `all_reduce`: s to s, combined;
 * - `reduce_scatter`: [P, …s] to s: rank r has chunk r, combined;
 * - `all_to_all`: [P, …s] to [P, …s]: chunk j goes to rank j, and chunk i of the result came from rank i;
 * - `shift`: s to s: rank r has what rank r − 1 had, rank 0 what the last had;
 * - `broadcast`: s to s: what rank 0 had.
 */
export interface ExchangeNode {
  readonly kind: 'exchange';
  readonly verb: ExchangeVerb;
  readonly axes: AxisList;
  readonly devices: number;
  /** Of all_reduce and reduce_scatter; the others do not look at it. */
  readonly combiner: PendingCombiner;
  readonly source: TensorId;
  readonly result: Tensor;
}

export const exchangeVerbs = [
  'all_gather',
  'all_reduce',
  'reduce_scatter',
  'all_to_all',
  'shift',
  'broadcast',
] as const;
export type ExchangeVerb = (typeof exchangeVerbs)[number];

/** The tensors that a node defines. */
export function results(node: Node): readonly Tensor[] {
  switch (node.kind) {
    case 'compute':
    case 'order':
    case 'prefix':
    case 'collective':
    case 'block':
    case 'exchange':
      return [node.result];
    case 'softmaxSum':
      return node.partial === undefined ? [node.result] : [node.result, node.partial.top, node.partial.total];
    case 'route':
      return [node.order, node.offsets];
    case 'loop':
      return node.results;
  }
}
