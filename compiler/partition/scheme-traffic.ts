/**
 * What the usual ways to divide a transformer layer send, as formulas: elements sent per device and layer.
 * Each is the sum over changes of placement that its comment names, and stands here by itself for tables,
 * measurements and as a check of what the compiler derives.
 *
 * N tokens, d = query heads · head size, dk = key heads · head size; keys and values are of one size.
 */

export interface LayerSizes {
  /** N, of the whole sequence. */
  readonly tokens: number;
  readonly queryHeads: number;
  /** Fewer than query heads where these share them (grouped-query attention). */
  readonly keyHeads: number;
  readonly headSize: number;
}

/** Sequence parallelism over P = U·R devices: U exchange heads for tokens, R pass keys and values around. */
export interface SequenceDegrees {
  readonly ulysses: number;
  readonly ring: number;
}

export interface SchemeTraffic {
  readonly forward: number;
  readonly backward: number;
}

export type SchemeName =
  | 'ring'
  | 'ulysses'
  | 'two-dimensional'
  | 'gathered context'
  | 'tensor and sequence'
  | 'experts';

/**
 * The formulas as they are printed. P devices, U of them exchange heads, R pass keys and values around; dk'
 * is `replicatedKeyWidth`; h the width of a token and k its experts.
 */
export const schemeFormulas: Readonly<Record<SchemeName, { readonly [D in keyof SchemeTraffic]: string }>> = {
  ring: { forward: '2(P−1)·N·dk/P', backward: '2(P−1)·N·dk/P + 2·N·dk' },
  ulysses: { forward: "(2·d + 2·dk')·N/P·(P−1)/P", backward: "(2·d + 2·dk')·N/P·(P−1)/P" },
  'two-dimensional': {
    forward: "(2·d + 2·dk')·N/P·(U−1)/U + 2(R−1)·N·dk'/P",
    backward: "(2·d + 2·dk')·N/P·(U−1)/U + 2(R−1)·N·dk'/P + 2·R·N·dk'/P",
  },
  'gathered context': { forward: '2·N·dk·(P−1)/P', backward: '4·N·dk·(P−1)/P' },
  'tensor and sequence': { forward: '4·N·d·(P−1)/P', backward: '6·N·d·(P−1)/P' },
  experts: { forward: '2·N/P·k·h·(P−1)/P', backward: '2·N/P·k·h·(P−1)/P' },
};

function queryWidth({ queryHeads, headSize }: LayerSizes): number {
  return queryHeads * headSize;
}

function keyWidth({ keyHeads, headSize }: LayerSizes): number {
  return keyHeads * headSize;
}

/**
 * dk' = dk · max(1, U / key heads): where there are fewer key heads than devices that exchange heads, each is
 * sent to several, and its gradients are added up again.
 */
export function replicatedKeyWidth(sizes: LayerSizes, ulysses: number): number {
  return keyWidth(sizes) * Math.max(1, ulysses / sizes.keyHeads);
}

/** Whether U devices can exchange heads: they get whole query heads, and whole key heads or copies of one. */
export function canExchangeHeads({ queryHeads, keyHeads }: LayerSizes, ulysses: number): boolean {
  return queryHeads % ulysses === 0 && (keyHeads % ulysses === 0 || ulysses % keyHeads === 0);
}

/**
 * Ring attention (Liu et al., 2023), keys and values `[N@sp, dk]`.
 *
 * Forward: both pass R − 1 times to the next device, as in an all-gather of which nothing is kept:
 * 2(R−1)·N·dk/R. Backward: the same again, and the gradients of both travel one step behind and are home
 * after R sends: 2R·N·dk/R.
 */
export function ringTraffic(sizes: LayerSizes, ring: number): SchemeTraffic {
  return twoDimensionalTraffic(sizes, { ulysses: 1, ring });
}

/**
 * DeepSpeed-Ulysses (Jacobs et al., 2023): four all-to-alls, of queries, keys and values from `[N@sp, heads]`
 * to `[N, heads@sp]`, and of the result back: (2d + 2dk')·N/U·(U−1)/U. Backward: the inverse of each.
 */
export function ulyssesTraffic(sizes: LayerSizes, ulysses: number): SchemeTraffic {
  return twoDimensionalTraffic(sizes, { ulysses, ring: 1 });
}

/**
 * Two-dimensional sequence parallelism (USP, Fang and Zhao, 2024; LongVILA, Chen et al., 2024), queries
 * `[N@(ring, ulysses), d]`: the four all-to-alls over `ulysses` on 1/P of the tokens, then the ring over
 * `ring` on 1/U of the heads: (2d + 2dk')·N/P·(U−1)/U + 2(R−1)·N·dk'/P.
 */
export function twoDimensionalTraffic(sizes: LayerSizes, { ulysses, ring }: SequenceDegrees): SchemeTraffic {
  const tokens = sizes.tokens / (ulysses * ring);
  const keys = tokens * replicatedKeyWidth(sizes, ulysses);
  const queries = tokens * queryWidth(sizes);
  const exchanged = ((2 * queries + 2 * keys) * (ulysses - 1)) / ulysses;
  const passed = 2 * (ring - 1) * keys;
  const gradientsPassed = ring === 1 ? 0 : 2 * ring * keys;
  return { forward: exchanged + passed, backward: exchanged + passed + gradientsPassed };
}

/**
 * Context parallelism by all-gather (Llama 3, Dubey et al., 2024): keys and values `[N@cp, dk]` are gathered,
 * 2·N·dk·(P−1)/P. Backward: gathered again, and their gradients, sums over cp, reduce-scattered.
 */
export function gatheredContextTraffic(sizes: LayerSizes, devices: number): SchemeTraffic {
  const gathered = (2 * sizes.tokens * keyWidth(sizes) * (devices - 1)) / devices;
  return { forward: gathered, backward: 2 * gathered };
}

/**
 * Tensor with sequence parallelism (Korthikanti et al., 2022) of degree t, activations `[N@tp, d]` between
 * blocks: attention and feed-forward each all-gather their input and reduce-scatter their result,
 * 4·N·d·(t−1)/t. Backward: the transpose of each, and the two inputs, kept in parts, gathered again.
 */
export function tensorSequenceTraffic(sizes: LayerSizes, degree: number): SchemeTraffic {
  const once = (sizes.tokens * queryWidth(sizes) * (degree - 1)) / degree;
  return { forward: 4 * once, backward: 6 * once };
}

export interface ExpertSizes {
  /** Of all devices together. */
  readonly tokens: number;
  /** Experts that each token goes to. */
  readonly chosen: number;
  readonly hidden: number;
}

/**
 * Expert parallelism with even loads, tokens `[N@ep, h]`, experts `[E@ep]`: dispatch and combine are
 * all-to-alls of a row for every choice, N/EP·k·h·(EP−1)/EP each. Backward: the inverse of each.
 */
export function expertTraffic({ tokens, chosen, hidden }: ExpertSizes, devices: number): SchemeTraffic {
  const exchanged = ((tokens / devices) * chosen * hidden * (devices - 1)) / devices;
  return { forward: 2 * exchanged, backward: 2 * exchanged };
}
