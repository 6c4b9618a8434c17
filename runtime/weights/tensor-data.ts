/** Tensors in main memory, as files and devices hold them, and their values as numbers. */
import { elementBytes, elementCount, packedBytes, typeText } from '../../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { UserError } from '../errors.ts';

/** Dense, row-major, little-endian, elements packed without gaps; a bool is a byte, 0 or 1. */
export interface TensorData {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** How one element is stored. Values come from and go to float64, rounded once, to nearest, ties to even. */
interface ElementCodec {
  readonly read: (view: DataView, byte: number) => number;
  readonly write: (view: DataView, byte: number, value: number) => void;
}

/** A binary floating-point format narrower than f32. */
interface FloatFormat {
  readonly mantissaBits: number;
  readonly bias: number;
  readonly signBit: number;
  /** The code of the largest finite value; what is larger becomes `overflow`. */
  readonly largest: number;
  readonly overflow: number;
  readonly nan: number;
}

const bf16: FloatFormat = {
  mantissaBits: 7,
  bias: 127,
  signBit: 0x8000,
  largest: 0x7f7f,
  overflow: 0x7f80,
  nan: 0x7fc0,
};
const f16: FloatFormat = {
  mantissaBits: 10,
  bias: 15,
  signBit: 0x8000,
  largest: 0x7bff,
  overflow: 0x7c00,
  nan: 0x7e00,
};
/**
 * OCP 8-bit floating point, 2023: E4M3 has no infinities, so that 448 is its largest value, and overflow is
 * NaN.
 */
const f8e4m3: FloatFormat = {
  mantissaBits: 3,
  bias: 7,
  signBit: 0x80,
  largest: 0x7e,
  overflow: 0x7f,
  nan: 0x7f,
};
const f8e5m2: FloatFormat = {
  mantissaBits: 2,
  bias: 15,
  signBit: 0x80,
  largest: 0x7b,
  overflow: 0x7c,
  nan: 0x7e,
};

const scratch = new DataView(new ArrayBuffer(8));

/** The exponent of the leading bit of a positive double; for subnormal ones, one below all others. */
function exponentOf(value: number): number {
  scratch.setFloat64(0, value);
  return ((scratch.getUint32(0) >>> 20) & 0x7ff) - 1023;
}

function roundTiesToEven(value: number): number {
  const floor = Math.floor(value);
  const fraction = value - floor;
  return fraction > 0.5 || (fraction === 0.5 && floor % 2 === 1) ? floor + 1 : floor;
}

function encode(value: number, format: FloatFormat): number {
  if (Number.isNaN(value)) return format.nan;
  const sign = value < 0 || Object.is(value, -0) ? format.signBit : 0;
  const magnitude = Math.abs(value);
  if (magnitude === Number.POSITIVE_INFINITY) return sign | format.overflow;
  const exponent = Math.max(exponentOf(magnitude), 1 - format.bias);
  // In units of the last place. A carry into the next power of two lands on the right code by itself.
  const units = roundTiesToEven(magnitude * 2 ** (format.mantissaBits - exponent));
  const code = (exponent + format.bias - 1) * 2 ** format.mantissaBits + units;
  return sign | (code > format.largest ? format.overflow : code);
}

function decode(code: number, format: FloatFormat): number {
  const magnitude = code & (format.signBit - 1);
  const sign = code & format.signBit ? -1 : 1;
  if (magnitude > format.largest)
    return magnitude === format.overflow && format.overflow !== format.nan
      ? sign * Number.POSITIVE_INFINITY
      : Number.NaN;
  const fraction = magnitude & (2 ** format.mantissaBits - 1);
  const exponent = magnitude >>> format.mantissaBits;
  const implied = exponent === 0 ? 0 : 2 ** format.mantissaBits;
  return sign * (implied + fraction) * 2 ** (Math.max(exponent, 1) - format.bias - format.mantissaBits);
}

function float8(format: FloatFormat): ElementCodec {
  return {
    read: (view, byte) => decode(view.getUint8(byte), format),
    write: (view, byte, value) => view.setUint8(byte, encode(value, format)),
  };
}

function float16(format: FloatFormat): ElementCodec {
  return {
    read: (view, byte) => decode(view.getUint16(byte, true), format),
    write: (view, byte, value) => view.setUint16(byte, encode(value, format), true),
  };
}

/** Truncated towards zero, saturating; NaN gives 0: as everywhere in the language. */
function toInteger(value: number, least: number, greatest: number): number {
  return Number.isNaN(value) ? 0 : Math.min(greatest, Math.max(least, Math.trunc(value)));
}

const codecs: { readonly [D in Dtype]: ElementCodec } = {
  f32: {
    read: (view, byte) => view.getFloat32(byte, true),
    write: (view, byte, value) => view.setFloat32(byte, value, true),
  },
  bf16: float16(bf16),
  f16: float16(f16),
  f8e4m3: float8(f8e4m3),
  f8e5m2: float8(f8e5m2),
  i32: {
    read: (view, byte) => view.getInt32(byte, true),
    write: (view, byte, value) => view.setInt32(byte, toInteger(value, -(2 ** 31), 2 ** 31 - 1), true),
  },
  u32: {
    read: (view, byte) => view.getUint32(byte, true),
    write: (view, byte, value) => view.setUint32(byte, toInteger(value, 0, 2 ** 32 - 1), true),
  },
  i8: {
    read: (view, byte) => view.getInt8(byte),
    write: (view, byte, value) => view.setInt8(byte, toInteger(value, -128, 127)),
  },
  u8: {
    read: (view, byte) => view.getUint8(byte),
    write: (view, byte, value) => view.setUint8(byte, toInteger(value, 0, 255)),
  },
  bool: {
    read: (view, byte) => (view.getUint8(byte) === 0 ? 0 : 1),
    write: (view, byte, value) => view.setUint8(byte, value === 0 ? 0 : 1),
  },
};

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** `values` in row-major order, rounded to `dtype`; one for each element. */
export function tensorFromValues(
  dtype: Dtype,
  shape: readonly number[],
  values: ArrayLike<number>,
): TensorData {
  const count = elementCount(shape);
  if (values.length !== count)
    throw new RangeError(`${typeText({ dtype, shape })} takes ${count} values, not ${values.length}`);
  const bytes = new Uint8Array(packedBytes({ dtype, shape }));
  const view = viewOf(bytes);
  const [codec, size] = [codecs[dtype], elementBytes(dtype)];
  for (let index = 0; index < count; index++) codec.write(view, index * size, values[index]!);
  return { dtype, shape, bytes };
}

/** In row-major order; all dtypes are exact in float64. A bool is 0 or 1. */
export function tensorValues(tensor: TensorData): Float64Array {
  const view = viewOf(tensor.bytes);
  const [codec, size] = [codecs[tensor.dtype], elementBytes(tensor.dtype)];
  const values = new Float64Array(elementCount(tensor.shape));
  for (let index = 0; index < values.length; index++) values[index] = codec.read(view, index * size);
  return values;
}

/**
 * @throws UserError `wrong-input` when the bytes are not those of the type. `what` is the subject of the
 * message.
 */
export function checkTensorBytes(what: string, tensor: TensorData): void {
  const expected = packedBytes(tensor);
  if (tensor.bytes.byteLength !== expected)
    throw new UserError(
      'wrong-input',
      `${what} is ${typeText(tensor)}, which is ${expected} bytes, but has ${tensor.bytes.byteLength}`,
      'give all elements, packed, in row-major order',
    );
}

/** @throws UserError `wrong-input` when an element does not index a dimension of size `range`. */
export function checkIndices(what: string, tensor: TensorData, range: number): void {
  const values = tensorValues(tensor);
  const place = values.findIndex((value) => value < 0 || value >= range);
  if (place < 0) return;
  throw new UserError(
    'wrong-input',
    `${what} has ${values[place]} at position ${place}, which does not index a dimension of ${range}`,
    range === 0 ? 'choose a size of at least 1' : `give values from 0 to ${range - 1}`,
  );
}
