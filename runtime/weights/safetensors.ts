/** Safetensors files: one, or several with an index, as Hugging Face checkpoints have them. */
import fs from 'node:fs';
import path from 'node:path';
import { elementBytes, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { UserError } from '../errors.ts';
import { malformed, type OpenFile, openDiskFile, readRange, withFile, writeWhole } from './files.ts';
import { fileDtypes, type HeaderTensor, maxHeaderBytes, parseHeader } from './safetensors-header.ts';
import { type FileTensor, inFile, type StoredTensor } from './stored-tensor.ts';
import { type TensorData, tensorFromValues } from './tensor-data.ts';

/** Tensors in files: all headers are checked at once, elements are read when asked for. */
export interface TensorSource {
  /** In alphabetical order. */
  readonly names: readonly string[];
  readonly has: (name: string) => boolean;
  readonly metadata: ReadonlyMap<string, string>;
  /** @throws UserError when there is no such tensor, or its elements are of a type that cannot be read. */
  readonly tensor: (name: string) => StoredTensor;
}

const lengthBytes = 8;
const indexName = 'model.safetensors.index.json';

/**
 * Opens a safetensors file, an index of several, or a folder with `model.safetensors` or such an index.
 * @throws UserError `file-access` or `malformed-file`, naming the file and what is wrong.
 */
export function openSafetensors(location: string, open: OpenFile = openDiskFile): TensorSource {
  const isFolder = withFile(location, 'read', () => fs.statSync(location).isDirectory());
  if (isFolder) {
    const index = path.join(location, indexName);
    return fs.existsSync(index)
      ? openIndex(index, open)
      : openOne(path.join(location, 'model.safetensors'), open);
  }
  return location.endsWith('.json') ? openIndex(location, open) : openOne(location, open);
}

function openOne(file: string, open: OpenFile): TensorSource {
  const { tensors, metadata, dataStart, fileBytes } = withFile(file, 'read', () => readHeader(file, open));
  return {
    names: [...tensors.keys()].sort(),
    has: (name) => tensors.has(name),
    metadata,
    tensor: (name) => {
      const tensor = tensors.get(name);
      if (tensor === undefined) throw noTensor(file, name);
      return inFile({ file, fileBytes, ...placeOf(file, name, tensor, dataStart) }, open);
    },
  };
}

function noTensor(file: string, name: string): UserError {
  return new UserError(
    'wrong-input',
    `${file} has no tensor ${name}`,
    'check the name, or give another file',
  );
}

function readHeader(file: string, open: OpenFile) {
  const opened = open(file);
  try {
    const size = opened.bytes;
    if (size < lengthBytes) throw malformed(file, `truncated: ${size} bytes are no safetensors file`);
    const length = readRange(opened, 0, lengthBytes);
    const headerBytes = Number(new DataView(length.buffer).getBigUint64(0, true));
    if (headerBytes > maxHeaderBytes)
      throw malformed(file, `not a safetensors file, or its header is over ${maxHeaderBytes} bytes`);
    if (lengthBytes + headerBytes > size)
      throw malformed(
        file,
        `truncated: its header takes ${headerBytes} bytes, and it has ${size - lengthBytes}`,
      );
    const dataStart = lengthBytes + headerBytes;
    const header = parseHeader(file, readRange(opened, lengthBytes, headerBytes), size - dataStart);
    return { ...header, dataStart, fileBytes: size };
  } finally {
    opened.close();
  }
}

function placeOf(
  file: string,
  name: string,
  { fileDtype, shape, begin }: HeaderTensor,
  dataStart: number,
): Omit<FileTensor, 'file' | 'fileBytes'> {
  const { dtype, convert, bytes: elementBytes } = fileDtypes.get(fileDtype)!;
  if (dtype === undefined)
    throw new UserError(
      'wrong-input',
      `${file}: tensor ${name} is ${fileDtype}, which Ricci does not have`,
      'convert it to one of F32, BF16, F16, I32, U32, I8, U8, BOOL',
    );
  const place = { what: `tensor ${name}`, position: dataStart + begin, elementBytes, dtype, shape };
  if (convert === undefined) return place;
  return { ...place, decode: (bytes, own) => converted(file, name, bytes, { dtype, shape: own }, convert) };
}

function converted(
  file: string,
  name: string,
  bytes: Uint8Array,
  { dtype, shape }: Pick<TensorData, 'dtype' | 'shape'>,
  convert: 'i64' | 'f64',
): TensorData {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const values = Float64Array.from({ length: bytes.byteLength / 8 }, (_, index) =>
    convert === 'i64' ? Number(view.getBigInt64(index * 8, true)) : view.getFloat64(index * 8, true),
  );
  const outside = convert === 'i64' ? values.find((value) => value !== (value | 0)) : undefined;
  if (outside !== undefined) throw malformed(file, `tensor ${name}: ${outside} does not fit in i32`);
  return tensorFromValues(dtype, shape, values);
}

// ── several files ──────────────────────────────────────────────────────────────────────────────────────────

function openIndex(index: string, open: OpenFile): TensorSource {
  const places = readIndex(index);
  const opened = new Map<string, TensorSource>();
  const metadata = new Map<string, string>();
  for (const [name, file] of places) {
    const source = opened.get(file) ?? openOne(path.join(path.dirname(index), file), open);
    opened.set(file, source);
    if (!source.has(name)) throw malformed(index, `${file} has no tensor ${name}`);
    for (const [key, text] of source.metadata) metadata.set(key, text);
  }
  return {
    names: [...places.keys()].sort(),
    has: (name) => places.has(name),
    metadata,
    tensor: (name) => {
      const file = places.get(name);
      if (file === undefined) throw noTensor(index, name);
      return opened.get(file)!.tensor(name);
    },
  };
}

/** The file of each tensor. */
function readIndex(index: string): Map<string, string> {
  const text = withFile(index, 'read', () => fs.readFileSync(index, 'utf8'));
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw malformed(index, 'is not JSON');
  }
  const map = (value as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== 'object' || map === null) throw malformed(index, 'has no weight_map');
  const places = new Map<string, string>();
  for (const [name, file] of Object.entries(map)) {
    // Beside the index, and nowhere else.
    if (typeof file !== 'string' || path.basename(file) !== file || file === '..' || file === '')
      throw malformed(index, `weight_map.${name} is not the name of a file`);
    places.set(name, file);
  }
  return places;
}

// ── writing ────────────────────────────────────────────────────────────────────────────────────────────────

const namesOfDtypes = new Map<Dtype, string>(
  [...fileDtypes].flatMap(([name, { dtype, convert }]) =>
    dtype === undefined || convert !== undefined ? [] : [[dtype, name] as const],
  ),
);

/**
 * Wider elements first, then by name, as the reference implementation does: the same tensors give the same
 * bytes. The file appears whole or not at all.
 * @throws UserError `file-access`.
 */
export function writeSafetensors(
  file: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata: ReadonlyMap<string, string> = new Map(),
): void {
  const inOrder = [...tensors].sort(
    ([leftName, left], [rightName, right]) =>
      elementBytes(right.dtype) - elementBytes(left.dtype) || (leftName < rightName ? -1 : 1),
  );
  let position = 0;
  const entries = inOrder.map(([name, tensor]) => {
    const begin = position;
    position += packedBytes(tensor);
    const { dtype, shape } = tensor;
    return [name, { dtype: namesOfDtypes.get(dtype), shape, data_offsets: [begin, position] }] as const;
  });
  const about = [...metadata].sort(([left], [right]) => (left < right ? -1 : 1));
  const header = Object.fromEntries([
    ...(about.length === 0 ? [] : [['__metadata__', Object.fromEntries(about)] as const]),
    ...entries,
  ]);
  const json = Buffer.from(JSON.stringify(header));
  // Padded with spaces, so that elements are aligned in a file that is mapped into memory.
  const padded = Buffer.alloc(Math.ceil(json.byteLength / lengthBytes) * lengthBytes, ' ');
  json.copy(padded);
  const length = Buffer.alloc(lengthBytes);
  length.writeBigUInt64LE(BigInt(padded.byteLength));
  writeWhole(file, [length, padded, ...inOrder.map(([, tensor]) => tensor.bytes)]);
}
