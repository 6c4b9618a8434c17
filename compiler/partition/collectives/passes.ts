/**
 * The passes over collectives, in the order in which they run: first over the placed program of the whole
 * mesh, then over that of each device.
 */
import type { Graph } from '../../graph/graph.ts';
import { assertWellFormed } from '../../graph/well-formed.ts';
import { type DeviceProgram, localize } from '../localize.ts';
import type { PlacedGraph } from '../place.ts';
import { hoistInvariant } from './hoist.ts';
import { addFirst } from './linear.ts';
import { mergeSmall } from './merge.ts';
import { narrowFirst } from './narrow.ts';
import type { CollectiveOptions } from './options.ts';
import { recheck } from './recheck.ts';
import { reroute } from './reroute.ts';
import { ringProducts } from './rings.ts';

/** Takes a program in which every tensor has its place, and gives one that is placed anew. */
export interface PlacedPass {
  readonly level: 'placed';
  readonly name: string;
  readonly run: (placed: PlacedGraph, options: CollectiveOptions) => Graph;
}

/** Takes and gives what each device runs. */
export interface DevicePass {
  readonly level: 'device';
  readonly name: string;
  readonly run: (program: DeviceProgram, options: CollectiveOptions) => DeviceProgram;
}

export const placedPasses = [
  { level: 'placed', name: 'hoist-invariant', run: hoistInvariant },
  { level: 'placed', name: 'narrow-first', run: narrowFirst },
  { level: 'placed', name: 'reroute', run: reroute },
  { level: 'placed', name: 'add-first', run: addFirst },
] as const satisfies readonly PlacedPass[];

export const devicePasses = [
  { level: 'device', name: 'ring-products', run: ringProducts },
  { level: 'device', name: 'merge-small', run: mergeSmall },
] as const satisfies readonly DevicePass[];

export type CollectivePassName = (typeof placedPasses | typeof devicePasses)[number]['name'];

/** Hears of what a pass gave that was not taken. */
export type OnRejected = (pass: string, reason: string) => void;

/** What a pass gives is taken if it is found to be right, and left otherwise. */
export function optimizePlaced(
  placed: PlacedGraph,
  options: CollectiveOptions,
  onRejected: OnRejected = () => undefined,
  passes: readonly PlacedPass[] = placedPasses,
): PlacedGraph {
  let current = placed;
  for (const { name, run } of passes) {
    if (options.skip.has(name)) continue;
    const graph = run(current, options);
    assertWellFormed(graph, name);
    const checked = recheck(current, graph);
    if (checked.kind === 'accepted') current = checked.placed;
    else onRejected(name, checked.reason);
  }
  return current;
}

export function optimizeDevice(program: DeviceProgram, options: CollectiveOptions): DeviceProgram {
  let current = program;
  for (const { name, run } of devicePasses) {
    if (options.skip.has(name)) continue;
    current = run(current, options);
    assertWellFormed(current.graph, name);
  }
  return current;
}

/** From a placed program to that of each device, with all passes. */
export function localizeOptimized(
  placed: PlacedGraph,
  options: CollectiveOptions,
  onRejected?: OnRejected,
): DeviceProgram {
  return optimizeDevice(localize(optimizePlaced(placed, options, onRejected)), options);
}
