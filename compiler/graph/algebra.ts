/**
 * What the reference evaluator computes with. An algebra says what a float is and what is done with it;
 * integers and bools are the same exact 32-bit values in every algebra, since they address memory, draw
 * random bits and choose.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Arithmetic, TensorType } from './graph.ts';

/** Elements in row-major order: a typed array, or a plain array of whatever an algebra's values are. */
export interface Storage<V> {
  readonly length: number;
  [index: number]: V;
}

/** A tensor with its elements: the algebra's values for float dtypes, else numbers (bools are 0 and 1). */
export interface TensorValue<V> extends TensorType {
  readonly data: Storage<V> | Storage<number>;
}

/**
 * Functions whose result is no float whatever they are given; they and `select` are not the algebra's affair.
 */
type ExactFunction =
  | 'floordiv'
  | 'mod'
  | 'and'
  | 'or'
  | 'not'
  | 'shift_left'
  | 'shift_right'
  | 'threefry0'
  | 'threefry1';
export type Comparison = 'eq' | 'ne' | 'lt' | 'le';
export type FloatFunction = Exclude<ScalarFunction, ExactFunction | Comparison | 'select'>;
export type IntegerType = Exclude<Arithmetic, 'f32'>;

export interface Algebra<V> {
  readonly name: string;
  readonly createStorage: (length: number) => Storage<V>;
  /** A number of the program, or a neutral element of a reduction: infinite and NaN too. */
  readonly constant: (value: number) => V;
  /** Every pointwise function that gives floats, with as many operands as it has. */
  readonly functions: { readonly [F in FloatFunction]: (...operands: V[]) => V };
  readonly comparisons: { readonly [C in Comparison]: (left: V, right: V) => boolean };
  /** To a float storage type; also called with `f32` for what is stored in it. */
  readonly round: (dtype: Dtype, value: V) => V;
  readonly fromInteger: (value: number) => V;
  /**
   * The number that a value stands for: what conversions to integers truncate, and what sorting and argmax
   * order by.
   */
  readonly toNumber: (value: V) => number;
  /**
   * Hears that one value was put before another by what `toNumber` gives, as neighbours in an order or as the
   * first of all.
   */
  readonly ordered?: (before: V, after: V) => void;
  /** Hears that a value was made an integer by what `toNumber` gives. */
  readonly truncated?: (value: V) => void;
  /** Whether devices that hold these hold the same; that they are one number, where it is not told. */
  readonly areSame?: (left: V, right: V) => boolean;
  /**
   * `start + Σ left·right` over `count` elements at the given strides, if that can be done faster than one by
   * one.
   */
  readonly dot?: (start: V, left: Strided<V>, right: Strided<V>, count: number) => V;
}

/** Evenly spaced elements, in units of elements. */
export interface Strided<V> {
  data: Storage<V>;
  offset: number;
  stride: number;
}
