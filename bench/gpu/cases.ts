/**
 * What is timed on a GPU: an entry of `cases.ricci`, its sizes there and in a trial without one, and the work
 * that is useful of it. `peers.py` has for each entry what it is compared with.
 */
import type { Allowance } from '../../compiler/tiles/allowances.ts';

type Sizes = Readonly<Record<string, number>>;

export interface GpuCase {
  readonly name: string;
  readonly entry: string;
  readonly sizes: Sizes;
  /** Of the same form, for the emulator. */
  readonly small: Sizes;
  /** Useful floating-point operations: the visible half of causal attention, the chosen experts. */
  readonly flops: number;
  /** Bytes of inputs and outputs, each once. */
  readonly bytes: number;
  /** What bounds it, and so what is told of it: operations or bytes a second, or the time of a launch. */
  readonly bound: 'operations' | 'bytes' | 'launches';
  /** Compiled with `--allow` of these, where what it is compared with rounds as well. */
  readonly allowed?: readonly Allowance[];
}

const product = (name: string, entry: string, size: number, products = 1): GpuCase => ({
  ...{ name, entry, bound: 'operations', sizes: { M: size, N: size, K: size } },
  small: { M: 24, N: 40, K: 32 },
  flops: 2 * products * size ** 3,
  bytes: 2 * (2 + products) * size ** 2,
});

/** Of elements of so many bytes, whose results are of others. */
const allowing = (
  name: string,
  allowance: Allowance,
  size: number,
  [inputs, outputs]: readonly [number, number],
): GpuCase => ({
  ...product(`${name}_${size}`, name, size),
  bytes: (2 * inputs + outputs) * size ** 2,
  allowed: [allowance],
});

const skinny = (name: string, entry: string, M: number, N: number, K: number): GpuCase => ({
  ...{ name, entry, bound: 'bytes', sizes: { M, N, K }, small: { M: 3, N: 40, K: 32 } },
  flops: 2 * M * N * K,
  bytes: 2 * (M * K + N * K + M * N),
});

const rows = (name: string, entry: string, passes: number, sizes: Sizes, small: Sizes): GpuCase => {
  const count = Object.values(sizes).reduce((total, extent) => total * extent, 1);
  return { ...{ name, entry, sizes, small, bound: 'bytes' }, flops: 5 * count, bytes: 2 * passes * count };
};

/** Of f32, along rows: what is stored of each as many bytes as said. */
const alongRows = (name: string, entry: string, M: number, N: number, stored: number): GpuCase => ({
  ...{ name, entry, bound: 'bytes', sizes: { M, N }, small: { M: 3, N: 300 } },
  flops: M * N,
  bytes: M * (4 * N + stored),
});

/** Weights rounded to bf16 before they are multiplied, as PyTorch and FlashAttention do. */
const attention = (name: string, entry: string, H: number, S: number, share: number): GpuCase => ({
  ...{ name, entry, bound: 'operations', sizes: { H, S, A: 128 }, small: { H: 2, S: 19, A: 16 } },
  flops: 4 * H * S * S * 128 * share,
  bytes: 8 * H * S * 128,
  allowed: ['rounded-factors'],
});

/** As FlashAttention counts: of five products where attention has two. */
const backward = (name: string, H: number, S: number): GpuCase => ({
  ...attention(name, 'causal_backward', H, S, 0.5),
  ...{ flops: 10 * H * S * S * 128 * 0.5, bytes: 16 * H * S * 128 + 4 * H * S, allowed: [] },
});

const [wide, tall] = [
  { M: 16_384, N: 8192 },
  { M: 5, N: 37 },
];

/** The most telling first: what there is no time for is left out at the end. */
export const gpuCases: readonly GpuCase[] = [
  product('linear_4096', 'linear', 4096),
  product('linear_8192', 'linear', 8192),
  product('matmul_8192', 'matmul', 8192),
  attention('causal_8k', 'causal', 32, 8192, 0.5),
  attention('causal_2k', 'causal', 64, 2048, 0.5),
  attention('full_8k', 'full', 32, 8192, 1),
  backward('causal_backward', 16, 8192),
  { ...attention('causal_8k_exact', 'causal', 32, 8192, 0.5), allowed: [] },
  {
    ...{ name: 'experts', entry: 'experts', bound: 'operations' },
    sizes: { T: 8192, D: 2048, F: 1408, E: 16 },
    small: { T: 9, D: 16, F: 16, E: 4 },
    flops: 2 * 8192 * 2048 * (16 + 4 * 1408),
    bytes: 2 * (2 * 8192 * 2048 + 2 * 16 * 2048 * 1408),
  },
  product('linear_bias_relu_8192', 'linear_bias_relu', 8192),
  product('gated_4096', 'gated', 4096, 2),
  allowing('linear_f8', 'f8-sums', 8192, [1, 2]),
  {
    ...allowing('linear_f8_blocks', 'f8-sums', 8192, [1, 2]),
    sizes: { M: 8192, N: 64, B: 64 },
    small: { M: 24, N: 1, B: 2 },
  },
  allowing('linear_tf32', 'tf32', 8192, [4, 4]),
  rows('add', 'add', 3, wide, tall),
  rows('transpose', 'transpose', 2, wide, tall),
  rows('sum_rows', 'sum_rows', 1, wide, tall),
  rows('sum_columns', 'sum_columns', 1, wide, tall),
  rows('softmax_rows', 'softmax_rows', 2, wide, tall),
  rows('rms_norm', 'rms_norm', 2, { T: 16_384, D: 8192 }, { T: 5, D: 48 }),
  alongRows('cumsum_64_rows', 'prefix_sums', 64, 65_536, 4 * 65_536),
  alongRows('cumsum_1_row', 'prefix_sums', 1, 2 ** 22, 4 * 2 ** 22),
  alongRows('sort_64_rows', 'sort_rows', 64, 8192, 8 * 8192),
  alongRows('top_50', 'top_50', 16, 131_072, 8 * 50),
  {
    ...{ name: 'decode_8k', entry: 'decode', bound: 'bytes' },
    sizes: { B: 16, G: 8, R: 4, S: 8192, A: 128 },
    small: { B: 2, G: 2, R: 2, S: 21, A: 16 },
    flops: 4 * 16 * 8 * 4 * 8192 * 128,
    bytes: 2 * 16 * 8 * 128 * (2 * 8192 + 2 * 4),
  },
  skinny('linear_16_tokens', 'linear', 16, 8192, 8192),
  skinny('linear_1_token', 'linear', 1, 8192, 8192),
  skinny('matmul_1_token', 'matmul', 1, 8192, 8192),
  {
    ...{ name: 'decoding_block', entry: 'decoding_block', bound: 'bytes' },
    sizes: { S: 1, U: 4096, D: 4096, G: 8, R: 4, P: 64, F: 14_336 },
    small: { S: 1, U: 9, D: 32, G: 1, R: 4, P: 4, F: 40 },
    flops: 2 * (2 * 4096 * 4096 + 3 * 4096 * 14_336),
    // The weights: of the cache as much is read as is before `start`.
    bytes: 2 * (2 * 4096 * 4096 + 3 * 4096 * 14_336),
  },
  {
    ...{ name: 'cross_entropy', entry: 'cross_entropy', bound: 'operations' },
    sizes: { T: 4096, D: 4096, V: 32_000 },
    small: { T: 7, D: 16, V: 1037 },
    flops: 2 * 4096 * 4096 * 32_000,
    bytes: 2 * (4096 * 4096 + 32_000 * 4096) + 8 * 4096,
  },
  {
    ...{ name: 'small_layers', entry: 'small_layers', bound: 'launches' },
    sizes: { M: 4, K: 64 },
    small: { M: 4, K: 64 },
    flops: 8 * 2 * 4 * 64 * 64,
    bytes: 4 * (4 * 64 + 8 * 64 * 64 + 4 * 64),
  },
];
