/** Reductions over the shards of several ranks, element by element, in this process. */
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { tensorFromValues, tensorValues } from '../weights/tensor-data.ts';

type Numbers = Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array;

/** How the elements of a type are read as numbers, combined in what, and written again. */
interface Arithmetic {
  readonly read: (bytes: Uint8Array) => Numbers;
  /** Where totals are kept while ranks are added: integers wrap there, floats are rounded to f32. */
  readonly totals: (count: number) => Numbers;
  readonly write: (totals: Numbers, into: Uint8Array) => void;
}

interface NumbersConstructor {
  readonly BYTES_PER_ELEMENT: number;
  new (count: number): Numbers;
  new (buffer: ArrayBufferLike, byteOffset: number, count: number): Numbers;
}

function bytesOf({ buffer, byteOffset, byteLength }: Numbers | Uint16Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

/** The same memory, or a copy where its address is not a multiple of the width, as typed arrays need. */
function viewAs<T>(
  Elements: {
    readonly BYTES_PER_ELEMENT: number;
    new (buffer: ArrayBufferLike, at: number, count: number): T;
  },
  bytes: Uint8Array,
): T {
  const width = Elements.BYTES_PER_ELEMENT;
  const { buffer, byteOffset, byteLength } = bytes.byteOffset % width === 0 ? bytes : new Uint8Array(bytes);
  return new Elements(buffer, byteOffset, byteLength / width);
}

/** Types that JavaScript has arrays of. */
function stored(Elements: NumbersConstructor): Arithmetic {
  return {
    read: (bytes) => viewAs(Elements, bytes),
    totals: (count) => new Elements(count),
    write: (totals, into) => into.set(bytesOf(totals)),
  };
}

/** The f32 value of each code of a narrow float, by the codec of files. */
function valuesOfCodes(dtype: Dtype, Codes: typeof Uint8Array | typeof Uint16Array): Float32Array {
  const codes = new Codes(256 ** Codes.BYTES_PER_ELEMENT).map((_, code) => code);
  return Float32Array.from(tensorValues({ dtype, shape: [codes.length], bytes: bytesOf(codes) }));
}

function narrowFloat(
  dtype: Dtype,
  Codes: typeof Uint8Array | typeof Uint16Array,
  write: Arithmetic['write'] = (totals, into) =>
    into.set(tensorFromValues(dtype, [totals.length], totals).bytes),
): Arithmetic {
  let values: Float32Array | undefined;
  return {
    read: (bytes) => {
      values ??= valuesOfCodes(dtype, Codes);
      const codes = viewAs<Uint8Array | Uint16Array>(Codes, bytes);
      const numbers = new Float32Array(codes.length);
      for (let index = 0; index < codes.length; index++) numbers[index] = values[codes[index]!]!;
      return numbers;
    },
    totals: (count) => new Float32Array(count),
    write,
  };
}

/** To nearest, ties to even: half a unit is added to the bits of the f32, and what is below is cut off. */
function writeBf16(totals: Numbers, into: Uint8Array): void {
  const bits = new Uint32Array(totals.buffer, totals.byteOffset, totals.length);
  const codes = new Uint16Array(totals.length);
  for (let index = 0; index < codes.length; index++) {
    const word = bits[index]!;
    const notANumber = (word & 0x7fffffff) > 0x7f800000;
    codes[index] = notANumber ? 0x7fc0 : (word + 0x7fff + ((word >>> 16) & 1)) >>> 16;
  }
  into.set(bytesOf(codes));
}

const arithmetic: { readonly [D in Dtype]: Arithmetic } = {
  f32: stored(Float32Array),
  bf16: narrowFloat('bf16', Uint16Array, writeBf16),
  f16: narrowFloat('f16', Uint16Array),
  f8e4m3: narrowFloat('f8e4m3', Uint8Array),
  f8e5m2: narrowFloat('f8e5m2', Uint8Array),
  i32: stored(Int32Array),
  u32: stored(Uint32Array),
  i8: stored(Int8Array),
  u8: stored(Uint8Array),
  bool: stored(Uint8Array),
};

/** Adds a shard to the totals, in place. Math.max and Math.min give NaN where either is NaN. */
const combine: { readonly [C in PendingCombiner]: (totals: Numbers, shard: Numbers) => void } = {
  sum: (totals, shard) => {
    for (let index = 0; index < totals.length; index++) totals[index]! += shard[index]!;
  },
  max: (totals, shard) => {
    for (let index = 0; index < totals.length; index++)
      totals[index] = Math.max(totals[index]!, shard[index]!);
  },
  min: (totals, shard) => {
    for (let index = 0; index < totals.length; index++)
      totals[index] = Math.min(totals[index]!, shard[index]!);
  },
};

/**
 * Combines shards of equal length, at least one, in their order, into `into`, which may be one of them. A sum
 * of f32 is rounded at each step, one of narrower floats once more at the end.
 */
export function reduceShards(
  dtype: Dtype,
  combiner: PendingCombiner,
  shards: readonly Uint8Array[],
  into: Uint8Array,
): void {
  const { read, totals, write } = arithmetic[dtype];
  const [first, ...rest] = shards;
  const numbers = read(first!);
  const sum = totals(numbers.length);
  sum.set(numbers);
  for (const shard of rest) combine[combiner](sum, read(shard));
  write(sum, into);
}
