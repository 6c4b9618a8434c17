/** What formulas are written in, four at a time. */
import type { Operations } from '../formulas/operations.ts';
import type { InstructionName } from './instructions.ts';
import { floatBits, literal, vectorLiteral } from './values.ts';
import type { Value, Writer } from './writer.ts';

/** @param relaxed whether relaxed SIMD may be used: its multiply-add is rounded once, perhaps */
export function vectorOperations(writer: Writer, relaxed: boolean): Operations<Value, Value> {
  const run =
    (name: InstructionName) =>
    (...operands: readonly Value[]): Value =>
      writer.instruction(name, 'f32', operands);
  const shift = (name: InstructionName) => (value: Value, by: number) =>
    writer.instruction(name, 'f32', [value, literal(by, 'i32')]);
  const float = (value: number): Value => vectorLiteral(floatBits(value), 'f32');
  const [add, mul] = [run('f32x4.add'), run('f32x4.mul')];
  const [least, most] = [run('f32x4.pmin'), run('f32x4.pmax')];
  const [differs, chosen] = [run('f32x4.ne'), run('v128.bitselect')];
  return {
    ...{ float, add, mul, sub: run('f32x4.sub'), div: run('f32x4.div') },
    multiplyAdd: relaxed ? run('f32x4.relaxed_madd') : (a, b, c) => add(mul(a, b), c),
    ...{ abs: run('f32x4.abs'), floor: run('f32x4.floor'), nearest: run('f32x4.nearest') },
    // V8 has one instruction for these on every processor, and up to eight for those that give NaN of either.
    clamp: (x, low, high) => least(most(x, float(low)), float(high)),
    ...{ less: run('f32x4.lt'), equal: run('f32x4.eq'), isNaN: (x) => differs(x, x) },
    word: (value) => vectorLiteral(value, 'i32'),
    ...{ addWords: run('i32x4.add'), subWords: run('i32x4.sub') },
    ...{ and: run('v128.and'), or: run('v128.or'), xor: run('v128.xor') },
    shiftLeft: shift('i32x4.shl'),
    shiftRight: shift('i32x4.shr_u'),
    shiftRightSigned: shift('i32x4.shr_s'),
    lessWords: run('i32x4.lt_s'),
    floatOf: run('f32x4.convert_i32x4_s'),
    wordOf: run('i32x4.trunc_sat_f32x4_s'),
    ...{ both: run('v128.and'), either: run('v128.or'), not: run('v128.not') },
    choose: (truth, yes, no) => chosen(yes, no, truth),
  };
}
