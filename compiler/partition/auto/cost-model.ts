/** How long devices and their links take, and how much a device holds: what the search weighs. */
import type { AxisList } from '../../../dsl/placement/placement.ts';
import { graphCost, type NodeCost } from '../../graph/cost.ts';
import type { Graph, Node } from '../../graph/graph.ts';
import type { LinkModel, Links } from '../traffic.ts';

export interface CostModel {
  /** Float operations of products. */
  readonly flopsPerSecond: number;
  /** Of a device's memory. */
  readonly bytesPerSecond: number;
  /** That a device may hold of inputs, outputs and what is between them. */
  readonly memoryBytes: number;
  /** By mesh axis. */
  readonly links: Links;
  /** Of axes that `links` does not name. */
  readonly link: LinkModel;
}

/** A device of a node of eight H100, in bf16, with NVLink between them. */
export const defaultCostModel: CostModel = {
  flopsPerSecond: 4e14,
  bytesPerSecond: 2.5e12,
  memoryBytes: 80e9,
  links: new Map(),
  link: { bytesPerSecond: 3.6e11, latencySeconds: 3e-6 },
};

/** The float operations of each node, those in loops too: of one step. */
export function flopsOf(graph: Graph): ReadonlyMap<Node, number> {
  const found = new Map<Node, number>();
  const visit = (costs: readonly NodeCost[]): void => {
    for (const { node, flops, step } of costs) {
      found.set(node, flops);
      visit(step);
    }
  };
  visit(graphCost(graph).nodes);
  return found;
}

/** What connects the devices along each of the axes. */
export function linksAlong(axes: AxisList, { link, links }: CostModel): Links {
  return new Map(axes.map((axis) => [axis, links.get(axis) ?? link]));
}
