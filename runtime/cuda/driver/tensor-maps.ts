/**
 * Tensor maps: how the copy engine of Hopper (TMA) reads a tensor by boxes. A map is a parameter of a kernel,
 * 128 bytes, aligned to 64.
 */
import type { TensorMap } from '../device.ts';
import type { Cuda } from './library.ts';

export const tensorMapBytes = 128;

/** CUtensorMapDataType. The 8-bit floats are moved as they are. */
const dataTypes: { readonly [D in TensorMap['dtype']]?: number } = {
  u8: 0,
  i8: 0,
  bool: 0,
  f8e4m3: 0,
  f8e5m2: 0,
  u32: 2,
  i32: 3,
  f16: 6,
  f32: 7,
  bf16: 9,
  tf32: 11,
};
/** CUtensorMapSwizzle. */
const swizzles: { readonly [B in TensorMap['swizzle']]: number } = { 0: 0, 32: 1, 64: 2, 128: 3 };
/** CU_TENSOR_MAP_INTERLEAVE_NONE, CU_TENSOR_MAP_L2_PROMOTION_L2_128B, zeros beyond the ends. */
const [noInterleave, promotion, zeros] = [0, 2, 0];

/** @throws Error when the driver does not take it: what is written to kernels is a fault of the compiler. */
export function encodeTensorMap(cuda: Cuda, map: TensorMap): Uint8Array {
  const { address, dtype, shape, strides, box, swizzle } = map;
  const type = dataTypes[dtype];
  if (type === undefined) throw new Error(`there are no tensor maps of ${dtype}`);
  const encoded = new Uint8Array(new ArrayBuffer(tensorMapBytes + alignment));
  const over = Number(cuda.address(encoded) % BigInt(alignment));
  const aligned = encoded.subarray((alignment - over) % alignment).subarray(0, tensorMapBytes);
  cuda.call(
    'cuTensorMapEncodeTiled',
    ...([aligned, type, shape.length, address] as const),
    BigUint64Array.from(shape, BigInt),
    BigUint64Array.from(strides, BigInt),
    Uint32Array.from(box),
    new Uint32Array(shape.length).fill(1),
    ...([noInterleave, swizzles[swizzle], promotion, zeros] as const),
  );
  return aligned;
}

const alignment = 64;
