/** What helper functions are written in: operations on four floats or words at a time. */
import type { InstructionName } from './instructions.ts';
import { floatBits, literal, vectorLiteral } from './values.ts';
import type { Value, Writer } from './writer.ts';

export interface Formulas {
  /** An instruction on vectors; shifts take their count as a number. */
  readonly run: (name: InstructionName, ...operands: readonly Value[]) => Value;
  readonly shift: (name: 'i32x4.shl' | 'i32x4.shr_s' | 'i32x4.shr_u', value: Value, by: number) => Value;
  /** Four times the float. */
  readonly float: (value: number) => Value;
  /** Four times the word. */
  readonly word: (value: number) => Value;
  /** `yes` where the mask is set. */
  readonly choose: (mask: Value, yes: Value, no: Value) => Value;
  /** a · b + c, rounded twice or, of relaxed SIMD, perhaps once. */
  readonly multiplyAdd: (a: Value, b: Value, c: Value) => Value;
  /** Coefficients of the highest power first. */
  readonly polynomial: (x: Value, coefficients: readonly number[]) => Value;
  readonly isNaN: (x: Value) => Value;
  /** NaN of NaN. */
  readonly clamp: (x: Value, low: number, high: number) => Value;
}

/** @param relaxed whether relaxed SIMD may be used */
export function formulasOf(writer: Writer, relaxed: boolean): Formulas {
  const run = (name: InstructionName, ...operands: readonly Value[]): Value =>
    writer.instruction(name, 'f32', operands);
  const float = (value: number): Value => vectorLiteral(floatBits(value), 'f32');
  const choose = (mask: Value, yes: Value, no: Value): Value => run('v128.bitselect', yes, no, mask);
  const multiplyAdd = (a: Value, b: Value, c: Value): Value =>
    relaxed ? run('f32x4.relaxed_madd', a, b, c) : run('f32x4.add', run('f32x4.mul', a, b), c);
  return {
    run,
    shift: (name, value, by) => run(name, value, literal(by, 'i32')),
    float,
    word: (value) => vectorLiteral(value, 'i32'),
    choose,
    multiplyAdd,
    polynomial: (x, [first = 0, ...rest]) =>
      rest.reduce((sum, coefficient) => multiplyAdd(sum, x, float(coefficient)), float(first)),
    isNaN: (x) => run('f32x4.ne', x, x),
    // V8 has one instruction for these on every processor, and up to eight for those that give NaN of either.
    clamp: (x, low, high) => run('f32x4.pmin', run('f32x4.pmax', x, float(low)), float(high)),
  };
}
