/**
 * safetensors files (https://github.com/huggingface/safetensors): an 8-byte little-endian header length, a JSON header
 * {name: {dtype, shape, data_offsets}}, then the tensors' bytes. Also several files with an index (`…index.json`).
 */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, fstatSync, openSync, readFileSync, readSync, renameSync, rmSync, statSync, writeSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { z } from 'zod';
import { packedBytes, typeText } from '../../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { UserError } from '../errors.ts';
import type { TensorData } from './tensor-data.ts';

/** A file of tensors, read one by one. */
export interface TensorSource {
  readonly names: readonly string[];
  readonly metadata: ReadonlyMap<string, string>;
  readonly has: (name: string) => boolean;
  /** @throws UserError when there is none of that name, or it cannot be read. */
  readonly read: (name: string) => TensorData;
  readonly close: () => void;
}

const dtypeNames: { readonly [D in Dtype]: string } = {
  f32: 'F32',
  bf16: 'BF16',
  f16: 'F16',
  f8e4m3: 'F8_E4M3',
  f8e5m2: 'F8_E5M2',
  i32: 'I32',
  u32: 'U32',
  i8: 'I8',
  u8: 'U8',
  bool: 'BOOL',
};
const dtypeOf = new Map(Object.entries(dtypeNames).map(([dtype, name]) => [name, dtype as Dtype]));

/** The format's own limit. */
const mostHeaderBytes = 100_000_000;

const entrySchema = z.object({
  dtype: z.string(),
  shape: z.array(z.number().int().min(0).max(Number.MAX_SAFE_INTEGER)),
  data_offsets: z.tuple([z.number().int().min(0), z.number().int().min(0)]),
});

interface Entry {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** In the file. */
  readonly start: number;
  readonly bytes: number;
}

function malformed(file: string, what: string): UserError {
  return new UserError('malformed-file', `${file}: ${what}`, 'this is read as a safetensors file');
}

/**
 * Opens a safetensors file, an index of several, or a folder that has `model.safetensors` or its index.
 * @throws UserError for what is missing or malformed.
 */
export function openSafetensors(path: string): TensorSource {
  if (!existsSync(path)) throw new UserError('file-access', `${path}: there is no such file`, 'check the path');
  if (!statSync(path).isDirectory()) return path.endsWith('.json') ? openIndexed(path) : openFile(path);
  const [single, index] = [join(path, 'model.safetensors'), join(path, 'model.safetensors.index.json')];
  if (existsSync(index)) return openIndexed(index);
  if (existsSync(single)) return openFile(single);
  throw new UserError(
    'file-access',
    `${path}: has neither model.safetensors nor model.safetensors.index.json`,
    'give the folder of a checkpoint, or a safetensors file',
  );
}

function openFile(path: string): TensorSource {
  const file = openSync(path, 'r');
  try {
    const { entries, metadata } = readHeader(file, path);
    return {
      names: [...entries.keys()],
      metadata,
      has: (name) => entries.has(name),
      read: (name) => {
        const entry = entries.get(name);
        if (entry === undefined) throw noTensor(path, name, entries.keys());
        const bytes = readRange(file, path, entry.start, entry.bytes);
        return { dtype: entry.dtype, shape: entry.shape, bytes };
      },
      close: () => closeSync(file),
    };
  } catch (error) {
    closeSync(file);
    throw error;
  }
}

function noTensor(path: string, name: string, names: Iterable<string>): UserError {
  const all = [...names];
  const shown = `${all.slice(0, 8).join(', ')}${all.length > 8 ? ` and ${all.length - 8} more` : ''}`;
  return new UserError('wrong-input', `${path}: there is no tensor ${name}`, `it has ${shown}`);
}

function readRange(file: number, path: string, start: number, count: number): Uint8Array {
  const bytes = new Uint8Array(count);
  let done = 0;
  while (done < count) {
    const read = readSync(file, bytes, done, Math.min(count - done, 2 ** 30), start + done);
    if (read === 0) throw malformed(path, `ends ${count - done} bytes early`);
    done += read;
  }
  return bytes;
}

function readHeader(file: number, path: string): { entries: Map<string, Entry>; metadata: Map<string, string> } {
  const { size } = fstatSync(file);
  if (size < 8) throw malformed(path, `is ${size} bytes long: too short for a header`);
  const length = Number(new DataView(readRange(file, path, 0, 8).buffer).getBigUint64(0, true));
  if (length > mostHeaderBytes) throw malformed(path, `says its header is ${length} bytes long`);
  if (8 + length > size) throw malformed(path, `says its header is ${length} bytes long, but has ${size} in all`);
  const text = decodeText(readRange(file, path, 8, length), path);
  const parsed = z.record(z.string(), z.unknown()).safeParse(parseJson(text, path));
  if (!parsed.success) throw malformed(path, 'its header is not a JSON object');
  const names = topLevelKeys(text);
  const twice = names.find((name, place) => names.indexOf(name) !== place);
  if (twice !== undefined && names.length !== Object.keys(parsed.data).length) {
    throw malformed(path, `has two tensors named ${twice}`);
  }
  const entries = new Map<string, Entry>();
  const metadata = new Map<string, string>();
  for (const [name, value] of Object.entries(parsed.data)) {
    if (name === '__metadata__') {
      const strings = z.record(z.string(), z.string()).safeParse(value);
      if (!strings.success) throw malformed(path, '__metadata__ is not an object of strings');
      for (const [key, each] of Object.entries(strings.data)) metadata.set(key, each);
    } else entries.set(name, readEntry(path, name, value, 8 + length, size));
  }
  refuseOverlaps(path, entries, 8 + length, size);
  return { entries, metadata };
}

function decodeText(bytes: Uint8Array, path: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw malformed(path, 'its header is not UTF-8');
  }
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw malformed(path, 'its header is not JSON');
  }
}

/** The keys of the outermost object as written, repetitions included: `JSON.parse` keeps only the last. */
function topLevelKeys(text: string): string[] {
  const keys: string[] = [];
  let depth = 0;
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') depth++;
    else if (token === '}' || token === ']') depth--;
    else if (depth === 1 && token.endsWith(':')) keys.push(token.slice(0, token.lastIndexOf('"') + 1));
  }
  return keys;
}

function readEntry(path: string, name: string, value: unknown, dataStart: number, size: number): Entry {
  const parsed = entrySchema.safeParse(value);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw malformed(path, `${name}: ${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'is not a tensor'}`);
  }
  const { dtype: dtypeName, shape, data_offsets: offsets } = parsed.data;
  const dtype = dtypeOf.get(dtypeName);
  if (dtype === undefined) {
    const known = [...dtypeOf.keys()].join(', ');
    throw malformed(path, `${name}: ${dtypeName} is none of the dtypes that are read here (${known})`);
  }
  const [begin, end] = offsets;
  const wanted = packedBytes({ dtype, shape });
  if (end - begin !== wanted) {
    throw malformed(path, `${name}: ${typeText({ dtype, shape })} is ${wanted} bytes, but has ${end - begin}`);
  }
  if (dataStart + end > size) throw malformed(path, `${name}: ends behind the end of the file`);
  return { dtype, shape, start: dataStart + begin, bytes: wanted };
}

function refuseOverlaps(path: string, entries: ReadonlyMap<string, Entry>, start: number, size: number): void {
  const sorted = [...entries].sort(([, left], [, right]) => left.start - right.start || left.bytes - right.bytes);
  let end = start;
  for (const [name, entry] of sorted) {
    if (entry.start < end) throw malformed(path, `${name} overlaps the tensor before it`);
    if (entry.start > end) throw malformed(path, `has ${entry.start - end} bytes that belong to no tensor`);
    end = entry.start + entry.bytes;
  }
  if (end !== size) throw malformed(path, `has ${size - end} bytes behind its last tensor`);
}

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) });

function openIndexed(path: string): TensorSource {
  const parsed = indexSchema.safeParse(parseJson(readFileSync(path, 'utf8'), path));
  if (!parsed.success) throw malformed(path, 'is not an index: it has no weight_map of names to files');
  const files = parsed.data.weight_map;
  const opened = new Map<string, TensorSource>();
  const close = () => {
    for (const source of opened.values()) source.close();
  };
  try {
    for (const file of new Set(Object.values(files))) {
      if (basename(file) !== file) throw malformed(path, `names the file ${file}, which is not beside it`);
      opened.set(file, openSafetensors(join(dirname(path), file)));
    }
    for (const [name, file] of Object.entries(files)) {
      if (!opened.get(file)?.has(name)) throw malformed(path, `says that ${name} is in ${file}, but it is not`);
    }
  } catch (error) {
    close();
    throw error;
  }
  const fileOf = new Map(Object.entries(files));
  return {
    names: [...fileOf.keys()],
    metadata: new Map(),
    has: (name) => fileOf.has(name),
    read: (name) => {
      const source = opened.get(fileOf.get(name) ?? '');
      if (source === undefined) throw noTensor(path, name, fileOf.keys());
      return source.read(name);
    },
    close,
  };
}

/**
 * Writes a file: the same tensors in the same order give the same bytes. Written beside, then renamed.
 * @throws UserError when it cannot be written; the old file is then as it was.
 */
export function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata: ReadonlyMap<string, string> = new Map(),
): void {
  let offset = 0;
  const header: Record<string, unknown> = metadata.size > 0 ? { __metadata__: Object.fromEntries(metadata) } : {};
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype: dtypeNames[dtype], shape, data_offsets: [offset, offset + bytes.byteLength] };
    offset += bytes.byteLength;
  }
  const text = new TextEncoder().encode(JSON.stringify(header));
  // Tensors begin at a multiple of eight: the header is padded with spaces.
  const padded = new Uint8Array(Math.ceil(text.length / 8) * 8).fill(0x20);
  padded.set(text);
  const length = new Uint8Array(8);
  new DataView(length.buffer).setBigUint64(0, BigInt(padded.length), true);
  writeBeside(path, [length, padded, ...[...tensors.values()].map(({ bytes }) => bytes)]);
}

function writeBeside(path: string, parts: readonly Uint8Array[]): void {
  const temporary = `${path}.${randomBytes(4).toString('hex')}.tmp`;
  try {
    const file = openSync(temporary, 'wx');
    try {
      for (const part of parts) {
        for (let done = 0; done < part.length; ) done += writeSync(file, part, done, part.length - done);
      }
    } finally {
      closeSync(file);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    const reason = error instanceof Error ? error.message : String(error);
    throw new UserError('file-access', `${path}: cannot be written: ${reason}`, 'check the path, its permissions, and room on the disk');
  }
}

/** Writes `model-00001-of-0000N.safetensors` … and `model.safetensors.index.json`, as Hugging Face's tools do. */
export function writeShardedSafetensors(
  folder: string,
  shards: readonly ReadonlyMap<string, TensorData>[],
): void {
  const number = (place: number) => String(place).padStart(5, '0');
  const weightMap: Record<string, string> = {};
  let total = 0;
  shards.forEach((tensors, place) => {
    const file = `model-${number(place + 1)}-of-${number(shards.length)}.safetensors`;
    writeSafetensors(join(folder, file), tensors, new Map([['format', 'pt']]));
    for (const [name, { bytes }] of tensors) {
      weightMap[name] = file;
      total += bytes.byteLength;
    }
  });
  const index = { metadata: { total_size: total }, weight_map: weightMap };
  const text = new TextEncoder().encode(`${JSON.stringify(index, undefined, 2)}\n`);
  writeBeside(join(folder, 'model.safetensors.index.json'), [text]);
}
