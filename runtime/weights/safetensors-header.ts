/** The header of a safetensors file, checked. https://huggingface.co/docs/safetensors, format as of 2024. */
import { elementCount } from '../../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { malformed } from './files.ts';

/** What becomes of an element type of the format: one of ours as it is, a conversion, or nothing yet. */
export interface FileDtype {
  readonly bytes: number;
  readonly dtype: Dtype | undefined;
  /** Wider than ours: read if all values fit. */
  readonly convert?: 'i64' | 'f64';
}

export const fileDtypes: ReadonlyMap<string, FileDtype> = new Map<string, FileDtype>([
  ['F32', { bytes: 4, dtype: 'f32' }],
  ['BF16', { bytes: 2, dtype: 'bf16' }],
  ['F16', { bytes: 2, dtype: 'f16' }],
  ['F8_E4M3', { bytes: 1, dtype: 'f8e4m3' }],
  ['F8_E5M2', { bytes: 1, dtype: 'f8e5m2' }],
  ['I32', { bytes: 4, dtype: 'i32' }],
  ['U32', { bytes: 4, dtype: 'u32' }],
  ['I8', { bytes: 1, dtype: 'i8' }],
  ['U8', { bytes: 1, dtype: 'u8' }],
  ['BOOL', { bytes: 1, dtype: 'bool' }],
  ['I64', { bytes: 8, dtype: 'i32', convert: 'i64' }],
  ['F64', { bytes: 8, dtype: 'f32', convert: 'f64' }],
  ['I16', { bytes: 2, dtype: undefined }],
  ['U16', { bytes: 2, dtype: undefined }],
  ['U64', { bytes: 8, dtype: undefined }],
  ['C64', { bytes: 8, dtype: undefined }],
  ['F8_E8M0', { bytes: 1, dtype: undefined }],
]);

export interface HeaderTensor {
  readonly fileDtype: string;
  readonly shape: readonly number[];
  /** Bytes after the header; `end` is excluded. */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly tensors: ReadonlyMap<string, HeaderTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** As in the reference implementation. */
export const maxHeaderBytes = 100_000_000;

/**
 * @param dataBytes what the file holds after its header: tensors must fill it without gaps or overlaps.
 * @throws UserError `malformed-file`, naming the file and the tensor.
 */
export function parseHeader(file: string, bytes: Uint8Array, dataBytes: number): Header {
  const fields = parseObject(file, bytes);
  const metadata = new Map<string, string>();
  const tensors = new Map<string, HeaderTensor>();
  for (const [name, value] of fields) {
    if (name !== '__metadata__') tensors.set(name, parseTensor(file, name, value));
    else
      for (const [key, text] of Object.entries(asObject(value) ?? {})) {
        if (typeof text !== 'string') throw malformed(file, `the metadata ${key} is not text`);
        metadata.set(key, text);
      }
  }
  checkCoverage(file, tensors, dataBytes);
  return { tensors, metadata };
}

function asObject(value: unknown): Readonly<Record<string, unknown>> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Readonly<Record<string, unknown>>)
    : undefined;
}

function parseObject(file: string, bytes: Uint8Array): [string, unknown][] {
  let text: string;
  let value: unknown;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
  } catch {
    throw malformed(file, 'its header is not JSON in UTF-8');
  }
  const object = asObject(value);
  if (object === undefined) throw malformed(file, 'its header is not a JSON object');
  const twice = repeatedKey(text);
  if (twice !== undefined) throw malformed(file, `its header has ${twice} twice`);
  return Object.entries(object);
}

/** The first key that an object in a valid JSON text has twice: parsers keep the last one without a word. */
function repeatedKey(text: string): string | undefined {
  const open: Set<string>[] = [];
  const tokens = /"(?:[^"\\]|\\.)*"(\s*:)?|[{}]/g;
  for (const [token, colon] of text.matchAll(tokens)) {
    if (token === '{') open.push(new Set());
    else if (token === '}') open.pop();
    else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, token.length - colon.length)) as string;
      if (open.at(-1)?.has(key)) return key;
      open.at(-1)?.add(key);
    }
  }
  return undefined;
}

function isNatural(value: unknown): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}

function parseTensor(file: string, name: string, value: unknown): HeaderTensor {
  const fault = (reason: string) => malformed(file, `tensor ${name}: ${reason}`);
  const fields = asObject(value);
  if (fields === undefined) throw fault('its entry is not an object');
  const { dtype: fileDtype, shape, data_offsets: offsets } = fields;
  if (typeof fileDtype !== 'string') throw fault('no dtype');
  const facts = fileDtypes.get(fileDtype);
  if (facts === undefined) throw fault(`unknown dtype ${fileDtype}`);
  if (!Array.isArray(shape) || !shape.every(isNatural)) throw fault('its shape is not a list of sizes');
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isNatural))
    throw fault('data_offsets is not a pair of positions');
  const [begin, end] = offsets as [number, number];
  const bytes = elementCount(shape) * facts.bytes;
  if (!Number.isSafeInteger(bytes)) throw fault('its shape is too large for any file');
  if (end - begin !== bytes)
    throw fault(`${fileDtype} [${shape.join(', ')}] takes ${bytes} bytes, data_offsets says ${end - begin}`);
  return { fileDtype, shape, begin, end };
}

function checkCoverage(file: string, tensors: ReadonlyMap<string, HeaderTensor>, dataBytes: number): void {
  const inOrder = [...tensors].sort(
    ([, left], [, right]) => left.begin - right.begin || left.end - right.end,
  );
  let position = 0;
  for (const [name, { begin, end }] of inOrder) {
    if (begin < position) throw malformed(file, `tensor ${name}: overlaps another one`);
    if (begin > position)
      throw malformed(file, `there are ${begin - position} unused bytes before tensor ${name}`);
    position = end;
  }
  if (position > dataBytes)
    throw malformed(file, `truncated: its tensors take ${position} bytes, and it has ${dataBytes}`);
  if (position < dataBytes)
    throw malformed(file, `there are ${dataBytes - position} unused bytes after its last tensor`);
}
