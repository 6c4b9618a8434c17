/**
 * The partitioner: where everything in a program lives that nobody has placed, and what moves for that. What
 * it gives is a program like any other: it goes through `place` and, as source, through the type checker.
 */
import type { Mesh, Wish } from '../../../dsl/placement/placement.ts';
import type { Graph } from '../../graph/graph.ts';
import { type CostModel, defaultCostModel } from './cost-model.ts';
import { insertReshards, type Partitioned } from './insert-reshards.ts';
import { networkOf } from './network.ts';
import { search } from './search.ts';
import { sliceLayers } from './slice-layers.ts';

export interface AutoOptions {
  readonly mesh: Mesh;
  readonly costs?: CostModel;
  /** By path; those that are not named may live anywhere. */
  readonly inputs: ReadonlyMap<string, Wish>;
  readonly outputs: ReadonlyMap<string, Wish>;
}

/** undefined: what the program itself places does not go together on this mesh. */
export function autoPlace(graph: Graph, options: AutoOptions): Partitioned | undefined {
  const { mesh, inputs, outputs, costs = defaultCostModel } = options;
  const sliced = sliceLayers(graph);
  const network = networkOf(sliced, { mesh, costs, inputs, outputs });
  const solution = search(network, { costs, secondsPerByte: 1e-18 });
  return solution && insertReshards(sliced, network, solution);
}
