/** An entry at given sizes as an index graph: as written, placed on a mesh, optimized. */
import type { Graph } from '../compiler/graph/graph.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import { lowerEntry } from '../compiler/lower/lower-entry.ts';
import type { SourceOfTensors } from '../compiler/lower/origin.ts';
import { optimize } from '../compiler/optimize/passes.ts';
import type { CostModel } from '../compiler/partition/auto/cost-model.ts';
import type { CollectiveOptions } from '../compiler/partition/collectives/options.ts';
import type { DeviceProgram } from '../compiler/partition/localize.ts';
import type { PlacedGraph } from '../compiler/partition/place.ts';
import type { Allowance } from '../compiler/tiles/allowances.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import type { Rates } from '../compiler/tiles/device-rates.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import type { Dtype } from '../dsl/types/dtype.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import { UserError } from '../runtime/errors.ts';
import { type Bounded, lowerWithinBounds } from './bounded.ts';
import type { Checked, Rejected } from './check.ts';
import { checkExtents } from './index-limits.ts';
import { misplacedDiagnostics } from './misplaced-diagnostics.ts';
import { partition } from './partition.ts';
import { type Progress, silent } from './progress.ts';

export interface Instance {
  readonly entry: string;
  readonly sizes: ReadonlyMap<string, number>;
  /** Of sizes that are known in a run only: what they are at most. The others are in `sizes`. */
  readonly bounds?: ReadonlyMap<string, number>;
  /** What `float` inputs are, by path; f32 for those left out. */
  readonly inputDtypes: ReadonlyMap<string, Dtype>;
  /** Of more devices than one. Its axes are among the sizes. */
  readonly mesh?: Mesh;
  /** On a mesh: places all that is not placed, as in an `auto fn`, whether the entry is one or not. */
  readonly auto?: boolean;
  /** What the partitioner weighs; a node of H100 if not given. */
  readonly costs?: CostModel;
  /** What is known of the best schedules; the first choice of each if not given. */
  readonly advice?: Advice | undefined;
  /** What was measured of the device, by which first choices go; what those of its kind do if not given. */
  readonly rates?: Rates | undefined;
  /** What matrix units may do that changes results. Of the target `ptx`. */
  readonly allowed?: readonly Allowance[];
  /** Multiprocessors of the GPU, where they are not those of an H100. Of the target `ptx`. */
  readonly processors?: number;
  /** What may be done to collectives; if not given, what changes no bit of the results. */
  readonly collectives?: CollectiveOptions;
}

export interface Lowered {
  readonly kind: 'lowered';
  readonly graph: Graph;
  readonly optimized: Graph;
  /** For inputs of type ix(n), by path: n. */
  readonly below: ReadonlyMap<string, number>;
  /** Of the tensors of `graph`. */
  readonly source: SourceOfTensors;
  /** Texts by path. */
  readonly sources?: ReadonlyMap<string, string>;
  /** What is bounded; `graph` and `optimized` are then the programs of all sizes up to the bounds. */
  readonly bounded?: Bounded;
  /** The program of each device of the mesh that was asked for; `optimized` is then of it. */
  readonly device?: DeviceProgram;
  /** Where on that mesh the tensors of `graph` live. */
  readonly placed?: PlacedGraph;
}

/**
 * The index graph of one entry at given sizes, as written and as optimized; on a mesh also that of each
 * device.
 * @throws UserError when an index would not fit in an i32, or the entry cannot run on the mesh.
 */
export function lower(
  checked: Checked,
  { entry, sizes, bounds, inputDtypes, mesh, ...placing }: Instance,
  progress: Progress = silent,
): Lowered | Rejected {
  progress('lowering', 0, 1);
  if (bounds !== undefined && bounds.size > 0) {
    if (mesh !== undefined) throw noBoundsOnMeshes([...bounds.keys()]);
    const lowered = lowerWithinBounds(checked.program, entry, { sizes, inputDtypes, bounds }, progress);
    return { ...lowered, sources: checked.sources };
  }
  const { auto = false } = placing;
  const lowered = lowerEntry(checked.program, entry, { sizes, inputDtypes, auto });
  if ('diagnostics' in lowered) {
    return { kind: 'rejected', diagnostics: lowered.diagnostics, sources: checked.sources };
  }
  checkExtents(lowered.graph);
  const below = describeEntry(checked.program, entry).inputs.flatMap(({ path, element }) => {
    const range = element.kind === 'ix' ? evaluateSize(element.range, sizes) : undefined;
    return range === undefined ? [] : [[path, range] as const];
  });
  if (mesh !== undefined) progress('partitioning', 0, 1);
  const { graph, regions } = lowered;
  const unplaced = { program: checked.program, entry, graph, regions };
  const partitioned = mesh && partition(unplaced, { mesh, ...placing });
  if (partitioned?.kind === 'misplaced') {
    const misplaced = { entry, graph: lowered.graph, source: lowered.source, ...partitioned };
    const diagnostics = misplacedDiagnostics(checked.program, misplaced);
    return { kind: 'rejected', diagnostics, sources: checked.sources };
  }
  progress('optimizing', 0, 1);
  const optimized = optimize((partitioned?.device ?? lowered).graph);
  progress('optimizing', 1, 1);
  return {
    kind: 'lowered',
    graph: lowered.graph,
    optimized,
    below: new Map(below),
    ...{ source: lowered.source, sources: checked.sources },
    ...(partitioned === undefined ? {} : { device: partitioned.device, placed: partitioned.placed }),
  };
}

/** Bounded sizes are of one device. */
export function noBoundsOnMeshes(names: readonly string[]): UserError {
  return new UserError(
    'wrong-input',
    `${names.join(', ')} is bounded, and on a mesh sizes are numbers`,
    'give it a number, or leave the mesh out',
  );
}
