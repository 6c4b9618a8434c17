/** Descriptions of tensors in global memory, as `cuTensorMapEncodeTiled` makes them, and boxes of them. */
import { type PtxType, ptxTypes } from '../ptx-types.ts';

const swizzles = ['none', '32B', '64B', '128B'] as const;
export type Swizzle = (typeof swizzles)[number];

export interface TensorMapShape {
  /** Of an element: what sums of `cp.reduce` are in. */
  readonly type: PtxType;
  /** The innermost first, in elements. */
  readonly dims: readonly number[];
  /** In bytes, of all dimensions but the innermost, which is dense. */
  readonly strides: readonly number[];
  /** How many elements of each dimension a copy takes. */
  readonly box: readonly number[];
  readonly swizzle: Swizzle;
}

export interface TensorMap extends TensorMapShape {
  /** The bytes of the buffer that it is about. */
  readonly buffer: Uint8Array;
}

/** One whose first element is at this place of the memory. */
export interface PlacedMap extends TensorMapShape {
  readonly start: number;
}

/** Of a map as kernels have it: here 32-bit words of its own kind, after a mark that says that it is one. */
export const tensorMapBytes = 128;
const mark = 0x70616d54;
const typeNames = Object.keys(ptxTypes) as PtxType[];
const at = { mark: 0, type: 4, rank: 8, swizzle: 12, start: 16, dims: 20, strides: 40, box: 60 } as const;

export function encodeTensorMap({ type, dims, strides, box, swizzle, start }: PlacedMap): Uint8Array {
  const bytes = new Uint8Array(tensorMapBytes);
  const view = new DataView(bytes.buffer);
  const put = (place: number, values: readonly number[]): void => {
    for (const [each, value] of values.entries()) view.setUint32(place + 4 * each, value, true);
  };
  put(at.mark, [mark, typeNames.indexOf(type), dims.length, swizzles.indexOf(swizzle), start]);
  put(at.dims, dims);
  put(at.strides, strides);
  put(at.box, box);
  return bytes;
}

/** Nothing where there is none. */
export function decodeTensorMap(view: DataView, place: number): PlacedMap | undefined {
  const word = (offset: number): number => view.getUint32(place + offset, true);
  if (word(at.mark) !== mark) return undefined;
  const [type, swizzle] = [typeNames[word(at.type)], swizzles[word(at.swizzle)]];
  if (type === undefined || swizzle === undefined) return undefined;
  const rank = word(at.rank);
  const list = (offset: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, each) => word(offset + 4 * each));
  return {
    ...{ type, swizzle, start: word(at.start), dims: list(at.dims, rank) },
    ...{ strides: list(at.strides, rank - 1), box: list(at.box, rank) },
  };
}

/** Of an address in shared memory: bits 4 and up change with bits 7 and up, so that banks differ. */
export function swizzled(address: number, swizzle: Swizzle): number {
  const bits: { readonly [S in Swizzle]: number } = { none: 0, '32B': 1, '64B': 3, '128B': 7 };
  return address ^ (((address >>> 7) & bits[swizzle]) << 4);
}

/** Why a map cannot be, in words; nothing where it can (CUDA driver API, `cuTensorMapEncodeTiled`). */
export function mapProblem(map: TensorMapShape, elementBytes: number): string | undefined {
  const { dims, strides, box, swizzle } = map;
  const rank = dims.length;
  if (rank < 1 || rank > 5) return `${rank} dimensions are not one to five`;
  if (strides.length !== rank - 1 || box.length !== rank) return 'its lists are of different lengths';
  if (strides.some((stride) => stride % 16 !== 0)) return 'a stride is no multiple of 16 bytes';
  if (box.some((extent) => extent < 1 || extent > 256))
    return 'a box has 1 to 256 elements of each dimension';
  const inner = box[0]! * elementBytes;
  if (inner % 16 !== 0) return 'the innermost extent of the box is no multiple of 16 bytes';
  const most: { readonly [S in Swizzle]: number } = { none: Infinity, '32B': 32, '64B': 64, '128B': 128 };
  return inner > most[swizzle]
    ? `a row of ${inner} bytes is too long to be swizzled by ${swizzle}`
    : undefined;
}
