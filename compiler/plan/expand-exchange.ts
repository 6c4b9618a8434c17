/**
 * An exchange of one group as what its devices do to each other's memory, the devices being named by rank:
 * copies, and for the verbs that combine, kernels that read the buffers of several devices. Pure data; a
 * runtime that has all devices of a mesh in one memory runs it as it is.
 */
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { ExchangeNode, ExchangeVerb } from '../graph/graph.ts';
import { chunkCount, verbFacts } from './exchange-verbs.ts';
import { uniformStride } from './expand.ts';
import type { ExchangeStep } from './package.ts';
import { bufferBytes, elementBytes, elementCount, packedBytes, wordBytes } from './storage-bytes.ts';

export type ExchangePart = CopyPart | CombinePart;

/** Between the source of one rank and the result of another. Not of whole words where these are not. */
export interface CopyPart {
  readonly kind: 'copy';
  readonly from: RankPlace;
  readonly to: RankPlace;
  readonly bytes: number;
}

export interface RankPlace {
  readonly rank: number;
  readonly byte: number;
}

/**
 * `total[e] = source of the first of reads [first + e] ∘ … ∘ source of the last [first + e]`, in this order,
 * for each e below `elements`, where `total` begins as what is in the scratch memory if `continues`. It goes
 * to the start of the result of each rank in `writes`, or to the scratch memory if there are none.
 */
export interface CombinePart {
  readonly kind: 'combine';
  readonly dtype: Dtype;
  readonly combiner: PendingCombiner;
  readonly continues: boolean;
  readonly reads: readonly number[];
  readonly writes: readonly number[];
  /** The results are where the sources are: `writes` are the `reads`, and each buffer is bound once. */
  readonly inPlace: boolean;
  readonly first: number;
  readonly elements: number;
  /** Elements of each source. */
  readonly sourceElements: number;
}

/** An exchange, wherever its tensors are. */
export type Exchanged = Omit<ExchangeStep, 'from' | 'to' | 'tensor'>;

export function exchangeOf({ verb, axes, devices, combiner, result }: ExchangeNode): Exchanged {
  const { dtype, shape } = result;
  const elements = elementCount(shape) / chunkCount(verbFacts[verb].result, devices);
  return { kind: 'exchange', verb, axes: [...axes], devices, combiner, dtype, elements };
}

/** Storage buffers that a kernel may bind on any WebGPU device. */
const mostBindings = 8;

export function exchangeParts(step: ExchangeStep): readonly ExchangePart[] {
  return parts[step.verb](step);
}

const parts: { readonly [V in ExchangeVerb]: (step: ExchangeStep) => readonly ExchangePart[] } = {
  all_gather: (step) =>
    pairs(step).map(([from, to]) => chunkCopy(step, { rank: from, chunk: 0 }, { rank: to, chunk: from })),
  all_to_all: (step) =>
    pairs(step).map(([from, to]) => chunkCopy(step, { rank: from, chunk: to }, { rank: to, chunk: from })),
  shift: (step) => ranks(step).map((from) => wholeCopy(step, from, (from + 1) % step.devices)),
  broadcast: (step) =>
    ranks(step)
      .filter((to) => step.from !== step.to || to !== 0)
      .map((to) => wholeCopy(step, 0, to)),
  all_reduce: (step) => combine(step, 0, ranks(step)),
  reduce_scatter: (step) => ranks(step).flatMap((rank) => combine(step, rank * step.elements, [rank])),
};

function ranks({ devices }: ExchangeStep): readonly number[] {
  return Array.from({ length: devices }, (_, rank) => rank);
}

function pairs(step: ExchangeStep): readonly (readonly [number, number])[] {
  return ranks(step).flatMap((from) => ranks(step).map((to) => [from, to] as const));
}

interface ChunkPlace {
  readonly rank: number;
  readonly chunk: number;
}

function chunkCopy(step: ExchangeStep, from: ChunkPlace, to: ChunkPlace): CopyPart {
  const bytes = chunkBytes(step);
  const place = ({ rank, chunk }: ChunkPlace) => ({ rank, byte: chunk * bytes });
  return { kind: 'copy', from: place(from), to: place(to), bytes };
}

/** With the rest of the last word. */
function wholeCopy({ dtype, elements }: ExchangeStep, from: number, to: number): CopyPart {
  const bytes = bufferBytes({ dtype, shape: [elements] });
  return { kind: 'copy', from: { rank: from, byte: 0 }, to: { rank: to, byte: 0 }, bytes };
}

function chunkBytes({ dtype, elements }: Exchanged): number {
  return packedBytes({ dtype, shape: [elements] });
}

/** Whether the device's own copy serves. */
export function isWholeWords({ from, to, bytes }: CopyPart): boolean {
  return [from.byte, to.byte, bytes].every((at) => at % wordBytes === 0);
}

/** In one kernel where it can bind all buffers; else through scratch memory, a few buffers at a time. */
function combine(step: ExchangeStep, first: number, writes: readonly number[]): readonly CombinePart[] {
  const { verb, devices, dtype, combiner, elements } = step;
  const sourceElements = elements * chunkCount(verbFacts[verb].source, devices);
  const all = ranks(step);
  const part = (
    continues: boolean,
    reads: readonly number[],
    to: readonly number[],
    inPlace = false,
  ): CombinePart => ({
    kind: 'combine',
    dtype,
    combiner,
    continues,
    reads,
    writes: to,
    inPlace,
    first: reads.length === 0 ? 0 : first,
    elements,
    sourceElements,
  });
  if (combinesAtOnce(step)) return [part(false, all, writes, step.from === step.to)];
  const inPieces = (list: readonly number[]) =>
    Array.from({ length: Math.ceil(list.length / (mostBindings - 1)) }, (_, piece) =>
      list.slice(piece * (mostBindings - 1), (piece + 1) * (mostBindings - 1)),
    );
  return [
    ...inPieces(all).map((reads, piece) => part(piece > 0, reads, [])),
    ...inPieces(writes).map((piece) => part(true, [], piece)),
  ];
}

function combinesAtOnce({ verb, devices, from, to }: ExchangeStep): boolean {
  const results = verb === 'all_reduce' ? devices : 1;
  return (from === to ? devices : devices + results) <= mostBindings;
}

// ── what it takes ──────────────────────────────────────────────────────────────────────────────────────────

/** Bytes of memory that hold totals while they are combined, in the arithmetic type: a word an element. */
export function scratchBytes(step: ExchangeStep): number {
  if (step.verb !== 'all_reduce' && step.verb !== 'reduce_scatter') return 0;
  // Whole words of the results, so that kernels need not look at single elements.
  const perWord = wordBytes / elementBytes(step.dtype);
  return combinesAtOnce(step) ? 0 : Math.ceil(step.elements / perWord) * perWord * wordBytes;
}

/** What tells the kernels of a part where to work; undefined for copies of the device itself. */
export function uniformOf(part: ExchangePart): readonly number[] | undefined {
  if (part.kind === 'combine') return [part.elements, part.first];
  return isWholeWords(part) ? undefined : [part.to.byte, part.bytes, part.from.byte];
}

/** Bytes of the different uniforms of all parts, counted without making the parts. */
export function exchangeUniformBytes(step: ExchangeStep): number {
  const { devices } = step;
  const isAligned = chunkBytes(step) % wordBytes === 0;
  const counts: { readonly [V in ExchangeVerb]: number } = {
    all_gather: isAligned ? 0 : devices,
    all_to_all: isAligned ? 0 : devices * devices,
    shift: 0,
    broadcast: 0,
    all_reduce: 1,
    reduce_scatter: devices,
  };
  return counts[step.verb] * uniformStride;
}

/**
 * Bytes that a rank sends to others, as devices with memories of their own do it: to combine, each combines
 * its share of the elements and sends what comes of it to all that want it; what is broadcast is passed on.
 */
export function sentBytes(step: Exchanged, rank: number): number {
  const { devices, elements, verb, dtype } = step;
  if (verb === 'all_reduce') {
    const own = Math.floor(((rank + 1) * elements) / devices) - Math.floor((rank * elements) / devices);
    return (elements - own + own * (devices - 1)) * elementBytes(dtype);
  }
  const others = devices - 1;
  const chunks: { readonly [V in Exclude<ExchangeVerb, 'all_reduce'>]: number } = {
    all_gather: others,
    all_to_all: others,
    reduce_scatter: others,
    shift: devices === 1 ? 0 : 1,
    broadcast: rank < devices - 1 ? 1 : 0,
  };
  return chunks[verb] * chunkBytes(step);
}
