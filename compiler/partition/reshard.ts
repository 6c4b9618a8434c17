/**
 * A planned resharding: the changes that bring a tensor from one placement to another with the least
 * traffic that a memory bound allows. A shortest path by A* over placements, which are few. The steps are
 * those of Rink et al., "Memory-efficient array redistribution through portable collective communication",
 * 2021, and those that combine.
 */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import { axesOf, showPending } from '../../dsl/placement/placement.ts';
import type { ChangeFault, PlacementChange } from './change.ts';
import { divides, divisionFault } from './change.ts';
import type { Junction, PlacementGraph, Road } from './placement-graph.ts';
import { placementGraph, placementKey } from './placement-graph.ts';
import { priorityQueue } from './priority-queue.ts';
import { type Destination, remainingTraffic } from './remaining-traffic.ts';
import { usefulAxes } from './reshard-candidates.ts';
import type { Links } from './traffic.ts';
import { localBytes, localElements, secondsOf, trafficAlong } from './traffic.ts';

export interface ReshardRequest {
  readonly from: Placement;
  readonly to: Placement;
  /** Of the whole tensor. */
  readonly shape: readonly number[];
  /** 2 for bf16 */
  readonly elementBytes: number;
  readonly mesh: Mesh;
  /** Without it the axes are alike, and the plan of least bytes is found instead of the one of least time. */
  readonly links?: Links;
  /**
   * The largest block, in bytes, that a device may hold before, between and after the steps; a step itself
   * holds two. If not given: the larger one of the two ends, or the least more with which there is a plan.
   */
  readonly memoryLimit?: number;
}

export interface ReshardPlan {
  /** `applyChange`, one after another, leads from `from` to `to`. */
  readonly steps: readonly PlacementChange[];
  /** By the model of `secondsOf`. */
  readonly seconds: number;
  /** Sent by the busiest device. */
  readonly bytes: number;
  /** The largest block that a device holds before, between and after the steps. */
  readonly peakBytes: number;
}

export type ReshardFault =
  | ChangeFault
  | { readonly fault: 'no such pending value' | 'needs more memory'; readonly message: string };

/**
 * Of plans that cost the same the one of fewest messages, then of fewest steps, then the one found first, the
 * steps being tried in the order of `candidateChanges`: equal requests have equal plans.
 */
export function planReshard(request: ReshardRequest): ReshardPlan | ReshardFault {
  return planOver(request, (axes) => mapTo(request, axes, placementGraph(axes, request.mesh)));
}

function planOver(
  request: ReshardRequest,
  mapOver: (axes: AxisList) => PlaceMap,
): ReshardPlan | ReshardFault {
  const { from, to, shape, mesh, elementBytes, memoryLimit } = request;
  const impossible =
    repeatedAxisFault(from) ??
    repeatedAxisFault(to) ??
    divisionFault(shape, from, mesh) ??
    divisionFault(shape, to, mesh) ??
    pendingFault(from, to);
  if (impossible !== undefined) return impossible;
  const ends = [from, to].map((placement) => localBytes({ shape, placement, elementBytes }, mesh));
  const needed = Math.max(...ends);
  if (memoryLimit !== undefined && needed > memoryLimit)
    return memoryFault(`a block of ${needed} bytes at an end is more than the limit of ${memoryLimit} bytes`);

  const map = mapOver(usefulAxes(from, to, mesh));
  // Gathering all and slicing is always a plan, so that some bound is enough.
  for (let bound = memoryLimit ?? needed; ; ) {
    const { plan, leastRefused } = search(request, map, bound);
    if (plan !== undefined) return plan;
    if (memoryLimit !== undefined)
      return memoryFault(
        `no plan holds at most ${memoryLimit} bytes; the next larger block is of ${leastRefused}`,
      );
    if (leastRefused === Infinity)
      throw new Error(`no steps lead from ${placementKey(from)} to ${placementKey(to)}`);
    bound = leastRefused;
  }
}

/** `planReshard` for one mesh, with a memory of what it found, and of the placements it came by. */
export function reshardPlanner(
  mesh: Mesh,
  links?: Links,
): (request: Omit<ReshardRequest, 'mesh' | 'links'>) => ReshardPlan | ReshardFault {
  const known = new Map<string, ReshardPlan | ReshardFault>();
  const graphs = new Map<string, PlacementGraph>();
  const maps = new Map<string, PlaceMap>();
  const mapOver = (destination: Destination, axes: AxisList): PlaceMap => {
    const graph = graphs.get(axes.join()) ?? placementGraph(axes, mesh);
    graphs.set(axes.join(), graph);
    const key = [axes, placementKey(destination.to), destination.shape].join(';');
    const map = maps.get(key) ?? mapTo(destination, axes, graph);
    maps.set(key, map);
    return map;
  };
  return (request) => {
    const { from, to, shape, elementBytes, memoryLimit } = request;
    const ends = [from, to].map(placementKey);
    const key = [...ends, shape.join(), elementBytes, memoryLimit].join(';');
    const whole = { ...request, mesh, ...(links === undefined ? {} : { links }) };
    const plan = known.get(key) ?? planOver(whole, (axes) => mapOver(whole, axes));
    known.set(key, plan);
    return plan;
  };
}

// ── faults ─────────────────────────────────────────────────────────────────────────────────────────────────

function memoryFault(message: string): ReshardFault {
  return { fault: 'needs more memory', message };
}

function repeatedAxisFault(placement: Placement): ReshardFault | undefined {
  const axes = axesOf(placement);
  const repeated = axes.find((axis, place) => axes.indexOf(axis) !== place);
  if (repeated === undefined) return undefined;
  return { fault: 'axis occurs twice', message: `${repeated} occurs twice in a placement` };
}

/** What is pending can be combined, and a sum can be made by a mask; there is no other way. */
function pendingFault(from: Placement, to: Placement): ReshardFault | undefined {
  const added = [...to.pending].filter(([axis, combiner]) => from.pending.get(axis) !== combiner);
  const combined = [...from.pending].filter(([axis, combiner]) => to.pending.get(axis) !== combiner);
  const isMixed = ({ pending }: Placement): boolean => new Set(pending.values()).size > 1;
  const other = added.find(([, combiner]) => combiner !== 'sum');
  if (other !== undefined)
    return {
      fault: 'no such pending value',
      message: `no step makes a value pending {${other[1]} ${other[0]}}`,
    };
  if ((combined.length > 0 && isMixed(from)) || (added.length > 0 && isMixed(to))) {
    const ends = [from, to].map(({ pending }) => showPending(pending) || 'nothing pending');
    return { fault: 'different combiners', message: `no steps lead from ${ends[0]} to ${ends[1]}` };
  }
  return undefined;
}

// ── search ─────────────────────────────────────────────────────────────────────────────────────────────────

/** What a junction is to the tensor. */
interface Place {
  readonly junction: Junction;
  /** By each device. */
  readonly heldElements: number;
  /**
   * No way on from here to the goal has less traffic, in the unit of `Cost.traffic`, for elements of so many
   * bytes.
   */
  readonly remaining: (elementBytes: number) => number;
}

/** The placements from which a tensor of a shape may come to its goal. */
interface PlaceMap {
  readonly graph: PlacementGraph;
  /** undefined where a dimension does not divide. */
  readonly placeOf: (junction: Junction) => Place | undefined;
}

/** A place and a way to it. */
interface Arrival {
  readonly place: Place;
  readonly cost: Cost;
  /** Of the traffic to the goal by this way. */
  readonly estimate: number;
  readonly last: { readonly from: Arrival; readonly road: Road } | undefined;
}

/** Compared in this order. */
interface Cost {
  /** Seconds where the links are known, else bytes. */
  readonly traffic: number;
  readonly messages: number;
  readonly steps: number;
}

const noCost: Cost = { traffic: 0, messages: 0, steps: 0 };

interface Found {
  readonly plan: ReshardPlan | undefined;
  /** The smallest block, in bytes, that the bound kept out; infinite if none. */
  readonly leastRefused: number;
}

function search(request: ReshardRequest, { graph, placeOf }: PlaceMap, bound: number): Found {
  const { from, to, elementBytes, links } = request;
  const open = priorityQueue<Arrival>(compareEstimates);
  const best = new Map<Place, Arrival>();
  const goal = graph(to);
  let leastRefused = Infinity;

  const arrive = (place: Place, cost: Cost, last: Arrival['last']): void => {
    const known = best.get(place);
    if (known !== undefined && compareCosts(known.cost, cost) <= 0) return;
    const arrival = { place, cost, estimate: cost.traffic + place.remaining(elementBytes), last };
    best.set(place, arrival);
    open.add(arrival);
  };

  arrive(placeOf(graph(from))!, noCost, undefined);
  for (let arrival = open.takeLeast(); arrival !== undefined; arrival = open.takeLeast()) {
    const { place, cost } = arrival;
    if (place.junction === goal) return { plan: planOf(arrival, request), leastRefused };
    if (best.get(place) !== arrival) continue;
    for (const road of place.junction.roads()) {
      const next = placeOf(road.to);
      if (next === undefined || isStray(road.change, to)) continue;
      if (next.heldElements * elementBytes > bound) {
        leastRefused = Math.min(leastRefused, next.heldElements * elementBytes);
        continue;
      }
      const traffic = trafficAlong(road.route, place.heldElements, elementBytes);
      const spent = links === undefined ? traffic.bytes : secondsOf(traffic, links);
      const total = {
        traffic: cost.traffic + spent,
        messages: cost.messages + (traffic.axes.length > 0 ? 1 : 0),
        steps: cost.steps + 1,
      };
      arrive(next, total, { from: arrival, road });
    }
  }
  return { plan: undefined, leastRefused };
}

/** A mask that is not asked for would have to be combined again. */
function isStray(change: PlacementChange, to: Placement): boolean {
  return change.kind === 'mask' && !change.axes.every((axis) => to.pending.has(axis));
}

function mapTo(destination: Destination, axes: AxisList, graph: PlacementGraph): PlaceMap {
  const { shape, mesh } = destination;
  const remaining = remainingTraffic(destination, axes);
  const places = new Map<Junction, Place | undefined>();
  const placeOf = (junction: Junction): Place | undefined => {
    if (places.has(junction)) return places.get(junction);
    const { placement } = junction;
    const place = divides(shape, placement, mesh)
      ? {
          junction,
          heldElements: localElements({ shape, placement }, mesh),
          remaining: remaining(placement),
        }
      : undefined;
    places.set(junction, place);
    return place;
  };
  return { graph, placeOf };
}

function compareEstimates(left: Arrival, right: Arrival): number {
  return left.estimate - right.estimate || compareWays(left.cost, right.cost);
}

function compareCosts(left: Cost, right: Cost): number {
  return left.traffic - right.traffic || compareWays(left, right);
}

function compareWays(left: Cost, right: Cost): number {
  return left.messages - right.messages || left.steps - right.steps;
}

function planOf(goal: Arrival, { elementBytes, links }: ReshardRequest): ReshardPlan {
  const changes: PlacementChange[] = [];
  let seconds = 0;
  let bytes = 0;
  let peakElements = goal.place.heldElements;
  for (let { last } = goal; last !== undefined; last = last.from.last) {
    const { heldElements } = last.from.place;
    changes.unshift(last.road.change);
    const traffic = trafficAlong(last.road.route, heldElements, elementBytes);
    seconds += secondsOf(traffic, links ?? new Map());
    bytes += traffic.bytes;
    peakElements = Math.max(peakElements, heldElements);
  }
  return { steps: changes.reduce(joinSteps, []), seconds, bytes, peakBytes: peakElements * elementBytes };
}

/** Axes are sliced and masked one by one; what follows on the same dimension is shown as one step. */
function joinSteps(steps: readonly PlacementChange[], next: PlacementChange): readonly PlacementChange[] {
  const last = steps.at(-1);
  const isOneSlice = last?.kind === 'slice' && next.kind === 'slice' && last.dim === next.dim;
  const isOneMask = last?.kind === 'mask' && next.kind === 'mask';
  if (!isOneSlice && !isOneMask) return [...steps, next];
  return [...steps.slice(0, -1), { ...next, axes: [...last.axes, ...next.axes] }];
}
