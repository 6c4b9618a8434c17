/** What the table of schedules that ships is measured for: entries of `cases.ricci`, the most telling first. */
import type { Allowance } from '../../compiler/tiles/allowances.ts';
import { gpuCases } from './cases.ts';

export interface TunedCase {
  readonly entry: string;
  readonly sizes: Readonly<Record<string, number>>;
  /** What matrix units may do that changes results. */
  readonly allowed?: readonly Allowance[];
}

/** Weights of models in use, [outputs, inputs]: those of 8 and of 70 billion parameters. */
const weights: readonly (readonly [number, number])[] = [
  [4096, 4096],
  [14_336, 4096],
  [4096, 14_336],
  [6144, 4096],
  [8192, 8192],
  [28_672, 8192],
  [8192, 28_672],
];

const products = (entry: string, counts: readonly number[], shapes: typeof weights) =>
  counts.flatMap((M) => shapes.map(([N, K]): TunedCase => ({ entry, sizes: { M, N, K } })));

const squares = (entry: string, extents: readonly number[]) =>
  extents.map((size): TunedCase => ({ entry, sizes: { M: size, N: size, K: size } }));

const attention = (entry: string, H: number, A: number, lengths: readonly number[]) =>
  ([['rounded-factors'], []] as const).flatMap((allowed) =>
    lengths.map((S): TunedCase => ({ entry, sizes: { H, S, A }, allowed })),
  );

const decode = (B: number, lengths: readonly number[]) =>
  lengths.map((S): TunedCase => ({ entry: 'decode', sizes: { B, G: 8, R: 4, S, A: 128 } }));

export const tunedCases: readonly TunedCase[] = [
  ...gpuCases,
  ...squares('linear', [2048, 1024]),
  ...squares('matmul', [4096, 2048, 1024]),
  ...products('linear', [16, 1], weights.slice(0, 3)),
  ...attention('causal', 32, 128, [4096, 2048, 1024]),
  ...attention('causal', 32, 64, [8192, 4096, 2048, 1024]),
  ...decode(16, [4096, 1024]),
  ...decode(1, [32_768, 8192]),
  ...products('linear', [4096], weights),
  ...products('linear', [64, 32, 8, 4], weights.slice(0, 3)),
  ...attention('full', 32, 64, [4096, 1024]),
  ...attention('causal', 8, 128, [32_768, 16_384]),
  ...products('linear', [64, 16, 1], weights.slice(3)),
  ...products('linear', [512], weights),
];
