/**
 * Rewrite rules of scalar expressions, as data: what a rule matches, what takes its place, and the types that
 * it is for. The test of soundness makes random instances of `from` out of this data, and fails for a rule of
 * which it finds no instance that fires: a rule without a test cannot exist.
 *
 * Exactness: a rule gives the same i32, u32 and bool, and the same f32 bit for bit except for the sign of a
 * zero and the payload of a NaN. So `0 * x` and `x - x` of floats stay as they are, and sums of floats are
 * not reassociated.
 */
import type { Dtype } from '../../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../../dsl/types/scalar-functions.ts';
import type { Arithmetic, Scalar } from '../../graph/graph.ts';
import type { Interner } from '../expressions/interner.ts';
import type { Interval } from '../expressions/ranges.ts';

/** What random expressions stand for a hole in the test of soundness; a dtype: loads of it. */
export type Sample = 'expression' | 'affine' | 'natural' | Dtype;

export type Pattern =
  /** Any expression; the same name twice, the same expression twice. */
  | { readonly match: 'hole'; readonly name: string; readonly sample: Sample }
  /** Any constant; the test draws from `values`, where given. */
  | { readonly match: 'constant'; readonly name: string; readonly values: readonly number[] | undefined }
  | { readonly match: 'value'; readonly value: number }
  /** Operands of commutative functions match in either order. */
  | { readonly match: 'apply'; readonly function: ScalarFunction; readonly operands: readonly Pattern[] }
  | {
      readonly match: 'convert';
      readonly from: Arithmetic;
      readonly to: Arithmetic;
      readonly operand: Pattern;
    }
  | { readonly match: 'round'; readonly dtype: Dtype; readonly operand: Pattern };

export type Bound = { readonly [name: string]: Scalar };

export interface RuleContext {
  readonly interner: Interner;
  /** Of an interned integer or bool expression. */
  readonly range: (scalar: Scalar) => Interval;
}

export interface Rule {
  readonly name: string;
  /**
   * The types of the operands of arithmetic and comparisons in `from` (and of its holes, unless bool by
   * position).
   */
  readonly types: readonly Arithmetic[];
  readonly from: Pattern;
  /** undefined: the rule's condition does not hold. */
  readonly to: (bound: Bound, context: RuleContext, type: Arithmetic) => Scalar | undefined;
}

export const numbers: readonly Arithmetic[] = ['f32', 'i32', 'u32'];
export const integers: readonly Arithmetic[] = ['i32', 'u32'];
export const everything: readonly Arithmetic[] = ['f32', 'i32', 'u32', 'bool'];

const commutative: ReadonlySet<ScalarFunction> = new Set([
  'add',
  'mul',
  'min',
  'max',
  'eq',
  'ne',
  'and',
  'or',
]);

export function isCommutative(name: ScalarFunction): boolean {
  return commutative.has(name);
}

// ── writing patterns and replacements ──────────────────────────────────────────────────────────────────────

export function hole(name: string, sample: Sample = 'expression'): Pattern {
  return { match: 'hole', name, sample };
}

export function anyConstant(name: string, values?: readonly number[]): Pattern {
  return { match: 'constant', name, values };
}

export function value(exactly: number): Pattern {
  return { match: 'value', value: exactly };
}

export function call(name: ScalarFunction, ...operands: readonly Pattern[]): Pattern {
  return { match: 'apply', function: name, operands };
}

export function converted(from: Arithmetic, to: Arithmetic, operand: Pattern): Pattern {
  return { match: 'convert', from, to, operand };
}

export function rounded(dtype: Dtype, operand: Pattern): Pattern {
  return { match: 'round', dtype, operand };
}

/** The value of a bound constant. */
export function numberOf(scalar: Scalar | undefined): number {
  return scalar?.op === 'constant' ? scalar.value : Number.NaN;
}

export function isConstant(scalar: Scalar): boolean {
  return scalar.op === 'constant';
}
