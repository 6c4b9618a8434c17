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
  /** Coefficients of the highest power first. */
  readonly polynomial: (x: Value, coefficients: readonly number[]) => Value;
  readonly isNaN: (x: Value) => Value;
  readonly clamp: (x: Value, low: number, high: number) => Value;
}

export function formulasOf(writer: Writer): Formulas {
  const run = (name: InstructionName, ...operands: readonly Value[]): Value =>
    writer.instruction(name, 'f32', operands);
  const float = (value: number): Value => vectorLiteral(floatBits(value), 'f32');
  const choose = (mask: Value, yes: Value, no: Value): Value => run('v128.bitselect', yes, no, mask);
  return {
    run,
    shift: (name, value, by) => run(name, value, literal(by, 'i32')),
    float,
    word: (value) => vectorLiteral(value, 'i32'),
    choose,
    polynomial: (x, [first = 0, ...rest]) =>
      rest.reduce(
        (sum, coefficient) => run('f32x4.add', run('f32x4.mul', sum, x), float(coefficient)),
        float(first),
      ),
    isNaN: (x) => run('f32x4.ne', x, x),
    clamp: (x, low, high) => run('f32x4.min', run('f32x4.max', x, float(low)), float(high)),
  };
}
