/**
 * The typed program: what the checker makes of the tree and what lowering reads. Names are resolved, every
 * index has a range, every expression a type, every conversion is a `cast` of its own; nothing is left to
 * infer. A function is checked once, with its sizes symbolic; lowering instantiates it with numbers.
 */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Placement as MeshPlacement, PendingCombiner } from '../placement/placement.ts';
import type { ReductionName } from '../syntax/tree.ts';
import type { Dtype } from './dtype.ts';
import type { SizeRelation } from './relation.ts';
import type { ScalarFunction } from './scalar-functions.ts';
import type { Size } from './size.ts';

// ── types ──────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * `float` is any float storage type, the same or not at each place it is written; it is read as f32.
 * It may stand in parameters and record fields only, and is settled where the program is compiled.
 */
export type ElementType =
  | { readonly kind: 'dtype'; readonly dtype: Dtype }
  | { readonly kind: 'float' }
  | { readonly kind: 'ix'; readonly range: Size };

export type Placement =
  | { readonly kind: 'none' }
  | { readonly kind: 'axes'; readonly axes: readonly string[] }
  | { readonly kind: 'hole' };

export interface WrittenPending {
  readonly axis: string;
  readonly combiner: PendingCombiner;
}

export interface Dim {
  readonly size: Size;
  readonly placement: Placement;
  /**
   * The factors of a product dimension as it was written, major first: `G * R` is [G, R]. A remark, not
   * identity.
   */
  readonly factors?: readonly Size[] | undefined;
}

export type Type =
  | {
      readonly kind: 'tensor';
      readonly element: ElementType;
      readonly dims: readonly Dim[];
      /** As written: `{+tp}`. Like placements a remark, not identity. */
      readonly pending?: readonly WrittenPending[] | undefined;
    }
  /** An array (dims) of records; a single record has no dims. Stored as a record of stacked tensors. */
  | {
      readonly kind: 'record';
      readonly record: RecordInfo;
      readonly sizes: readonly Size[];
      readonly dims: readonly Dim[];
    }
  | { readonly kind: 'key'; readonly dims: readonly Dim[] }
  | { readonly kind: 'tuple'; readonly elements: readonly Type[] }
  /** The type of what was already reported; compatible with everything. */
  | { readonly kind: 'error' };

export interface RecordInfo {
  readonly name: string;
  /** Path of the module that declares it: with `name`, its identity. */
  readonly module: string;
  readonly parameters: readonly string[];
  /** Field types in terms of `parameters`. */
  readonly fields: readonly { readonly name: string; readonly type: Type }[];
}

// ── program ────────────────────────────────────────────────────────────────────────────────────────────────

export interface TypedProgram {
  /** Every function reachable from the checked file, by `FunctionInfo.id`. */
  readonly functions: ReadonlyMap<string, FunctionInfo>;
  /** The functions of the checked file itself that may be entries (`export fn`, else all), by source name. */
  readonly entries: ReadonlyMap<string, FunctionInfo>;
  /** Those of the checked file itself, by source name, in source order. */
  readonly properties: ReadonlyMap<string, PropertyInfo>;
  readonly axes: readonly string[];
}

export type FactRelation = SizeRelation;

export interface TypedFact {
  readonly relation: FactRelation;
  readonly left: Size;
  readonly right: Size;
  readonly span: Span;
}

export interface FunctionInfo {
  /** `module path#name` */
  readonly id: string;
  readonly name: string;
  readonly exported: boolean;
  readonly auto: boolean;
  /** All size parameters, in order of first appearance; those in brackets first. */
  readonly sizes: readonly string[];
  /** How many of `sizes` were written in brackets. */
  readonly explicitSizes: number;
  readonly parameters: readonly Parameter[];
  readonly result: Type;
  readonly resultSpan: Span;
  readonly facts: readonly TypedFact[];
  readonly body: TypedExpression;
  readonly documentation: string | undefined;
  readonly span: Span;
}

/** A property as a function of what it quantifies: see `asEntry` for running it as one. */
export interface PropertyInfo {
  /** `module path#name` */
  readonly id: string;
  readonly name: string;
  /**
   * Its parameters are the quantified values; its sizes those with a range first, then those that the types
   * of the values use. Its facts are the `where`, and the two ends of each range. Its body is a tuple, even
   * of one, within the property's `let`s: the sides of all checks in order, left, right, left, right …, of a
   * boolean check its one side; then the conditions. The result says where the sides live, each as it comes.
   */
  readonly function: FunctionInfo;
  /** `n: 1..8`, both ends included; other sizes range over what is legal. */
  readonly ranges: ReadonlyMap<string, SizeRange>;
  /** Ranges of mesh axes. Undefined: nothing is said of the mesh. */
  readonly mesh: readonly ({ readonly axis: string } & SizeRange)[] | undefined;
  /** By the name of the value; values without any are left out. */
  readonly traits: ReadonlyMap<string, readonly Trait[]>;
  /**
   * The elements, row-major, of the tensors whose value is written down, by path (`x`, `experts.gate`). What
   * the value says of sizes is among the function's facts: with sizes for which these hold, it has as many
   * elements as its type.
   */
  readonly given: ReadonlyMap<string, readonly number[]>;
  /**
   * Positions in the tuple, behind the sides, of the bools that `given` states: the checks are stated of
   * values for which all their elements are true.
   */
  readonly conditions: readonly number[];
  readonly checks: readonly PropertyCheck[];
  readonly documentation: string | undefined;
  readonly span: Span;
}

/** In an end of a range stand only sizes without a range, and those whose range is written before. */
export interface SizeRange {
  readonly from: Size;
  readonly to: Size;
}

/**
 * What all values of a quantified tensor have, beside its type; at most one of each kind. Along the last
 * dimension, for each index of the others: a permutation (of an `ix(N)[…, N]`) has each index once,
 * ascending numbers do not fall, distinct ones are no two the same. Of each number: it is above 0; it is in
 * a range, both ends included, which are whole for integers and within their type.
 */
export type Trait =
  | { readonly kind: 'permutation' }
  | { readonly kind: 'ascending' }
  | { readonly kind: 'distinct' }
  | { readonly kind: 'positive' }
  | { readonly kind: 'range'; readonly from: number; readonly to: number };

/** `left` and `right` are positions in the tuple. */
export type PropertyCheck = { readonly label: string | undefined; readonly span: Span } & (
  | { readonly relation: '===' | '==' | '~='; readonly left: number; readonly right: number }
  | { readonly relation: 'holds'; readonly left: number }
);

export interface Parameter {
  readonly name: string;
  readonly type: Type;
  readonly local: LocalId;
  readonly span: Span;
}

/** A bound value; unique within its function. */
export type LocalId = number & { readonly brand?: 'local' };
/** A bound index variable; unique within its function. */
export type IndexId = number & { readonly brand?: 'index' };

// ── expressions ────────────────────────────────────────────────────────────────────────────────────────────

/**
 * One index of a comprehension or reduction, with its range. A product dimension binds several, major first.
 */
export interface TypedIndex {
  readonly id: IndexId;
  readonly name: string;
  readonly range: Size;
}

/** The indices of a comprehension grouped by the dimension they make: `for s, (g, r)` is [[s], [g, r]]. */
export type IndexGroup = readonly TypedIndex[];

export type TypedSubscript =
  | { readonly kind: 'whole' }
  /** A scalar of integer type, proved to be in range (or given by `ix`). */
  | { readonly kind: 'at'; readonly value: TypedExpression }
  /** A tuple into a product dimension: parts major first with the size of each factor. */
  | {
      readonly kind: 'split';
      readonly parts: readonly { readonly value: TypedExpression; readonly size: Size }[];
    };

/** A value that the per-device view has a block of. */
export interface Captured {
  readonly name: string;
  readonly outer: LocalId;
  /** The block. */
  readonly local: LocalId;
  /** Of the whole, with the placement that the view takes it in. */
  readonly type: Type;
  readonly span: Span;
}

export type TypedPattern =
  | { readonly kind: 'local'; readonly local: LocalId; readonly name: string; readonly type: Type }
  | { readonly kind: 'tuple'; readonly elements: readonly TypedPattern[] };

export type TypedExpression = { readonly type: Type; readonly span: Span } & TypedNode;

export type TypedNode =
  /** A scalar constant of the expression's dtype; bools are 0 and 1. `Infinity` is allowed for floats. */
  | { readonly kind: 'constant'; readonly value: number }
  /** A size used as a value, already of the dtype that its use asked for. */
  | { readonly kind: 'size'; readonly size: Size }
  | { readonly kind: 'local'; readonly local: LocalId }
  /** An index variable as a value; its type is ix(range). */
  | { readonly kind: 'index'; readonly index: IndexId }
  | { readonly kind: 'field'; readonly base: TypedExpression; readonly name: string }
  | {
      readonly kind: 'subscript';
      readonly base: TypedExpression;
      /** One for each leading dimension that was subscripted; the dimensions after them stay whole. */
      readonly subscripts: readonly TypedSubscript[];
    }
  | { readonly kind: 'tuple'; readonly elements: readonly TypedExpression[] }
  /** `Ffn(gate: …, up: …, down: …)`, in the order of the declaration. */
  | { readonly kind: 'record'; readonly fields: readonly TypedExpression[] }
  /** A pointwise function. Operands have the expression's dims, or none (a scalar extends). */
  | {
      readonly kind: 'apply';
      readonly function: ScalarFunction;
      readonly operands: readonly TypedExpression[];
    }
  /** To the dtype of `type`; pointwise. A cast to `ix(N)` clamps into range. */
  | { readonly kind: 'cast'; readonly operand: TypedExpression }
  /** The result has a dimension a group, then those of the body. */
  | {
      readonly kind: 'comprehension';
      readonly groups: readonly IndexGroup[];
      readonly body: TypedExpression;
    }
  /**
   * Over all the groups at once. The result has the dims of the body: a tensor-valued body is reduced
   * elementwise. `argmax`/`argmin` have a scalar body, one group, and type ix(range of the group); ties give
   * the lowest index. Over nothing: sum 0, prod 1, max −∞ (lowest), min +∞ (highest), any false, all true,
   * mean NaN; arg… has a range that is proved not to be 0.
   */
  | {
      readonly kind: 'reduction';
      readonly reduction: ReductionName;
      readonly groups: readonly IndexGroup[];
      readonly body: TypedExpression;
    }
  /** `condition` is a scalar; all three depend only on what is in scope. */
  | {
      readonly kind: 'if';
      readonly condition: TypedExpression;
      readonly then: TypedExpression;
      readonly otherwise: TypedExpression;
    }
  /** A `let`: evaluated once for each value of the indices it depends on. */
  | {
      readonly kind: 'let';
      readonly pattern: TypedPattern;
      readonly value: TypedExpression;
      readonly body: TypedExpression;
    }
  /** `sizes`: a value for each of the callee's `FunctionInfo.sizes`, in that order. */
  | {
      readonly kind: 'call';
      readonly function: string;
      readonly sizes: readonly Size[];
      readonly arguments: readonly TypedExpression[];
    }
  | { readonly kind: 'builtin'; readonly builtin: Builtin; readonly arguments: readonly TypedExpression[] }
  /**
   * A loop of `count` steps carrying a state. Of `rows`, the item is row `step` of each sequence and is bound
   * to `item`; of a counted loop `step` itself is used. A fold's type is the state's; a scan's body is
   * (state, output) and its type (state, outputs stacked in a leading dimension of `count`).
   */
  | {
      readonly kind: 'loop';
      readonly loop: 'fold' | 'scan';
      readonly count: Size;
      readonly step: TypedIndex;
      readonly item: { readonly pattern: TypedPattern; readonly sequence: TypedExpression } | undefined;
      readonly state: TypedPattern;
      readonly initial: TypedExpression;
      readonly body: TypedExpression;
    }
  /**
   * A collective or resharding: on values the identity in the global view. A resharding leads to where `to`
   * says.
   */
  | {
      readonly kind: 'collective';
      readonly collective:
        | 'all_gather'
        | 'all_reduce'
        | 'reduce_scatter'
        | 'all_to_all'
        | 'shift'
        | 'broadcast'
        | 'reshard';
      readonly value: TypedExpression;
      readonly axes: readonly string[];
      /** Positions: the dimension that a reduce_scatter cuts; of an all_to_all from which and to which. */
      readonly dims: readonly number[];
      /** Of a resharding: where the value is wanted. */
      readonly to: MeshPlacement | undefined;
    }
  /** A value that an annotation places: it is brought there without moving data. */
  | { readonly kind: 'placed'; readonly value: TypedExpression; readonly to: Type }
  /**
   * What one device along the axes does with its blocks; on a mesh where each axis has size 1, its body. The
   * result is put together from what the devices give.
   */
  | {
      readonly kind: 'perDevice';
      readonly axes: readonly string[];
      readonly captures: readonly Captured[];
      readonly body: TypedExpression;
      /** The type of the result, with the dimensions that are put together of blocks cut over the axes. */
      readonly whole: Type;
    }
  /** Where the device is along an axis. Inside `perDevice` only. */
  | { readonly kind: 'me'; readonly axis: string }
  /** One turn of a ring over `axis`: `source` (type ix(axis size)) is the rank whose block is at hand. */
  | {
      readonly kind: 'ring';
      readonly axis: string;
      readonly travelling: readonly LocalId[];
      readonly state: TypedPattern;
      readonly initial: TypedExpression;
      readonly source: TypedIndex | undefined;
      readonly body: TypedExpression;
    }
  /** What was already reported. Never in a program without errors. */
  | { readonly kind: 'error' };

/**
 * Built-in functions that are not pointwise. Shapes:
 * - `softmax(x: f32[N], where?: bool[N]) → f32[N]`; all hidden (or N = 0) gives zeros;
 * - `top_k[K](x: number[N]) → (t[K], ix(N)[K])`, largest first, ties by lowest index, K ≤ N; NaN sorts last;
 * - `sort(x: number[N]) → (t[N], ix(N)[N])`, ascending and stable; NaN sorts last;
 * - `cumsum`, `cumprod`, `cummax` `(x: number[N]) → t[N]`, inclusive;
 * - `concat(a: t[N, …], b: t[M, …]) → t[N + M, …]`;
 * - `split_key(k: key) → (key, key)`, `fold_in(k: key, i: integer) → key`: threefry2x32(k, (0, i)) and so on;
 * - `uniform(k: key) → f32` in [0, 1), `normal(k: key) → f32`; with an expected type f32[…], one draw an
 *   element, with the element's row-major position as the counter;
 * - `random_bits(k: key) → u32` likewise.
 * - `clamp_index[N](i: integer) → ix(N)`: into [0, N), N ≥ 1.
 */
export const builtins = [
  'softmax', 'top_k', 'sort', 'cumsum', 'cumprod', 'cummax', 'concat',
  'split_key', 'fold_in', 'uniform', 'normal', 'random_bits', 'clamp_index',
] as const; // biome-ignore format: one topic a line
export type Builtin = (typeof builtins)[number];
