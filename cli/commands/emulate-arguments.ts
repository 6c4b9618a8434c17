/** The arguments that a command line gives a kernel: numbers, and buffers from files, filled or empty. */
import type { Argument, Extent } from '../../backends/cuda-ptx/emulator/launch.ts';
import { elementCount } from '../../compiler/plan/storage-bytes.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { type Dtype, dtypes, isDtype } from '../../dsl/types/dtype.ts';
import { natural } from '../../dsl/types/size.ts';
import { readNpy } from '../../runtime/weights/npy.ts';
import { type TensorData, tensorFromValues } from '../../runtime/weights/tensor-data.ts';
import { UsageError } from '../exit.ts';

/** A buffer whose bytes change as the kernel runs. */
export interface GivenBuffer extends TensorData {
  readonly name: string;
  /** Nothing is in it that a kernel may read before it wrote it. */
  readonly isEmpty: boolean;
}

export interface GivenArguments {
  readonly arguments: readonly Argument[];
  readonly buffers: readonly GivenBuffer[];
}

/** More elements than any memory here has: what is larger is a mistake. */
const mostElements = 2 ** 31;

/**
 * In the order of the kernel's parameters, each with a name or without: `n=100`, `x=x.npy`, `y=f32[1024]` with
 * nothing in it, `f32[1024]=0` filled, `f32[1024]=random`, and `f16(0.5)` or `f32(1, 2)` for a structure.
 */
export function readArguments(texts: readonly string[], seed: number): GivenArguments {
  const buffers: GivenBuffer[] = [];
  const all = texts.map((text, at): Argument => {
    const [, name, rest] = /^\s*([A-Za-z_]\w*)=(.*)$/.exec(text) ?? [];
    const structure = structureOf(rest ?? text.trim(), text);
    if (structure !== undefined) return { kind: 'bytes', bytes: structure };
    const given = readArgument(rest ?? text.trim(), name ?? `argument ${at + 1}`, seed, text);
    if (typeof given === 'number' || typeof given === 'bigint') return { kind: 'number', value: given };
    const known = buffers.find((each) => each.name === given.name);
    if (known !== undefined)
      throw new UsageError(`${given.name} is given twice`, 'give each buffer its name');
    buffers.push(given);
    return { kind: 'buffer', name: given.name, bytes: given.bytes, isWritten: !given.isEmpty };
  });
  return { arguments: all, buffers };
}

/** What a kernel is given itself, and no pointer to. */
function structureOf(spec: string, text: string): Uint8Array | undefined {
  const [, dtype, values] = /^(\w+)\(([^)]*)\)$/.exec(spec) ?? [];
  if (dtype === undefined || values === undefined) return undefined;
  if (!isDtype(dtype)) throw refuse(text, `${dtype} is no dtype: there are ${dtypes.join(', ')}`);
  const numbers = values.split(',').map((value) => (value.trim() === '' ? Number.NaN : Number(value)));
  if (numbers.some(Number.isNaN)) throw refuse(text, `(${values}) are no numbers`);
  return tensorFromValues(dtype, [numbers.length], Float64Array.from(numbers)).bytes;
}

function readArgument(spec: string, name: string, seed: number, text: string): number | bigint | GivenBuffer {
  if (spec.endsWith('.npy')) {
    const tensor = readNpy(spec);
    // The kernel writes into it: the file's own bytes may be at any place in a larger buffer.
    return { ...tensor, bytes: new Uint8Array(tensor.bytes), name, isEmpty: false };
  }
  const [, dtype, extents, fill] = /^(\w+)\[([^\]]*)\](?:=(.+))?$/.exec(spec) ?? [];
  if (dtype !== undefined && extents !== undefined) {
    if (!isDtype(dtype)) throw refuse(text, `${dtype} is no dtype: there are ${dtypes.join(', ')}`);
    return buffer(name, dtype, shapeOf(extents, text), fill, seed, text);
  }
  if (/^[+-]?(0x[\da-f]+|\d+)$/i.test(spec)) {
    const digits = BigInt(spec.replace(/^[+-]/, ''));
    return spec.startsWith('-') ? -digits : digits;
  }
  const number = Number(spec);
  if (spec === '' || (Number.isNaN(number) && spec.toLowerCase() !== 'nan')) throw refuse(text);
  return number;
}

function shapeOf(text: string, whole: string): readonly number[] {
  const shape = text.split(',').map((extent) => (/^\s*\d+\s*$/.test(extent) ? Number(extent) : Number.NaN));
  if (!shape.every(Number.isSafeInteger)) throw refuse(whole, `[${text}] is no shape`);
  if (elementCount(shape) > mostElements) throw refuse(whole, `[${text}] has too many elements`);
  return shape;
}

function buffer(
  name: string,
  dtype: Dtype,
  shape: readonly number[],
  fill: string | undefined,
  seed: number,
  text: string,
): GivenBuffer {
  if (fill === 'random') {
    const wanted = { path: name, element: { kind: 'dtype', dtype }, dims: shape.map(natural) } as const;
    return { ...randomInput(wanted, new Map(), seed), name, isEmpty: false };
  }
  const value = fill === undefined ? 0 : Number(fill);
  if (Number.isNaN(value) && fill !== 'nan') throw refuse(text, `${fill} is neither a number nor 'random'`);
  const values = new Float64Array(elementCount(shape)).fill(value);
  return { ...tensorFromValues(dtype, shape, values), name, isEmpty: fill === undefined };
}

function refuse(text: string, why?: string): UsageError {
  return new UsageError(
    `--arg ${text}${why === undefined ? ' is no argument' : `: ${why}`}`,
    'give NUMBER, DTYPE(NUMBER, …) for a structure, FILE.npy, DTYPE[SHAPE] for a result, or DTYPE[SHAPE]=NUMBER or =random, each with NAME= before it or without',
  );
}

/** `4`, `4,2` or `4,2,1`. */
export function parseExtent(text: string, what: string): Extent {
  const parts = text.split(',');
  const extents = parts.map((part) => (/^\s*\d+\s*$/.test(part) ? Number(part) : Number.NaN));
  if (parts.length > 3 || !extents.every((extent) => extent >= 1 && extent < 2 ** 31))
    throw new UsageError(
      `--${what} ${text} is not one to three whole numbers of at least 1`,
      `give --${what} 4, --${what} 4,2 or --${what} 4,2,1`,
    );
  const [x = 1, y = 1, z = 1] = extents;
  return [x, y, z];
}
