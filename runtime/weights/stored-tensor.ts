/**
 * Tensors that need not be in main memory: in files, of which the elements are read that are asked for. What
 * a device holds of a tensor is a part of it, and a rank reads no other.
 */
import { elementBytes, elementCount, packedBytes } from '../../compiler/plan/storage-bytes.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { malformed, type OpenFile, openDiskFile, withFile } from './files.ts';
import { type TensorData, tensorFromValues, tensorValues } from './tensor-data.ts';

export interface StoredTensor {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Whether `readPart` does without the whole. */
  readonly inParts: boolean;
  /** @throws UserError `file-access`, `malformed-file` */
  readonly read: () => TensorData;
  /** @throws UserError as `read` */
  readonly readPart: (part: Part) => TensorData;
}

/** Elements of a tensor that make up another, both row-major. */
export interface Part {
  readonly shape: readonly number[];
  /** In order; what of the part is in none of them is zero. */
  readonly runs: Iterable<Run>;
}

/** Elements that lie together both in the whole and in the part. */
export interface Run {
  readonly whole: number;
  readonly own: number;
  readonly length: number;
}

export function inMemory(tensor: TensorData): StoredTensor {
  return { ...computed(tensor, () => tensor), inParts: true };
}

/** A tensor that is made as a whole each time that it, or a part of it, is read. */
export function computed(
  { dtype, shape }: Pick<TensorData, 'dtype' | 'shape'>,
  read: () => TensorData,
): StoredTensor {
  const size = elementBytes(dtype);
  return {
    dtype,
    shape,
    inParts: false,
    read,
    readPart: ({ shape: own, runs }) => {
      const whole = read();
      const bytes = new Uint8Array(packedBytes({ dtype, shape: own }));
      for (const run of runs)
        bytes.set(whole.bytes.subarray(run.whole * size, (run.whole + run.length) * size), run.own * size);
      return { dtype, shape: own, bytes };
    },
  };
}

/** The same values, rounded to another type. */
export function rounded(tensor: StoredTensor, dtype: Dtype): StoredTensor {
  const round = (read: TensorData) => tensorFromValues(dtype, read.shape, tensorValues(read));
  return {
    dtype,
    shape: tensor.shape,
    inParts: tensor.inParts,
    read: () => round(tensor.read()),
    readPart: (part) => round(tensor.readPart(part)),
  };
}

/** Tensors of one type, at least one, one after the other along leading dimensions of these extents. */
export function stacked(tensors: readonly StoredTensor[], leading: readonly number[]): StoredTensor {
  const { dtype, shape: each } = tensors[0]!;
  const shape = [...leading, ...each];
  const readPart = ({ shape: own, runs }: Part): TensorData => {
    const bytes = new Uint8Array(packedBytes({ dtype, shape: own }));
    for (const [place, some] of runsByTensor(runs, elementCount(each)).entries()) {
      if (some.length === 0) continue;
      const first = some[0]!.own;
      const last = some.at(-1)!;
      const length = last.own + last.length - first;
      const moved = some.map((run) => ({ ...run, own: run.own - first }));
      const part = tensors[place]!.readPart({ shape: [length], runs: moved });
      bytes.set(part.bytes, first * elementBytes(dtype));
    }
    return { dtype, shape: own, bytes };
  };
  const inParts = tensors.every((tensor) => tensor.inParts);
  return { dtype, shape, inParts, read: () => readPart(wholePart(shape)), readPart };
}

function wholePart(shape: readonly number[]): Part {
  return { shape, runs: [{ whole: 0, own: 0, length: elementCount(shape) }] };
}

/**
 * Runs cut where one tensor ends, those of each tensor with its own positions. Tensors without any are left
 * out.
 */
function runsByTensor(runs: Iterable<Run>, size: number): readonly (readonly Run[])[] {
  const byTensor: Run[][] = [];
  for (const { whole, own, length } of runs)
    for (let done = 0; done < length; ) {
      const tensor = Math.floor((whole + done) / size);
      const begin = whole + done - tensor * size;
      const fits = Math.min(length - done, size - begin);
      const some = byTensor[tensor] ?? [];
      some.push({ whole: begin, own: own + done, length: fits });
      byTensor[tensor] = some;
      done += fits;
    }
  return Array.from(byTensor, (some) => some ?? []);
}

// ── in a file ──────────────────────────────────────────────────────────────────────────────────────────────

/** Where the elements of a tensor are, row-major, and what their bytes mean. */
export interface FileTensor {
  readonly file: string;
  /** Of the file, when its header was read. */
  readonly fileBytes: number;
  /** What an error says is wrong with: `tensor x`. */
  readonly what: string;
  /** The first byte. */
  readonly position: number;
  /** Of one element, in the file. */
  readonly elementBytes: number;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Elements of the file as ours; absent where they are the same. */
  readonly decode?: (bytes: Uint8Array, shape: readonly number[]) => TensorData;
}

export function inFile(tensor: FileTensor, open: OpenFile = openDiskFile): StoredTensor {
  const { file, dtype, shape, decode } = tensor;
  const readPart = ({ shape: own, runs }: Part): TensorData => {
    const bytes = new Uint8Array(elementCount(own) * tensor.elementBytes);
    withFile(file, 'read', () => readRuns(tensor, runs, bytes, open));
    return decode === undefined ? { dtype, shape: own, bytes } : decode(bytes, own);
  };
  return { dtype, shape, inParts: true, read: () => readPart(wholePart(shape)), readPart };
}

/** Bytes between two runs that are read with them: fewer than it takes to ask the system again. */
const nearby = 4096;
/** Bytes that are read at once, where more than what is asked for is read. */
const mostTogether = 2 ** 20;

interface ByteRun {
  readonly position: number;
  readonly own: number;
  readonly length: number;
}

function readRuns(
  { file, fileBytes, what, position, elementBytes: size }: FileTensor,
  runs: Iterable<Run>,
  into: Uint8Array,
  open: OpenFile,
): void {
  const opened = open(file);
  try {
    if (opened.bytes !== fileBytes) throw malformed(file, `changed while ${what} was read`);
    const readInto = (target: Uint8Array, from: number) => {
      if (opened.readInto(target, from) < target.byteLength)
        throw malformed(file, `truncated while ${what} was read`);
    };
    for (const some of together(runs, position, size)) {
      const [first, last] = [some[0]!, some.at(-1)!];
      if (some.length === 1) {
        readInto(into.subarray(first.own, first.own + first.length), first.position);
        continue;
      }
      const all = new Uint8Array(last.position + last.length - first.position);
      readInto(all, first.position);
      for (const run of some) {
        const begin = run.position - first.position;
        into.set(all.subarray(begin, begin + run.length), run.own);
      }
    }
  } finally {
    opened.close();
  }
}

/** Runs in bytes, those together that are near each other. */
function* together(runs: Iterable<Run>, position: number, size: number): Generator<readonly ByteRun[]> {
  let some: ByteRun[] = [];
  for (const { whole, own, length } of runs) {
    const run = { position: position + whole * size, own: own * size, length: length * size };
    const [first, last] = [some[0], some.at(-1)];
    const isNear =
      first !== undefined &&
      last !== undefined &&
      run.position - (last.position + last.length) <= nearby &&
      run.position + run.length - first.position <= mostTogether;
    if (!isNear && some.length > 0) {
      yield some;
      some = [];
    }
    some.push(run);
  }
  if (some.length > 0) yield some;
}
