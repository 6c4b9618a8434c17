/** What formulas are written in, as instructions. */
import type { Operations } from '../../formulas/operations.ts';
import { floatBits, literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

export function scalarOperations(writer: Writer): Operations<Value, Value> {
  const float =
    (opcode: string) =>
    (...operands: readonly Value[]): Value =>
      writer.operation(opcode, 'f32', operands);
  const word =
    (opcode: string) =>
    (...operands: readonly Value[]): Value =>
      writer.operation(opcode, 'u32', operands.map(asBits));
  const truth =
    (opcode: string) =>
    (...operands: readonly Value[]): Value =>
      writer.operation(opcode, 'bool', operands);
  const shift = (opcode: string) => (value: Value, by: number) =>
    writer.operation(opcode, 'u32', [asBits(value), literal(by, 'u32')]);
  const [least, most] = [float('min.NaN.f32'), float('max.NaN.f32')];
  const constant = (value: number): Value => literal(value, 'f32');
  return {
    float: constant,
    // With a rounding they stay what they are; without, two of them may become a multiply-add.
    ...{ add: float('add.rn.f32'), sub: float('sub.rn.f32'), mul: float('mul.rn.f32') },
    ...{ div: float('div.rn.f32'), multiplyAdd: float('fma.rn.f32') },
    ...{ abs: float('abs.f32'), floor: float('cvt.rmi.f32.f32'), nearest: float('cvt.rni.f32.f32') },
    clamp: (x, low, high) => least(most(x, constant(low)), constant(high)),
    ...{ less: truth('setp.lt.f32'), equal: truth('setp.eq.f32') },
    isNaN: (x) => truth('setp.nan.f32')(x, x),
    word: (value) => literal(value, 'u32'),
    ...{ addWords: word('add.u32'), subWords: word('sub.u32') },
    ...{ and: word('and.b32'), or: word('or.b32'), xor: word('xor.b32') },
    ...{ shiftLeft: shift('shl.b32'), shiftRight: shift('shr.u32'), shiftRightSigned: shift('shr.s32') },
    lessWords: (left, right) => truth('setp.lt.s32')(asBits(left), asBits(right)),
    ...{ floatOf: float('cvt.rn.f32.s32'), wordOf: word('cvt.rzi.s32.f32') },
    ...{ both: truth('and.pred'), either: truth('or.pred'), not: truth('not.pred') },
    choose: (condition, yes, no) => writer.operation('selp.b32', 'u32', [asBits(yes), asBits(no), condition]),
  };
}

/** A float that is written out as the word that it is. */
function asBits(value: Value): Value {
  const { known, dtype } = value;
  return dtype === 'f32' && known !== undefined ? literal(floatBits(known), 'u32') : value;
}
