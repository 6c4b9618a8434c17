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

/** Where there is not, what it is worth rises so often by so much, from a small part of what all takes. */
const smallPart = 1e-3;
const rise = 8;
const rises = 10;
const falls = 3;

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
    return { placed: result.placed, seconds: solution.cost, bytes: heldBytes(result.placed) };
  }

  const cheapest = placedAt(hardlyAnything);
  if (cheapest === undefined) return { kind: 'no way' };
  const found = fits(cheapest) ? cheapest : fitted(cheapest);
  return fits(found) ? { kind: 'placed', placed: found.placed } : { kind: 'too large', bytes: found.bytes };

  function fits({ bytes }: Fitted): boolean {
    return bytes <= costs.memoryBytes;
  }

  /** What memory is worth rises until all fits, and then falls as far as it still does. */
  function fitted({ seconds, bytes }: Fitted): Fitted {
    let price = (smallPart * seconds) / bytes;
    let found = placedAt(price)!;
    for (let turn = 1; turn < rises && !fits(found); turn++) {
      price *= rise;
      found = placedAt(price)!;
    }
    let step = Math.sqrt(rise);
    for (let turn = 0; turn < falls && fits(found); turn++) {
      const lower = placedAt(price / step)!;
      if (fits(lower)) {
        found = lower;
        price /= step;
      }
      step = Math.sqrt(step);
    }
    return found;
  }
}

interface Fitted {
  readonly placed: PlacedGraph;
  /** What memory is worth included. */
  readonly seconds: number;
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
