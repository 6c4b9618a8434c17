/** Descriptions of tensors in global memory, as `cuTensorMapEncodeTiled` makes them, and boxes of them. */
import type { PtxType } from '../ptx-types.ts';

export type Swizzle = 'none' | '32B' | '64B' | '128B';

export interface TensorMap {
  /** The bytes of the buffer that it is about. */
  readonly buffer: Uint8Array;
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

/** Of an address in shared memory: bits 4 and up change with bits 7 and up, so that banks differ. */
export function swizzled(address: number, swizzle: Swizzle): number {
  const bits: { readonly [S in Swizzle]: number } = { none: 0, '32B': 1, '64B': 3, '128B': 7 };
  return address ^ (((address >>> 7) & bits[swizzle]) << 4);
}

/** Why a map cannot be, in words; nothing where it can (CUDA driver API, `cuTensorMapEncodeTiled`). */
export function mapProblem(map: TensorMap, elementBytes: number): string | undefined {
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
