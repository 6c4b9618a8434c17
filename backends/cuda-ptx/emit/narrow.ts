/** How elements that are narrower than a word are read from bits, and written as bits. */
import { type Dtype, dtypeFacts } from '../../../dsl/types/dtype.ts';
import {
  bitsOfNarrow,
  f8e4m3,
  f8e5m2,
  type NarrowFloat,
  valueOfNarrow,
} from '../../formulas/narrow-floats.ts';
import { scalarOperations } from './scalar-operations.ts';
import { literal, type Value } from './values.ts';
import type { Writer } from './writer.ts';

export function bytesOf(dtype: Dtype): 1 | 2 | 4 {
  return (dtypeFacts[dtype].bits / 8) as 1 | 2 | 4;
}

interface Narrow {
  /** What the low bits of a word are, whatever is above them. */
  readonly decode: (writer: Writer, bits: Value) => Value;
  /** Low bits of a word; what is above them is any. */
  readonly encode: (writer: Writer, value: Value) => Value;
}

const narrowFloat = (form: NarrowFloat): Narrow => ({
  decode: (writer, bits) => ({ ...valueOfNarrow(scalarOperations(writer), form, bits), dtype: 'f32' }),
  encode: (writer, value) => bitsOfNarrow(scalarOperations(writer), form, value),
});

/** The upper half is of zero. */
const packed =
  (opcode: string): Narrow['encode'] =>
  (writer, value) =>
    writer.operation(opcode, 'u32', [literal(0, 'f32'), value]);

const extended = (type: 'u32' | 's32', dtype: 'u32' | 'i32'): Narrow => ({
  decode: (writer, bits) =>
    writer.operation(`bfe.${type}`, dtype, [bits, literal(0, 'u32'), literal(8, 'u32')]),
  encode: (_, value) => value,
});

/** undefined: stored as it is, in a word. */
const narrowForms: { readonly [D in Dtype]: Narrow | undefined } = {
  f32: undefined,
  i32: undefined,
  u32: undefined,
  bf16: {
    decode: (writer, bits) => writer.operation('shl.b32', 'f32', [bits, literal(16, 'u32')]),
    encode: packed('cvt.rn.bf16x2.f32'),
  },
  f16: {
    decode: (writer, bits) =>
      writer.operation('cvt.f32.f16', 'f32', [writer.operation('cvt.u16.u32', 'half', [bits])]),
    encode: packed('cvt.rn.f16x2.f32'),
  },
  f8e4m3: narrowFloat(f8e4m3),
  f8e5m2: narrowFloat(f8e5m2),
  i8: extended('s32', 'i32'),
  u8: extended('u32', 'u32'),
  bool: {
    decode: (writer, bits) => {
      const byte = writer.operation('and.b32', 'u32', [bits, literal(255, 'u32')]);
      return writer.operation('setp.ne.u32', 'bool', [byte, literal(0, 'u32')]);
    },
    encode: (writer, value) =>
      value.known === undefined
        ? writer.operation('selp.b32', 'u32', [literal(1, 'u32'), literal(0, 'u32'), value])
        : literal(value.known, 'u32'),
  },
};

/** The value of an element whose bits are the low ones of a word. */
export function decoded(writer: Writer, dtype: Dtype, bits: Value): Value {
  const form = narrowForms[dtype];
  return form === undefined ? { ...bits, dtype: dtypeFacts[dtype].arithmetic } : form.decode(writer, bits);
}

/** The bits of an element, the low ones of a word; what is above them is any. */
export function encoded(writer: Writer, dtype: Dtype, value: Value): Value {
  return narrowForms[dtype]?.encode(writer, value) ?? value;
}

/** The value rounded to what the dtype holds. */
export function roundedTo(writer: Writer, dtype: Dtype, value: Value): Value {
  return narrowForms[dtype] === undefined ? value : decoded(writer, dtype, encoded(writer, dtype, value));
}

/** Four elements of words that lie side by side: of four, two or one. */
export function unpacked(writer: Writer, dtype: Dtype, words: readonly Value[]): readonly Value[] {
  const bytes = bytesOf(dtype);
  return [0, 1, 2, 3].map((at) => {
    const word = words[(at * bytes) >> 2]!;
    const shift = (at * bytes * 8) % 32;
    const bits = shift === 0 ? word : writer.operation('shr.u32', 'u32', [word, literal(shift, 'u32')]);
    return decoded(writer, dtype, bits);
  });
}

/** Two f32 in one word, the upper first. */
const pairs: { readonly [D in Dtype]?: string } = {
  bf16: 'cvt.rn.bf16x2.f32',
  f16: 'cvt.rn.f16x2.f32',
};

/** The words of four elements. */
export function packedWords(writer: Writer, dtype: Dtype, values: readonly Value[]): readonly Value[] {
  const pair = pairs[dtype];
  if (pair !== undefined)
    return [0, 2].map((at) => writer.operation(pair, 'u32', [values[at + 1]!, values[at]!]));
  const bits = values.map((value) => encoded(writer, dtype, value));
  const half = (low: Value, high: Value, selector: number) =>
    writer.operation('prmt.b32', 'u32', [low, high, literal(selector, 'u32')]);
  switch (bytesOf(dtype)) {
    case 4:
      return bits;
    case 2:
      return [half(bits[0]!, bits[1]!, 0x5410), half(bits[2]!, bits[3]!, 0x5410)];
    case 1: {
      const [low, high] = [half(bits[0]!, bits[1]!, 0x40), half(bits[2]!, bits[3]!, 0x40)];
      return [half(low, high, 0x5410)];
    }
  }
}
