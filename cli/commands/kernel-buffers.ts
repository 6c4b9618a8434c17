/**
 * Buffers of a kernel, of any element type that CUDA has: those of tensors, and wider or narrower numbers
 * that only kernels use. A value of 64 bits that is an integer is a bigint.
 */
import { elementCount } from '../../compiler/plan/storage-bytes.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { type Dtype, dtypeFacts, dtypes, isDtype } from '../../dsl/types/dtype.ts';
import { natural } from '../../dsl/types/size.ts';
import { npyBytes, npyOfElements, readNpy, readNpyElements } from '../../runtime/weights/npy.ts';
import { tensorFromValues, tensorValues } from '../../runtime/weights/tensor-data.ts';

/** An element type that no tensor has. */
interface OwnType {
  readonly bytes: number;
  readonly class: 'float' | 'signed' | 'unsigned';
  /** As .npy files name it. */
  readonly numpy: string;
  readonly read: (view: DataView, byte: number) => number | bigint;
  readonly write: (view: DataView, byte: number, value: number | bigint) => void;
}

const ownTypes = {
  f64: {
    ...{ bytes: 8, class: 'float', numpy: 'f8' },
    read: (view, byte) => view.getFloat64(byte, true),
    write: (view, byte, value) => view.setFloat64(byte, Number(value), true),
  },
  i64: {
    ...{ bytes: 8, class: 'signed', numpy: 'i8' },
    read: (view, byte) => view.getBigInt64(byte, true),
    write: (view, byte, value) => view.setBigInt64(byte, BigInt(value), true),
  },
  u64: {
    ...{ bytes: 8, class: 'unsigned', numpy: 'u8' },
    read: (view, byte) => view.getBigUint64(byte, true),
    write: (view, byte, value) => view.setBigUint64(byte, BigInt(value), true),
  },
  i16: {
    ...{ bytes: 2, class: 'signed', numpy: 'i2' },
    read: (view, byte) => view.getInt16(byte, true),
    write: (view, byte, value) => view.setInt16(byte, Number(value), true),
  },
  u16: {
    ...{ bytes: 2, class: 'unsigned', numpy: 'u2' },
    read: (view, byte) => view.getUint16(byte, true),
    write: (view, byte, value) => view.setUint16(byte, Number(value), true),
  },
} as const satisfies Readonly<Record<string, OwnType>>;

type OwnName = keyof typeof ownTypes;
export type BufferType = Dtype | OwnName;

export const bufferTypes: readonly BufferType[] = [...dtypes, ...(Object.keys(ownTypes) as OwnName[])];

export function isBufferType(name: string): name is BufferType {
  return (bufferTypes as readonly string[]).includes(name);
}

/** Row-major, little-endian. */
export interface BufferData {
  readonly type: BufferType;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

export function elementBytesOf(type: BufferType): number {
  return isDtype(type) ? dtypeFacts[type].bits / 8 : ownTypes[type].bytes;
}

export function isFloatBuffer(type: BufferType): boolean {
  return (isDtype(type) ? dtypeFacts[type] : ownTypes[type]).class === 'float';
}

/** Of digits, in tens or behind `0x` in sixteens: `-12`, `0xff`. */
export function parseWhole(text: string): bigint | undefined {
  if (!/^[+-]?(0x[\da-f]+|\d+)$/i.test(text)) return undefined;
  const digits = BigInt(text.replace(/^[+-]/, ''));
  return text.startsWith('-') ? -digits : digits;
}

/** A number as text, or nothing where the type has no such number. */
export function parseElement(text: string, type: BufferType): number | bigint | undefined {
  const trimmed = text.trim();
  const whole = isFloatBuffer(type) ? undefined : parseWhole(trimmed);
  if (whole !== undefined)
    return isInRange(whole, type) ? (elementBytesOf(type) === 8 ? whole : Number(whole)) : undefined;
  const number = Number(trimmed);
  if (trimmed === '' || (Number.isNaN(number) && trimmed.toLowerCase() !== 'nan')) return undefined;
  // An integer may be written as a float is, as 1e6.
  if (isFloatBuffer(type)) return number;
  if (!Number.isInteger(number) || !isInRange(BigInt(number), type)) return undefined;
  return elementBytesOf(type) === 8 ? BigInt(number) : number;
}

function isInRange(whole: bigint, type: BufferType): boolean {
  const kind = (isDtype(type) ? dtypeFacts[type] : ownTypes[type]).class;
  const bits = type === 'bool' ? 1n : BigInt(8 * elementBytesOf(type));
  return kind === 'signed'
    ? whole >= -(1n << (bits - 1n)) && whole < 1n << (bits - 1n)
    : whole >= 0n && whole < 1n << bits;
}

export function bufferOfValues(
  type: BufferType,
  shape: readonly number[],
  values: readonly (number | bigint)[],
): BufferData {
  if (isDtype(type)) return { type, shape, bytes: tensorFromValues(type, shape, values.map(Number)).bytes };
  const { bytes: size, write } = ownTypes[type];
  const bytes = new Uint8Array(size * values.length);
  const view = new DataView(bytes.buffer);
  for (const [at, value] of values.entries()) write(view, at * size, value);
  return { type, shape, bytes };
}

/** The same value in each element. */
export function filledBuffer(type: BufferType, shape: readonly number[], value: number | bigint): BufferData {
  const one = bufferOfValues(type, [1], [value]).bytes;
  const bytes = new Uint8Array(one.byteLength * elementCount(shape));
  for (let at = 0; at < bytes.byteLength; at += one.byteLength) bytes.set(one, at);
  return { type, shape, bytes };
}

/** Floats uniform in [−1, 1), bools even, other integers below 16: as those of tensors of 32 bits. */
export function randomBuffer(
  type: BufferType,
  shape: readonly number[],
  name: string,
  seed: number,
): BufferData {
  const dtype = isDtype(type) ? type : isFloatBuffer(type) ? 'f32' : 'i32';
  const wanted = { path: name, element: { kind: 'dtype', dtype }, dims: shape.map(natural) } as const;
  const tensor = randomInput(wanted, new Map(), seed);
  if (isDtype(type)) return { type, shape, bytes: new Uint8Array(tensor.bytes) };
  return bufferOfValues(type, shape, [...tensorValues(tensor)]);
}

/** With the elements that the file has, as they are. @throws UserError `file-access` or `malformed-file`. */
export function bufferOfFile(file: string): BufferData {
  const elements = readNpyElements(file);
  const own = Object.entries(ownTypes).find(([, { numpy }]) => numpy === elements.name)?.[0];
  if (own !== undefined) return { type: own as OwnName, shape: elements.shape, bytes: elements.bytes };
  const { dtype, shape, bytes } = readNpy(file);
  // The kernel writes into it: the file's own bytes may be at any place in a larger buffer.
  return { type: dtype, shape, bytes: new Uint8Array(bytes) };
}

export function npyOfBuffer({ type, shape, bytes }: BufferData): Uint8Array {
  return isDtype(type)
    ? npyBytes({ dtype: type, shape, bytes })
    : npyOfElements({ name: ownTypes[type].numpy, shape, bytes });
}

export function valuesOfBuffer({
  type,
  shape,
  bytes,
}: BufferData): readonly (number | bigint)[] | Float64Array {
  if (isDtype(type)) return tensorValues({ dtype: type, shape, bytes });
  const { bytes: size, read } = ownTypes[type];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: elementCount(shape) }, (_, at) => read(view, at * size));
}
