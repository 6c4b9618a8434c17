/** The arguments that a command line gives a kernel: numbers, and buffers from files, filled or empty. */
import type { Argument, Extent } from '../../backends/cuda-ptx/emulator/launch.ts';
import { elementCount } from '../../compiler/plan/storage-bytes.ts';
import { UsageError } from '../exit.ts';
import {
  type BufferData,
  type BufferType,
  bufferOfFile,
  bufferOfValues,
  bufferTypes,
  elementBytesOf,
  filledBuffer,
  isBufferType,
  parseElement,
  parseWhole,
  randomBuffer,
} from './kernel-buffers.ts';

/** A buffer whose bytes change as the kernel runs. */
export interface GivenBuffer extends BufferData {
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
 * nothing in it, `f32[1024]=0` filled, `f32[1024]=random`, and `f16(0.5)` or `i32(1)+f64(2, 3)` for a structure.
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

/**
 * What a kernel is given itself, and no pointer to: its fields in their order, where C puts them, each at a
 * multiple of its size and all of them padded to one of the largest.
 */
function structureOf(spec: string, text: string): Uint8Array | undefined {
  if (!/^\w+\([^)]*\)(\s*\+\s*\w+\([^)]*\))*$/.test(spec)) return undefined;
  const fields = [...spec.matchAll(/(\w+)\(([^)]*)\)/g)].map(([, type, values]): BufferData => {
    if (!isBufferType(type!)) throw refuseType(text, type!);
    const numbers = values!.split(',').map((value) => parseElement(value, type));
    if (!numbers.every((each) => each !== undefined))
      throw refuse(text, `(${values}) are no numbers of ${type}`);
    return bufferOfValues(type, [numbers.length], numbers);
  });
  let end = 0;
  const places = fields.map(({ type, bytes }) => {
    const start = Math.ceil(end / elementBytesOf(type)) * elementBytesOf(type);
    end = start + bytes.byteLength;
    return start;
  });
  const largest = Math.max(...fields.map(({ type }) => elementBytesOf(type)));
  const whole = new Uint8Array(Math.ceil(end / largest) * largest);
  for (const [at, { bytes }] of fields.entries()) whole.set(bytes, places[at]);
  return whole;
}

function readArgument(spec: string, name: string, seed: number, text: string): number | bigint | GivenBuffer {
  if (spec.endsWith('.npy')) return { ...bufferOfFile(spec), name, isEmpty: false };
  const [, type, extents, fill] = /^(\w+)\[([^\]]*)\](?:=(.+))?$/.exec(spec) ?? [];
  if (type !== undefined && extents !== undefined) {
    if (!isBufferType(type)) throw refuseType(text, type);
    return buffer(name, type, shapeOf(extents, text), fill, seed, text);
  }
  const whole = parseWhole(spec);
  if (whole !== undefined) return whole;
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
  type: BufferType,
  shape: readonly number[],
  fill: string | undefined,
  seed: number,
  text: string,
): GivenBuffer {
  if (fill === 'random') return { ...randomBuffer(type, shape, name, seed), name, isEmpty: false };
  const value = parseElement(fill ?? '0', type);
  if (value === undefined) throw refuse(text, `${fill} is neither a number that ${type} has nor 'random'`);
  return { ...filledBuffer(type, shape, value), name, isEmpty: fill === undefined };
}

function refuseType(text: string, type: string): UsageError {
  return refuse(text, `${type} is no element type: there are ${bufferTypes.join(', ')}`);
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
