/** From the program of a whole mesh to that of each of its devices. */
import type { Graph } from '../compiler/graph/graph.ts';
import type { AutoRegion } from '../compiler/lower/auto-region.ts';
import { entryOf } from '../compiler/lower/entry.ts';
import { entryPlacements, entryWishes } from '../compiler/lower/entry-placements.ts';
import { type AutoOptions, autoPlace } from '../compiler/partition/auto/auto-place.ts';
import { placeByHand } from '../compiler/partition/auto/by-hand.ts';
import type { CostModel } from '../compiler/partition/auto/cost-model.ts';
import { type CollectiveOptions, exactOptions } from '../compiler/partition/collectives/options.ts';
import { localizeOptimized } from '../compiler/partition/collectives/passes.ts';
import type { DeviceProgram } from '../compiler/partition/localize.ts';
import type { PlacedGraph, PlaceResult } from '../compiler/partition/place.ts';
import { bytesText } from '../compiler/plan/storage-bytes.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { UserError } from '../runtime/errors.ts';
import { checkExtents } from './index-limits.ts';

export type Partitioned =
  | {
      readonly kind: 'partitioned';
      /** The program of the whole mesh, with all tensors placed and all that moves data in it. */
      readonly placed: PlacedGraph;
      readonly device: DeviceProgram;
    }
  | Extract<PlaceResult, { readonly kind: 'misplaced' }>;

export interface PartitionOptions {
  readonly mesh: Mesh;
  /** Places all that is not placed, as in an `auto fn`, whether the entry is one or not. */
  readonly auto?: boolean;
  /** What the partitioner weighs; a node of H100 if not given. */
  readonly costs?: CostModel;
  /** What may be done to collectives. */
  readonly collectives?: CollectiveOptions;
}

/** A program of a mesh as it is lowered. */
export interface Unplaced {
  readonly program: TypedProgram;
  readonly entry: string;
  readonly graph: Graph;
  /** The calls of an `auto fn`, where the rest is placed by hand. */
  readonly regions: readonly AutoRegion[];
}

/**
 * Inputs and outputs live as the entry declares, and where it does not, in an `auto fn`, as is best. Passes
 * over collectives keep every bit of what is computed, and send no more than is written, unless other options
 * are given.
 * @throws UserError where there is no way to place an `auto fn`, or no room
 */
export function partition(unplaced: Unplaced, options: PartitionOptions): Partitioned {
  const { program, entry, graph, regions } = unplaced;
  const { mesh, auto = false, collectives = exactOptions } = options;
  if (auto || entryOf(program, entry).auto)
    return partitionAutomatically(unplaced, options, entryWishes(program, entry, auto ? 'any' : 'whole'));
  const declared = entryPlacements(program, entry);
  const result = placeByHand(graph, regions, { mesh, ...declared });
  if (result.kind === 'misplaced') return result;
  const { placed } = result;
  if (regions.length > 0)
    return partitionAutomatically(unplaced, options, { ...declared, byHand: placed.placements });
  return { kind: 'partitioned', placed, device: localizeOptimized(placed, collectives) };
}

function partitionAutomatically(
  { entry, graph }: Unplaced,
  { mesh, costs, collectives = exactOptions }: PartitionOptions,
  given: Pick<AutoOptions, 'inputs' | 'outputs' | 'byHand'>,
): Partitioned {
  const result = autoPlace(graph, { mesh, ...given, ...(costs === undefined ? {} : { costs }) });
  switch (result.kind) {
    case 'placed': {
      const { placed, whole } = result;
      checkExtents(placed.graph);
      return { kind: 'partitioned', placed, device: { ...localizeOptimized(placed, collectives), whole } };
    }
    case 'no way':
      throw new UserError(
        'wrong-input',
        `${entry} cannot be placed on this mesh: the collectives and blocks that it contains do not fit it`,
        'choose a mesh whose axes divide what they cut',
      );
    case 'too large':
      throw new UserError(
        'out-of-memory',
        `${entry} needs ${bytesText(result.bytes)} on each device, however it is placed on this mesh`,
        'give --mesh more devices, or devices with more memory',
      );
  }
}
