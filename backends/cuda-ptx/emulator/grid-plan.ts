/** What a launch is, as data, which any thread that runs some of its blocks can be given. */
import type { GlobalRecords } from './global-races.ts';
import type { Kernel } from './kernel.ts';
import { alignTo, lanesOfWarp } from './layout.ts';
import { clockRowBytes, recordBytes } from './race-code.ts';
import { tablesBytes } from './tables.ts';

export type Extent = readonly [number, number, number];

/** How long copies that nobody has waited for take: as long as they may, no time, or a random time. */
export type CopyTiming = 'late' | 'early' | { readonly seed: number };

/** Bytes of global memory that belong together, by the name that faults give them. */
export interface Buffer {
  readonly name: string;
  readonly start: number;
  readonly bytes: number;
}

export interface GridPlan {
  readonly kernel: Kernel;
  readonly grid: Extent;
  readonly block: Extent;
  /** In blocks: those that run together. Of a cooperative launch they are all. */
  readonly cluster: Extent;
  /** Where the blocks of a cooperative launch meet: of others nothing. */
  readonly meetingPlace: number | undefined;
  /** Of a block, with those that the launch gives. */
  readonly sharedBytes: number;
  readonly dynamicShared: number;
  /** Where in memory the arguments are, and the variables of the module. */
  readonly parameters: number;
  readonly constants: number;
  readonly globals: number;
  readonly buffers: readonly Buffer[];
  readonly copies: CopyTiming;
  /** Where races in global memory are looked for. */
  readonly globalRecords: GlobalRecords | undefined;
  /** Of the threads of a cluster, after which it counts as one without an end. */
  readonly mostInstructions: number;
}

export function countOf([x, y, z]: Extent): number {
  return x * y * z;
}

export function clusterCount({ grid, cluster }: GridPlan): number {
  return countOf(grid) / countOf(cluster);
}

export function threadsOf({ block }: Pick<GridPlan, 'block'>): number {
  return countOf(block);
}

export function warpsOf(plan: Pick<GridPlan, 'block'>): number {
  return Math.ceil(threadsOf(plan) / lanesOfWarp);
}

/** Where a thread that runs clusters has what belongs to their blocks, which all clusters use in turn. */
export interface Region {
  readonly clusterBase: number;
  readonly sharedStride: number;
  readonly blocks: readonly BlockRegion[];
  /** Of the thread. */
  readonly tables: number;
  readonly end: number;
}

export interface BlockRegion {
  readonly sharedBase: number;
  readonly localBase: number;
  readonly clocks: number;
  readonly records: number;
  /** Of the registers of its warps. */
  readonly files: number;
}

export const regionAlignment = 1024;

export function regionAt(plan: GridPlan, start: number): Region {
  const { kernel, sharedBytes } = plan;
  const warps = warpsOf(plan);
  const ranks = countOf(plan.cluster);
  const sharedStride = alignTo(sharedBytes, 1024);
  let end = start + sharedStride * ranks;
  const reserve = (bytes: number): number => {
    const own = alignTo(end, 256);
    end = own + bytes;
    return own;
  };
  const blocks = Array.from({ length: ranks }, (_, rank) => ({
    sharedBase: start + rank * sharedStride,
    localBase: reserve(kernel.needs.localBytes * lanesOfWarp * warps),
    clocks: reserve(clockRowBytes * warps),
    records: reserve(kernel.options.checksRaces ? recordBytes(sharedBytes, warps) : 0),
    files: reserve(kernel.fileBytes * warps),
  }));
  const tables = reserve(tablesBytes);
  return { clusterBase: start, sharedStride, blocks, tables, end };
}
