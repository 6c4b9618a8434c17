/** The workloads: an entry of `cases.ricci`, its sizes, and the work that is useful of it. */

export interface Case {
  readonly name: string;
  readonly entry: string;
  readonly sizes: Readonly<Record<string, number>>;
  /** Useful floating-point operations: the visible half of causal attention, the chosen experts. */
  readonly flops: number;
  /** Bytes of inputs and outputs, each once. */
  readonly bytes: number;
}

const matmul = (size: number): Case => ({
  name: `matmul${size}`,
  entry: 'matmul',
  sizes: { M: size, N: size, K: size },
  flops: 2 * size ** 3,
  bytes: 12 * size ** 2,
});

const attention = { H: 8, S: 512, A: 64 };
const experts = { T: 512, D: 256, F: 512, E: 8 };

/** All in f32, as others have them too. */
export const cases: readonly Case[] = [
  matmul(256),
  matmul(512),
  matmul(1024),
  {
    name: 'softmax1024',
    entry: 'softmax_rows',
    sizes: { N: 1024, M: 1024 },
    flops: 5 * 1024 * 1024,
    bytes: 8 * 1024 * 1024,
  },
  {
    name: 'attention',
    entry: 'causal',
    sizes: attention,
    flops: 2 * attention.H * attention.S * (attention.S + 1) * attention.A,
    bytes: 16 * attention.H * attention.S * attention.A,
  },
  {
    name: 'experts',
    entry: 'experts',
    sizes: experts,
    flops: 2 * experts.T * experts.D * (experts.E + 4 * experts.F),
    bytes: 4 * (2 * experts.T * experts.D + 2 * experts.E * experts.D * experts.F),
  },
];

/** As many bytes as an element of a weight takes; 4 and 8 bits have a scale of 16 for each 32. */
const weightForms = { linear32: 4, linear8: 1 + 2 / 32, linear4: 0.5 + 2 / 32, linear_fp8: 1 };

/** A layer of 2048 × 2048 for one token, which reads its weights once and does little else, and for many. */
const layer = { B: 64, O: 2048 };

export const weightCases: readonly Case[] = [1, 256].flatMap((tokens) =>
  Object.entries(weightForms).map(([entry, bytes]) => ({
    name: `${entry}_${tokens}`,
    entry,
    sizes: { ...layer, T: tokens },
    flops: 2 * tokens * layer.O * layer.B * 32,
    bytes: layer.O * layer.B * 32 * bytes + 4 * tokens * (layer.O + layer.B * 32),
  })),
);
