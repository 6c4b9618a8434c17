/** Each formula is what `trafficOf` says of the changes that make up the scheme. */
import { expect, test } from 'vitest';
import type { Mesh, Placement } from '../../dsl/placement/placement.ts';
import type { PlacementChange } from './change.ts';
import type { LayerSizes, SchemeName, SchemeTraffic } from './scheme-traffic.ts';
import {
  canExchangeHeads,
  expertTraffic,
  gatheredContextTraffic,
  replicatedKeyWidth,
  ringTraffic,
  schemeFormulas,
  tensorSequenceTraffic,
  twoDimensionalTraffic,
  ulyssesTraffic,
} from './scheme-traffic.ts';
import { meshOf, placed } from './testing.ts';
import { trafficOf } from './traffic.ts';

interface Step {
  readonly change: PlacementChange;
  readonly shape: readonly number[];
  readonly placement: Placement;
}

function elementsSent(steps: readonly Step[], mesh: Mesh): number {
  return steps
    .map(({ change, ...tensor }) => trafficOf(change, { ...tensor, elementBytes: 1 }, mesh).bytes)
    .reduce((sum, bytes) => sum + bytes, 0);
}

const layers: readonly LayerSizes[] = [
  { tokens: 192, queryHeads: 8, keyHeads: 8, headSize: 4 },
  { tokens: 192, queryHeads: 8, keyHeads: 2, headSize: 4 },
  { tokens: 192, queryHeads: 16, keyHeads: 1, headSize: 8 },
];
const degrees = [1, 2, 4, 8];

/** `[N, heads, head size]` */
function headsOf({ tokens, headSize }: LayerSizes, width: number): readonly number[] {
  return [tokens, width / headSize, headSize];
}

function exchanges(sizes: LayerSizes, ulysses: number): readonly Step[] {
  const queries = headsOf(sizes, sizes.queryHeads * sizes.headSize);
  const keys = headsOf(sizes, replicatedKeyWidth(sizes, ulysses));
  const toHeads: PlacementChange = { kind: 'all_to_all', axes: ['u'], from: 0, to: 1 };
  const toTokens: PlacementChange = { kind: 'all_to_all', axes: ['u'], from: 1, to: 0 };
  const byTokens = placed(['r u', '', '']);
  return [
    { change: toHeads, shape: queries, placement: byTokens },
    { change: toHeads, shape: keys, placement: byTokens },
    { change: toHeads, shape: keys, placement: byTokens },
    { change: toTokens, shape: queries, placement: placed(['r', 'u', '']) },
  ];
}

/** Keys and values go around: as many sends of a block as in an all-gather. */
function passes(sizes: LayerSizes, ulysses: number): readonly Step[] {
  const keys = headsOf(sizes, replicatedKeyWidth(sizes, ulysses));
  const pass: Step = {
    change: { kind: 'all_gather', axes: ['r'] },
    shape: keys,
    placement: placed(['r', 'u', '']),
  };
  return [pass, pass];
}

/** Gradients of keys and of values: a device sends its whole block to the next one, R times. */
function gradientPasses(sizes: LayerSizes, ulysses: number, ring: number): number {
  const block = (sizes.tokens / ring) * (replicatedKeyWidth(sizes, ulysses) / ulysses);
  return ring === 1 ? 0 : 2 * ring * block;
}

test('ring, Ulysses and two-dimensional sequence parallelism', () => {
  let tried = 0;
  for (const sizes of layers)
    for (const ulysses of degrees)
      for (const ring of degrees) {
        if (!canExchangeHeads(sizes, ulysses)) continue;
        tried += 1;
        const mesh = meshOf({ r: ring, u: ulysses });
        const exchanged = elementsSent(exchanges(sizes, ulysses), mesh);
        const passed = elementsSent(passes(sizes, ulysses), mesh);
        const forward = exchanged + passed;
        const backward = forward + gradientPasses(sizes, ulysses, ring);
        expect(twoDimensionalTraffic(sizes, { ulysses, ring })).toEqual({ forward, backward });
        if (ulysses === 1) expect(ringTraffic(sizes, ring)).toEqual({ forward, backward });
        if (ring === 1) expect(ulyssesTraffic(sizes, ulysses)).toEqual({ forward, backward });
      }
  expect(tried).toBe(48);
});

/** The value of a formula that names its variables: `2(P−1)·N·dk/P`. */
function resultOf(formula: string, variables: Readonly<Record<string, number>>): number {
  const product = formula
    .replaceAll('·', '*')
    .replaceAll('−', '-')
    .replace(/([0-9])\(/g, '$1*(');
  const numbers = product.replace(/[A-Za-z]+'?/g, (name) => String(variables[name]));
  return new Function(`return ${numbers}`)() as number;
}

test('the formulas as they are printed', () => {
  const hidden = 64;
  const chosen = 2;
  for (const sizes of layers)
    for (const [ulysses, ring] of [
      [2, 2],
      [4, 2],
      [2, 8],
    ] as const) {
      const devices = ulysses * ring;
      if (!canExchangeHeads(sizes, devices)) continue;
      const width = (exchanging: number): Readonly<Record<string, number>> => ({
        N: sizes.tokens,
        d: sizes.queryHeads * sizes.headSize,
        dk: sizes.keyHeads * sizes.headSize,
        "dk'": replicatedKeyWidth(sizes, exchanging),
        P: devices,
        U: ulysses,
        R: ring,
        h: hidden,
        k: chosen,
      });
      const experts = expertTraffic({ tokens: sizes.tokens, chosen, hidden }, devices);
      const traffic: Readonly<Record<SchemeName, SchemeTraffic>> = {
        ring: ringTraffic(sizes, devices),
        ulysses: ulyssesTraffic(sizes, devices),
        'two-dimensional': twoDimensionalTraffic(sizes, { ulysses, ring }),
        'gathered context': gatheredContextTraffic(sizes, devices),
        'tensor and sequence': tensorSequenceTraffic(sizes, devices),
        experts,
      };
      for (const [name, { forward, backward }] of Object.entries(schemeFormulas)) {
        const variables = width(name === 'ulysses' ? devices : ulysses);
        const expected = { forward: resultOf(forward, variables), backward: resultOf(backward, variables) };
        expect(traffic[name as SchemeName], name).toEqual(expected);
      }
    }
});

test('heads that can be exchanged', () => {
  const sizes = { tokens: 64, queryHeads: 24, keyHeads: 4, headSize: 8 };
  const possible = [1, 2, 3, 4, 6, 8, 12, 16, 24].filter((ulysses) => canExchangeHeads(sizes, ulysses));
  expect(possible).toEqual([1, 2, 4, 8, 12, 24]);
});

test('context parallelism by all-gather', () => {
  for (const sizes of layers)
    for (const devices of degrees) {
      const mesh = meshOf({ cp: devices });
      const shape = [sizes.tokens, sizes.keyHeads * sizes.headSize];
      const gather: Step = {
        change: { kind: 'all_gather', axes: ['cp'] },
        shape,
        placement: placed(['cp', '']),
      };
      const scatter: Step = {
        change: { kind: 'reduce_scatter', axes: ['cp'], dim: 0 },
        shape,
        placement: placed(['', ''], { cp: 'sum' }),
      };
      expect(gatheredContextTraffic(sizes, devices)).toEqual({
        forward: elementsSent([gather, gather], mesh),
        backward: elementsSent([gather, gather, scatter, scatter], mesh),
      });
    }
});

test('tensor with sequence parallelism', () => {
  for (const sizes of layers)
    for (const degree of degrees) {
      const mesh = meshOf({ tp: degree });
      const shape = [sizes.tokens, sizes.queryHeads * sizes.headSize];
      const gather: Step = {
        change: { kind: 'all_gather', axes: ['tp'] },
        shape,
        placement: placed(['tp', '']),
      };
      const scatter: Step = {
        change: { kind: 'reduce_scatter', axes: ['tp'], dim: 0 },
        shape,
        placement: placed(['', ''], { tp: 'sum' }),
      };
      const block = [gather, scatter];
      // The transpose of an all-gather is a reduce-scatter, and the other way round.
      expect(tensorSequenceTraffic(sizes, degree)).toEqual({
        forward: elementsSent([...block, ...block], mesh),
        backward: elementsSent([...block, ...block, gather, gather], mesh),
      });
    }
});

test('dispatch and combine of experts', () => {
  const [experts, chosen, hidden, tokens] = [8, 2, 16, 256];
  for (const devices of degrees) {
    const mesh = meshOf({ ep: devices });
    // With even loads an expert gets so many rows, of which each device has the same part.
    const shape = [experts, (tokens * chosen) / experts, hidden];
    const dispatch: Step = {
      change: { kind: 'all_to_all', axes: ['ep'], from: 1, to: 0 },
      shape,
      placement: placed(['', 'ep', '']),
    };
    const combine: Step = {
      change: { kind: 'all_to_all', axes: ['ep'], from: 0, to: 1 },
      shape,
      placement: placed(['ep', '', '']),
    };
    const each = elementsSent([dispatch, combine], mesh);
    expect(expertTraffic({ tokens, chosen, hidden }, devices)).toEqual({ forward: each, backward: each });
  }
});

test('keys that are not replicated where they must be are seen', () => {
  const [, grouped] = layers;
  const mesh = meshOf({ r: 1, u: 8 });
  const [queries, , , result] = exchanges(grouped!, 8);
  const shape = [grouped!.tokens, grouped!.keyHeads, grouped!.headSize];
  const keys: Step = { ...queries!, shape };
  const forgotten = elementsSent([queries!, keys, keys, result!], mesh);
  expect(ulyssesTraffic(grouped!, 8).forward).toBeGreaterThan(forgotten);
});
