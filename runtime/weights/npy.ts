/**
 * NumPy's .npy files. https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1 to
 * 3.
 */
import fs from 'node:fs';
import { elementCount } from '../../compiler/plan/storage-bytes.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import { UserError } from '../errors.ts';
import { malformed, withFile } from './files.ts';
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

/** @throws UserError `file-access` or `malformed-file`. */
export function readNpy(file: string): TensorData {
  return parseNpy(
    withFile(file, 'read', () => fs.readFileSync(file)),
    file,
  );
}

/**
 * float64 is rounded to f32, int64 becomes i32 where all values fit; Fortran order is turned into row-major
 * order.
 * @throws UserError `malformed-file`, naming the file and what is wrong.
 */
export function parseNpy(bytes: Uint8Array, file: string): TensorData {
  const { header, data } = splitHeader(bytes, file);
  const { order, name, fortran, shape } = parseHeader(header, file);
  const type = numpyTypes.get(name);
  if (type === undefined)
    throw malformed(
      file,
      `its elements are ${name}; those that can be read: ${[...numpyTypes.keys()].join(', ')}`,
    );
  const expected = elementCount(shape) * type.bytes;
  if (expected !== data.byteLength)
    throw malformed(
      file,
      `[${shape.join(', ')}] of ${name} takes ${expected} bytes, and it has ${data.byteLength}`,
    );
  const rowMajor = fortran ? fromFortranOrder(data, shape, type.bytes) : data;
  if (type.convert !== undefined) return converted(rowMajor, shape, type, order === '<', file);
  const littleEndian = order === '>' ? reversed(rowMajor, type.bytes) : new Uint8Array(rowMajor);
  // Any byte but 0 is true in NumPy.
  const ours = type.dtype === 'bool' ? littleEndian.map((byte) => (byte === 0 ? 0 : 1)) : littleEndian;
  return { dtype: type.dtype, shape, bytes: ours };
}

function splitHeader(bytes: Uint8Array, file: string): { header: string; data: Uint8Array } {
  if (!magic.every((byte, index) => bytes[index] === byte)) throw malformed(file, 'is not a .npy file');
  const version = bytes[6] ?? 0;
  if (version < 1 || version > 3) throw malformed(file, `version ${version} of .npy is not known`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const start = version === 1 ? 10 : 12;
  if (bytes.byteLength < start) throw malformed(file, 'truncated in its header');
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  if (bytes.byteLength < start + length) throw malformed(file, 'truncated in its header');
  const text = new TextDecoder(version === 3 ? 'utf-8' : 'latin1');
  return { header: text.decode(bytes.subarray(start, start + length)), data: bytes.subarray(start + length) };
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
  const order = descr[1] === '>' ? '>' : '<';
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
  const { shape } = tensor;
  const shapeText = shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
  const descr = `${dtypeFacts[tensor.dtype].bits === 8 ? '|' : '<'}${name}`;
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
  return Buffer.concat([header, tensor.bytes]);
}
