/**
 * Ways to cut causal attention over a sequence, as entries of `schemes.ricci`, with what each sends: 4
 * sequences of 1024 tokens, 8 heads of 64, f16, over four devices.
 */
import {
  gatheredContextTraffic,
  type LayerSizes,
  ringTraffic,
  type SchemeName,
  twoDimensionalTraffic,
  ulyssesTraffic,
} from '../compiler/partition/scheme-traffic.ts';
import { elementBytes } from '../compiler/plan/storage-bytes.ts';
import type { Instance } from '../driver/lower.ts';

export const devices = 4;
export const tokens = 1024;
/** Heads of all sequences of the batch. */
const heads = 4 * 8;
export const headSize = 64;
export const sizes = { S: tokens, G: heads, A: headSize };
const layer: LayerSizes = { tokens, queryHeads: heads, keyHeads: heads, headSize };
const f16 = elementBytes('f16');

export interface Scheme {
  readonly name: string;
  readonly entry: string;
  readonly axes: Readonly<Record<string, number>>;
  readonly formula: SchemeName;
  /** Bytes that a device sends. */
  readonly predicted: number;
  /** Which token is at each place of the sequence, where it is not its own. */
  readonly order?: (place: number) => number;
}

/** Where each of a block's tokens stands, in i32, goes around with its keys and values. */
const positionBytes = ((devices - 1) * tokens * elementBytes('i32')) / devices;

function zigzag(place: number): number {
  const length = tokens / (2 * devices);
  const [chunk, within] = [Math.floor(place / length), place % length];
  const device = chunk >> 1;
  return (chunk % 2 === 0 ? device : 2 * devices - 1 - device) * length + within;
}

function striped(place: number): number {
  const block = tokens / devices;
  return (place % block) * devices + Math.floor(place / block);
}

const aRing = {
  axes: { sp: devices },
  formula: 'ring',
  predicted: ringTraffic(layer, devices).forward * f16,
} as const;
const inOrder = { ...aRing, entry: 'ring_ordered', predicted: aRing.predicted + positionBytes } as const;

export const schemes: readonly Scheme[] = [
  {
    name: 'all-gather (Megatron)',
    entry: 'gathered',
    axes: { sp: devices },
    formula: 'gathered context',
    predicted: gatheredContextTraffic(layer, devices).forward * f16,
  },
  { ...aRing, name: 'ring', entry: 'ring' },
  { ...inOrder, name: 'ring, zigzag', order: zigzag },
  { ...inOrder, name: 'ring, striped', order: striped },
  {
    name: 'Ulysses',
    entry: 'ulysses',
    axes: { sp: devices },
    formula: 'ulysses',
    predicted: ulyssesTraffic(layer, devices).forward * f16,
  },
  {
    name: '2D, 2 nodes of 2',
    entry: 'two_d',
    axes: { node: 2, gpu: 2 },
    formula: 'two-dimensional',
    predicted: twoDimensionalTraffic(layer, { ulysses: 2, ring: 2 }).forward * f16,
  },
];

/** An entry on a mesh, or on one device where there are no axes. */
export function schemeInstance(entry: string, axes: Scheme['axes']): Instance {
  const mesh = { axes: Object.entries(axes).map(([name, size]) => ({ name, size })) };
  const alone = { entry, sizes: new Map(Object.entries({ ...sizes, ...axes })), inputDtypes: new Map() };
  return mesh.axes.length === 0 ? alone : { ...alone, mesh };
}
