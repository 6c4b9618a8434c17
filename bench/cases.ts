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

const matmul = (name: string, M: number, N: number, K: number): Case => ({
  ...{ name, entry: 'matmul', sizes: { M, N, K } },
  flops: 2 * M * N * K,
  bytes: 4 * (M * K + K * N + M * N),
});

const softmax = (name: string, N: number, M: number): Case => ({
  ...{ name, entry: 'softmax_rows', sizes: { N, M } },
  flops: 5 * N * M,
  bytes: 8 * N * M,
});

const attention = (name: string, H: number, S: number, A: number): Case => ({
  ...{ name, entry: 'causal', sizes: { H, S, A } },
  flops: 2 * H * S * (S + 1) * A,
  bytes: 16 * H * S * A,
});

/** Two of the E experts for each token. */
const experts = (name: string, T: number, D: number, F: number, E: number): Case => ({
  ...{ name, entry: 'experts', sizes: { T, D, F, E } },
  flops: 2 * T * D * (E + 4 * F),
  bytes: 4 * (2 * T * D + 2 * E * D * F),
});

/** All in f32, as others have them too. */
const cases: readonly Case[] = [
  matmul('matmul256', 256, 256, 256),
  matmul('matmul512', 512, 512, 512),
  matmul('matmul1024', 1024, 1024, 1024),
  softmax('softmax1024', 1024, 1024),
  attention('attention', 8, 512, 64),
  experts('experts', 512, 256, 512, 8),
];

/** Odd sizes, few rows, long sequences, many small experts: what is fast must not be so at one size alone. */
const otherShapes: readonly Case[] = [
  matmul('matmul_odd', 509, 511, 517),
  matmul('matmul_row', 1, 2048, 2048),
  matmul('matmul_few', 16, 1024, 1024),
  softmax('softmax_odd', 1021, 1003),
  attention('attention_odd', 7, 333, 64),
  attention('attention_long', 2, 2048, 64),
  experts('experts_odd', 509, 250, 300, 7),
  experts('experts_small', 512, 128, 64, 64),
];

/** As many bytes as an element of a weight takes; 4 and 8 bits have a scale of 16 for each 32. */
const weightForms = { linear32: 4, linear8: 1 + 2 / 32, linear4: 0.5 + 2 / 32, linear_fp8: 1 };

/** A layer of 2048 × 2048 for one token, which reads its weights once and does little else, and for many. */
const layer = { B: 64, O: 2048 };

const weightCases: readonly Case[] = [1, 256].flatMap((tokens) =>
  Object.entries(weightForms).map(([entry, bytes]) => ({
    name: `${entry}_${tokens}`,
    entry,
    sizes: { ...layer, T: tokens },
    flops: 2 * tokens * layer.O * layer.B * 32,
    bytes: layer.O * layer.B * 32 * bytes + 4 * tokens * (layer.O + layer.B * 32),
  })),
);

/** Cases by what they may be called for together. */
const groups: Readonly<Record<string, readonly Case[]>> = {
  usual: cases,
  shapes: otherShapes,
  weights: weightCases,
};

/** Every name of a case, and of a group of them. */
export const caseNames: readonly string[] = [
  ...Object.keys(groups),
  ...Object.values(groups).flatMap((group) => group.map(({ name }) => name)),
];

export function namedCases(names: readonly string[]): readonly Case[] {
  return Object.entries(groups).flatMap(([group, members]) =>
    members.filter(({ name }) => names.includes(name) || names.includes(group)),
  );
}
