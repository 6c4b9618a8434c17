/**
 * The partitioner: where everything in a program lives that nobody has placed, and what moves for that. What
 * it gives is a program like any other: it goes through `place` and, as source, through the type checker.
 */
import type { Mesh, Wish } from '../../../dsl/placement/placement.ts';
import { peakLiveBytes } from '../../graph/cost.ts';
import type { Graph } from '../../graph/graph.ts';
import { optimize } from '../../optimize/passes.ts';
import { localize } from '../localize.ts';
import { type PlacedGraph, place } from '../place.ts';
import { type CostModel, defaultCostModel } from './cost-model.ts';
import { insertReshards } from './insert-reshards.ts';
import { networkOf } from './network.ts';
import { searcher } from './search.ts';
import { sliceLayers } from './slice-layers.ts';

export interface AutoOptions {
  readonly mesh: Mesh;
  readonly costs?: CostModel;
  /** By path; those that are not named may live anywhere. */
  readonly inputs: ReadonlyMap<string, Wish>;
  readonly outputs: ReadonlyMap<string, Wish>;
}

export type AutoResult =
  | { readonly kind: 'placed'; readonly placed: PlacedGraph }
  /** What the program itself places does not go together on this mesh. */
  | { readonly kind: 'no way' }
  /** However it is cut, a device would hold more than it has. */
  | { readonly kind: 'too large'; readonly bytes: number };

/** What a byte is worth where there is memory enough: of two ways that take as long, the smaller one. */
const hardlyAnything = 1e-18;

/** The first price of memory where there is not, and by what it rises. */
const firstPrice = 1e-14;
const rise = 8;
const most = 1e-3;

export function autoPlace(graph: Graph, options: AutoOptions): AutoResult {
  const { costs = defaultCostModel } = options;
  // Along one device nothing is divided.
  const mesh = { axes: options.mesh.axes.filter(({ size }) => size > 1) };
  const inputs = withoutIdle(options.inputs, mesh);
  const outputs = withoutIdle(options.outputs, mesh);
  const sliced = sliceLayers(graph);
  const network = networkOf(sliced, { mesh, costs, inputs, outputs });
  const search = searcher(network, costs);

  function placedAt(secondsPerByte: number): Fitted | undefined {
    const solution = search(secondsPerByte);
    if (solution === undefined) return undefined;
    const partitioned = insertReshards(sliced, network, solution);
    const result = place(partitioned.graph, {
      mesh: options.mesh,
      inputs: partitioned.inputs,
      outputs: partitioned.outputs,
    });
    if (result.kind === 'misplaced')
      throw new Error(`the partitioner placed what does not fit: ${result.faults[0]?.message}`);
    return { placed: result.placed, bytes: heldBytes(result.placed) };
  }

  let found = placedAt(hardlyAnything);
  for (let price = firstPrice; found && found.bytes > costs.memoryBytes && price < most; price *= rise)
    found = placedAt(price);
  if (found === undefined) return { kind: 'no way' };
  return found.bytes > costs.memoryBytes
    ? { kind: 'too large', bytes: found.bytes }
    : { kind: 'placed', placed: found.placed };
}

interface Fitted {
  readonly placed: PlacedGraph;
  /** By each device, at most at once. */
  readonly bytes: number;
}

function heldBytes(placed: PlacedGraph): number {
  return peakLiveBytes(optimize(localize(placed).graph));
}

function withoutIdle(wishes: ReadonlyMap<string, Wish>, { axes }: Mesh): ReadonlyMap<string, Wish> {
  const isActive = (axis: string): boolean => axes.some(({ name }) => name === axis);
  return new Map(
    [...wishes].map(([path, { dims, pending }]) => [
      path,
      {
        dims: dims.map((list) => (list === 'any' ? list : list.filter(isActive))),
        pending: new Map([...pending].filter(([axis]) => isActive(axis))),
      },
    ]),
  );
}
