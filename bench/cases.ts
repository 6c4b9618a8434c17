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
