/**
 * Reading and writing tensors: single elements and four neighbours, of any dtype. WebAssembly traps outside
 * of its memory only, so what a condition discards may be read anywhere in it: a read that might be further
 * from its tensor than the slack at both ends of memory is moved to the tensor's end.
 */

import type { TensorId } from '../../compiler/graph/graph.ts';
import { elementBytes } from '../../compiler/plan/storage-bytes.ts';
import { slackBytes } from '../../compiler/plan/wasm-memory.ts';
import type { Interval } from '../../compiler/tiles/tile-expression.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import { hasNaturalTerms, linearConstant, linearValue, plus, times } from '../writing/linear.ts';
import { type Buffer, callHelper, type Emission } from './emission.ts';
import type { HelperName } from './helpers.ts';
import type { InstructionName } from './instructions.ts';
import { type Linear, sumOf } from './linear.ts';
import { component, compose, literal, vectorLiteral } from './values.ts';
import type { Immediates, Value, Writer } from './writer.ts';

/** Where four neighbours of the tile being computed lie in a tensor. */
export type Places =
  | { readonly kind: 'strided'; readonly first: Linear; readonly stride: number }
  | { readonly kind: 'scattered'; readonly each: readonly Linear[] };

const lanes = [0, 1, 2, 3] as const;

function placeOf(places: Places, lane: number): Linear {
  return places.kind === 'strided'
    ? plus(places.first, linearConstant(lane * places.stride))
    : places.each[lane]!;
}

export function bufferOf(emission: Emission, tensor: TensorId): Buffer {
  const buffer = emission.buffers.get(tensor);
  if (buffer === undefined)
    throw new Error(`${emission.program.name} uses tensor ${tensor} without a buffer`);
  return buffer;
}

// ── how elements lie ───────────────────────────────────────────────────────────────────────────────────────

type Code =
  | { readonly kind: 'word' }
  | { readonly kind: 'upperHalf' }
  | { readonly kind: 'helpers'; readonly value: HelperName; readonly bits: HelperName }
  | { readonly kind: 'signed' | 'unsigned' | 'bool' };

const helpers = (value: HelperName, bits: HelperName): Code => ({ kind: 'helpers', value, bits });

const dtypeCodes: { readonly [D in Dtype]: Code } = {
  f32: { kind: 'word' },
  i32: { kind: 'word' },
  u32: { kind: 'word' },
  bf16: { kind: 'upperHalf' },
  f16: helpers('f16_value', 'f16_bits'),
  f8e4m3: helpers('f8e4m3_value', 'f8e4m3_bits'),
  f8e5m2: helpers('f8e5m2_value', 'f8e5m2_bits'),
  i8: { kind: 'signed' },
  u8: { kind: 'unsigned' },
  bool: { kind: 'bool' },
};

/** The value of an element's bits, with zeros before them, or their sign. */
function decode(emission: Emission, dtype: Dtype, bits: Value): Value {
  const code = dtypeCodes[dtype];
  const { arithmetic } = dtypeFacts[dtype];
  const { writer } = emission;
  const isFour = bits.width === 4;
  switch (code.kind) {
    case 'word':
    case 'signed':
    case 'unsigned':
      return { ...bits, dtype: arithmetic };
    case 'upperHalf': {
      const word = shifted(writer, 'shl', bits, 16);
      return isFour ? { ...word, dtype: 'f32' } : writer.instruction('f32.reinterpret_i32', 'f32', [word]);
    }
    case 'helpers':
      return ofBits(emission, code.value, bits);
    case 'bool':
      return isFour
        ? writer.instruction('i32x4.ne', 'bool', [bits, vectorLiteral(0, 'i32')])
        : writer.instruction('i32.ne', 'bool', [bits, literal(0, 'i32')]);
  }
}

/** A helper of bits that gives a float, on one element or four. */
function ofBits(emission: Emission, name: HelperName, bits: Value): Value {
  if (bits.width === 4) return callHelper(emission, name, 'f32', [bits]);
  const vector = emission.writer.instruction('i32x4.splat', 'i32', [bits]);
  return component(emission.writer, callHelper(emission, name, 'f32', [vector]), 0);
}

/** The bits of values to be stored in a narrow type, in the low part of a word each. */
function encode(emission: Emission, dtype: Dtype, value: Value): Value {
  const code = dtypeCodes[dtype];
  const { writer } = emission;
  const isFour = value.width === 4;
  const masked = (mask: number) =>
    isFour
      ? writer.instruction('v128.and', 'u32', [value, vectorLiteral(mask, 'u32')])
      : writer.instruction('i32.and', 'u32', [value, literal(mask, 'u32')]);
  const toBits = (name: HelperName) => {
    if (isFour) return callHelper(emission, name, 'u32', [value]);
    const vector = writer.instruction('f32x4.splat', 'f32', [value]);
    return component(writer, callHelper(emission, name, 'u32', [vector]), 0);
  };
  switch (code.kind) {
    case 'word':
      return value;
    case 'upperHalf':
      return toBits('bf16_bits');
    case 'helpers':
      return toBits(code.bits);
    case 'signed':
    case 'unsigned':
      return masked(255);
    case 'bool':
      return isFour ? masked(1) : { ...value, dtype: 'u32' };
  }
}

function shifted(writer: Writer, name: 'shl' | 'shr_s', value: Value, by: number): Value {
  return writer.instruction(value.width === 4 ? `i32x4.${name}` : `i32.${name}`, 'i32', [
    value,
    literal(by, 'i32'),
  ]);
}

/** Rounds to a storage type and reads back. */
export function roundTo(emission: Emission, dtype: Dtype, value: Value): Value {
  const { writer } = emission;
  switch (dtypeCodes[dtype].kind) {
    case 'word':
      return value;
    case 'signed':
      return { ...shifted(writer, 'shr_s', shifted(writer, 'shl', value, 24), 24), dtype: value.dtype };
    default:
      return decode(emission, dtype, encode(emission, dtype, value));
  }
}

// ── addresses ──────────────────────────────────────────────────────────────────────────────────────────────

interface Address {
  readonly base: Value;
  readonly offset: number;
}

function addressOf({ writer }: Emission, { pointer, tensor }: Buffer, place: Linear): Address {
  const bytes = times(place, elementBytes(tensor.dtype));
  const start = linearValue(pointer, { isNatural: true });
  // What the instruction adds does not wrap around, so that the rest must not be negative.
  return bytes.constant >= 0 && hasNaturalTerms(bytes)
    ? { base: sumOf(writer, plus(start, { ...bytes, constant: 0 })), offset: bytes.constant }
    : { base: sumOf(writer, plus(start, bytes)), offset: 0 };
}

/** The place as it is where all of `range` is near enough to the tensor, else brought there. */
function near({ writer }: Emission, { tensor, count }: Buffer, range: Interval, place: Linear): Linear {
  const slack = slackBytes / elementBytes(tensor.dtype) - 8;
  if (range.low >= -slack && range.high < count + slack) return place;
  const at = sumOf(writer, place);
  // Four neighbours may begin before the tensor and end behind it.
  const [low, high] = [literal(-4, 'i32'), literal(count, 'i32')];
  const isHigh = writer.instruction('i32.lt_s', 'bool', [high, at]);
  const below = writer.instruction('select', 'i32', [high, at, isHigh]);
  const isLow = writer.instruction('i32.lt_s', 'bool', [below, low]);
  return linearValue(writer.instruction('select', 'i32', [low, below, isLow]));
}

// ── reading ────────────────────────────────────────────────────────────────────────────────────────────────

/** Of the bits of an element narrower than a word, and of four. */
type Extended = 's' | 'u';

function extensionOf(dtype: Dtype): Extended {
  return dtypeCodes[dtype].kind === 'signed' ? 's' : 'u';
}

function read(emission: Emission, buffer: Buffer, name: InstructionName, place: Linear): Value {
  const { base, offset } = addressOf(emission, buffer, place);
  const immediates: Immediates = buffer.constant ? { offset } : { offset, version: `${buffer.version}` };
  return emission.writer.instruction(name, dtypeFacts[buffer.tensor.dtype].arithmetic, [base], immediates);
}

/**
 * One element, as its arithmetic type.
 * @param range of the place, wherever in the tile
 */
export function loadSingle(emission: Emission, tensor: TensorId, range: Interval, place: Linear): Value {
  const buffer = bufferOf(emission, tensor);
  return loadNear(emission, buffer, near(emission, buffer, range, place));
}

function loadNear(emission: Emission, buffer: Buffer, place: Linear): Value {
  return decode(emission, buffer.tensor.dtype, loadBits(emission, buffer, place));
}

/** An element as it is stored. */
function loadBits(emission: Emission, buffer: Buffer, place: Linear): Value {
  const { dtype } = buffer.tensor;
  const bytes = elementBytes(dtype) as 1 | 2 | 4;
  if (bytes === 4) return read(emission, buffer, dtype === 'f32' ? 'f32.load' : 'i32.load', place);
  const name = bytes === 1 ? (`i32.load8_${extensionOf(dtype)}` as const) : 'i32.load16_u';
  return { ...read(emission, buffer, name, place), dtype: 'u32' };
}

/** Four neighbours of the tile being computed: one access where they are neighbours in memory. */
export function loadFour(emission: Emission, tensor: TensorId, range: Interval, places: Places): Value {
  const buffer = bufferOf(emission, tensor);
  const { writer } = emission;
  const { dtype } = buffer.tensor;
  if (places.kind === 'scattered' || places.stride !== 1) {
    const parts = lanes.map((lane) =>
      loadBits(emission, buffer, near(emission, buffer, range, placeOf(places, lane))),
    );
    return decode(emission, dtype, compose(writer, parts));
  }
  const first = near(emission, buffer, range, places.first);
  switch (elementBytes(dtype) as 1 | 2 | 4) {
    case 4:
      return read(emission, buffer, 'v128.load', first);
    case 2:
      return decode(emission, dtype, { ...read(emission, buffer, 'v128.load16x4_u', first), dtype: 'u32' });
    case 1: {
      const bytes = read(emission, buffer, 'v128.load32_zero', first);
      const extended = extensionOf(dtype);
      const halves = writer.instruction(`i16x8.extend_low_i8x16_${extended}`, 'u32', [bytes]);
      return decode(
        emission,
        dtype,
        writer.instruction(`i32x4.extend_low_i16x8_${extended}`, 'u32', [halves]),
      );
    }
  }
}

// ── writing ────────────────────────────────────────────────────────────────────────────────────────────────

const singleStores: { readonly [B in 1 | 2]: InstructionName } = { 1: 'i32.store8', 2: 'i32.store16' };
const laneStores: { readonly [B in 1 | 2 | 4]: InstructionName } = {
  1: 'v128.store8_lane',
  2: 'v128.store16_lane',
  4: 'v128.store32_lane',
};

function guarded({ writer }: Emission, mask: Value | undefined, body: () => void): void {
  if (mask === undefined) body();
  else writer.if(mask, body);
}

export function storeOne(
  emission: Emission,
  tensor: TensorId,
  place: Linear,
  value: Value,
  mask: Value | undefined,
): void {
  const buffer = bufferOf(emission, tensor);
  const { dtype } = buffer.tensor;
  const bytes = elementBytes(dtype) as 1 | 2 | 4;
  guarded(emission, mask, () => {
    const { base, offset } = addressOf(emission, buffer, place);
    const name = bytes < 4 ? singleStores[bytes as 1 | 2] : dtype === 'f32' ? 'f32.store' : 'i32.store';
    emission.writer.do(name, [base, encode(emission, dtype, value)], { offset });
  });
  buffer.version++;
}

/** Stores four neighbours of the tile, each where its `mask` holds. */
export function storeFour(
  emission: Emission,
  tensor: TensorId,
  places: Places,
  value: Value,
  mask: Value | undefined,
): void {
  const buffer = bufferOf(emission, tensor);
  const { writer } = emission;
  const { dtype } = buffer.tensor;
  const bytes = elementBytes(dtype) as 1 | 2 | 4;
  const packed = pack(emission, bytes, encode(emission, dtype, value));
  if (places.kind === 'strided' && places.stride === 1 && mask?.width !== 4) {
    guarded(emission, mask, () => {
      const { base, offset } = addressOf(emission, buffer, places.first);
      if (bytes === 4) writer.do('v128.store', [base, packed], { offset });
      else
        writer.do(bytes === 2 ? 'v128.store64_lane' : 'v128.store32_lane', [base, packed], {
          offset,
          lane: 0,
        });
    });
  } else
    for (const lane of lanes)
      guarded(emission, mask && component(writer, mask, lane), () => {
        const { base, offset } = addressOf(emission, buffer, placeOf(places, lane));
        writer.do(laneStores[bytes], [base, packed], { offset, lane });
      });
  buffer.version++;
}

/** Four elements' bits side by side at the start of a vector. */
function pack({ writer }: Emission, bytes: 1 | 2 | 4, bits: Value): Value {
  if (bytes === 4) return bits;
  const halves = writer.instruction('i16x8.narrow_i32x4_u', 'u32', [bits, bits]);
  return bytes === 2 ? halves : writer.instruction('i8x16.narrow_i16x8_u', 'u32', [halves, halves]);
}
