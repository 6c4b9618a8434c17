/**
 * NumPy's .npy files. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to
 * 3.
 */
import fs from 'node:fs';
import { elementCount } from '../../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { UserError } from '../errors.ts';
import { fileOf, malformed, type OpenFile, openDiskFile, readRange, withFile } from './files.ts';
import { computed, inFile, type StoredTensor } from './stored-tensor.ts';
import { type TensorData, tensorFromValues, tensorValues } from './tensor-data.ts';

/**
 * An element type of NumPy: which of ours it becomes, and how to read one where its bytes must be turned
 * around.
 */
interface NumpyType {
  readonly bytes: number;
  readonly dtype: Dtype;
  /** Where the bytes are not those of `dtype` already. */
  readonly convert?: (view: DataView, byte: number, littleEndian: boolean) => number;
}

const numpyTypes: ReadonlyMap<string, NumpyType> = new Map<string, NumpyType>([
  ['f2', { bytes: 2, dtype: 'f16' }],
  ['f4', { bytes: 4, dtype: 'f32' }],
  [
    'f8',
    { bytes: 8, dtype: 'f32', convert: (view, byte, littleEndian) => view.getFloat64(byte, littleEndian) },
  ],
  ['i1', { bytes: 1, dtype: 'i8' }],
  ['i4', { bytes: 4, dtype: 'i32' }],
  [
    'i8',
    {
      bytes: 8,
      dtype: 'i32',
      convert: (view, byte, littleEndian) => Number(view.getBigInt64(byte, littleEndian)),
    },
  ],
  ['u1', { bytes: 1, dtype: 'u8' }],
  ['u4', { bytes: 4, dtype: 'u32' }],
  ['b1', { bytes: 1, dtype: 'bool' }],
]);

const magic = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/**
 * Its header is checked at once, elements are read when asked for. float64 is rounded to f32, int64 becomes
 * i32 where all values fit; Fortran order is turned into row-major order, for which all elements are read.
 * @throws UserError `file-access` or `malformed-file`, naming the file and what is wrong.
 */
export function openNpy(file: string, open: OpenFile = openDiskFile): StoredTensor {
  const { header, dataStart, fileBytes } = withFile(file, 'read', () => readHeader(file, open));
  const { order, name, fortran, shape } = parseHeader(header, file);
  const type = numpyTypes.get(name);
  if (type === undefined)
    throw malformed(
      file,
      `its elements are ${name}; those that can be read: ${[...numpyTypes.keys()].join(', ')}`,
    );
  const expected = elementCount(shape) * type.bytes;
  if (expected !== fileBytes - dataStart)
    throw malformed(
      file,
      `[${shape.join(', ')}] of ${name} takes ${expected} bytes, and it has ${fileBytes - dataStart}`,
    );
  const place = { file, fileBytes, what: 'it', position: dataStart, elementBytes: type.bytes };
  const decode = (bytes: Uint8Array, own: readonly number[]) => decoded(bytes, own, type, order, file);
  const { dtype } = type;
  if (!fortran) return inFile({ ...place, dtype, shape, decode }, open);
  const reordered = (bytes: Uint8Array) => decode(fromFortranOrder(bytes, shape, type.bytes), shape);
  return computed({ dtype, shape }, inFile({ ...place, dtype, shape, decode: reordered }, open).read);
}

/**
 * From whatever can be read, a pipe too.
 * @throws UserError as `openNpy`
 */
export function readNpy(file: string): TensorData {
  return parseNpy(
    withFile(file, 'read', () => fs.readFileSync(file)),
    file,
  );
}

/** @throws UserError as `openNpy`; `file` is for its message */
export function parseNpy(bytes: Uint8Array, file: string): TensorData {
  return openNpy(file, () => fileOf(bytes)).read();
}

/** What a file has, whatever its type: row-major, little-endian. */
export interface NpyElements {
  /** As NumPy has it, without the order of bytes: `f8`, `u2`. */
  readonly name: string;
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** @throws UserError as `openNpy`, but for types that nothing here knows. */
export function readNpyElements(file: string): NpyElements {
  const all = withFile(file, 'read', () => fs.readFileSync(file));
  const { header, dataStart } = readHeader(file, () => fileOf(all));
  const { order, name, fortran, shape } = parseHeader(header, file);
  const size = Number(name.slice(1));
  const expected = elementCount(shape) * size;
  const data = new Uint8Array(all.subarray(dataStart));
  if (expected !== data.byteLength)
    throw malformed(
      file,
      `[${shape.join(', ')}] of ${name} takes ${expected} bytes, and it has ${data.byteLength}`,
    );
  const littleEndian = order === '>' ? reversed(data, size) : data;
  return { name, shape, bytes: fortran ? fromFortranOrder(littleEndian, shape, size) : littleEndian };
}

function decoded(
  data: Uint8Array,
  shape: readonly number[],
  type: NumpyType,
  order: '<' | '>',
  file: string,
): TensorData {
  if (type.convert !== undefined) return converted(data, shape, type, order === '<', file);
  const littleEndian = order === '>' ? reversed(data, type.bytes) : data;
  // Any byte but 0 is true in NumPy.
  const ours = type.dtype === 'bool' ? littleEndian.map((byte) => (byte === 0 ? 0 : 1)) : littleEndian;
  return { dtype: type.dtype, shape, bytes: ours };
}

function readHeader(file: string, open: OpenFile) {
  const opened = open(file);
  try {
    const bytes = readRange(opened, 0, 12);
    if (!magic.every((byte, index) => bytes[index] === byte)) throw malformed(file, 'is not a .npy file');
    const version = bytes[6] ?? 0;
    if (version < 1 || version > 3) throw malformed(file, `version ${version} of .npy is not known`);
    const start = version === 1 ? 10 : 12;
    if (bytes.byteLength < start) throw malformed(file, 'truncated in its header');
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
    if (opened.bytes < start + length) throw malformed(file, 'truncated in its header');
    const text = new TextDecoder(version === 3 ? 'utf-8' : 'latin1');
    const header = text.decode(readRange(opened, start, length));
    return { header, dataStart: start + length, fileBytes: opened.bytes };
  } finally {
    opened.close();
  }
}

/** The header is the text of a Python dictionary with exactly these three keys. */
function parseHeader(header: string, file: string) {
  const field = (key: string, value: string) => new RegExp(`['"]${key}['"]\\s*:\\s*${value}`).exec(header);
  const descr = field('descr', `['"]([<>|=])([a-zA-Z]\\d+)['"]`);
  const fortran = field('fortran_order', '(True|False)');
  const shape = field('shape', '\\(\\s*((?:\\d+\\s*,\\s*)*(?:\\d+)?)\\s*,?\\s*\\)');
  if (descr === null) throw malformed(file, 'its header has no descr of one element type');
  if (fortran === null) throw malformed(file, 'its header has no fortran_order');
  if (shape === null) throw malformed(file, 'its header has no shape');
  const extents = shape[1]!.split(',').flatMap((text) => (text.trim() === '' ? [] : [Number(text)]));
  if (!extents.every(Number.isSafeInteger) || !Number.isSafeInteger(elementCount(extents)))
    throw malformed(file, 'its shape is too large for any file');
  // `=` is the order of the machine that wrote it, `|` that of single bytes.
  const order = descr[1] === '>' ? ('>' as const) : ('<' as const);
  return { order, name: descr[2]!, fortran: fortran[1] === 'True', shape: extents };
}

function fromFortranOrder(data: Uint8Array, shape: readonly number[], bytes: number): Uint8Array {
  const result = new Uint8Array(data.byteLength);
  const position = shape.map(() => 0);
  for (let from = 0; from < data.byteLength; from += bytes) {
    const to = position.reduce((sum, at, axis) => sum * shape[axis]! + at, 0) * bytes;
    result.set(data.subarray(from, from + bytes), to);
    // The first axis runs fastest.
    for (let axis = 0; axis < shape.length; axis++) {
      position[axis]!++;
      if (position[axis]! < shape[axis]!) break;
      position[axis] = 0;
    }
  }
  return result;
}

function reversed(data: Uint8Array, bytes: number): Uint8Array {
  const result = new Uint8Array(data.byteLength);
  for (let index = 0; index < data.byteLength; index++)
    result[index] = data[index - (index % bytes) + (bytes - 1 - (index % bytes))]!;
  return result;
}

function converted(
  data: Uint8Array,
  shape: readonly number[],
  { bytes, dtype, convert }: NumpyType,
  littleEndian: boolean,
  file: string,
): TensorData {
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  const values = Float64Array.from({ length: elementCount(shape) }, (_, index) =>
    convert!(view, index * bytes, littleEndian),
  );
  const outside = dtype === 'i32' ? values.find((value) => value !== (value | 0)) : undefined;
  if (outside !== undefined) throw malformed(file, `${outside} does not fit in i32`);
  return tensorFromValues(dtype, shape, values);
}

// ── writing ────────────────────────────────────────────────────────────────────────────────────────────────

const numpyNames = new Map<Dtype, string>(
  [...numpyTypes].flatMap(([name, type]) =>
    type.convert === undefined ? [[type.dtype, name] as const] : [],
  ),
);

/**
 * A file of version 1, row-major. bf16 and f8, which NumPy lacks, are written as f32, which holds them
 * exactly.
 * @throws UserError `file-access` when the shape is too long for the format.
 */
export function npyBytes(tensor: TensorData): Uint8Array {
  const name = numpyNames.get(tensor.dtype);
  if (name === undefined) return npyBytes(tensorFromValues('f32', tensor.shape, tensorValues(tensor)));
  return npyOfElements({ name, shape: tensor.shape, bytes: tensor.bytes });
}

/** @throws UserError `file-access` as `npyBytes`. */
export function npyOfElements({ name, shape, bytes }: NpyElements): Uint8Array {
  const shapeText = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const descr = `${name.endsWith('1') ? '|' : '<'}${name}`;
  const dictionary = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shapeText}, }`;
  // Elements begin at a multiple of 64 bytes; the header ends with a new line.
  const start = Math.ceil((magic.length + 4 + dictionary.length + 1) / 64) * 64;
  if (start - 10 > 0xffff)
    throw new UserError('file-access', 'a shape this long does not fit .npy', 'write .safetensors');
  const header = Buffer.alloc(start, ' ');
  header.set([...magic, 1, 0]);
  header.writeUInt16LE(start - 10, 8);
  header.write(dictionary, 10, 'latin1');
  header[start - 1] = 0x0a;
  return Buffer.concat([header, bytes]);
}
