/**
 * A planned resharding: the changes that bring a tensor from one placement to another with the least traffic
 * that a memory bound allows. A shortest path by A* over placements, which are few; after Rink et al.,
 * "Memory-efficient array redistribution through portable collective communication", 2021, which shows that
 * slices, all-to-alls, permutations and all-gathers reach every placement without holding more than the ends.
 */
import type { AxisList, Mesh, Placement } from '../../dsl/placement/placement.ts';
import { axesOf, samePlacement, showPending } from '../../dsl/placement/placement.ts';
import type { ChangeFault, PlacementChange } from './change.ts';
import { applyChange, divides, divisionFault, isFault } from './change.ts';
import { elementsToFetch } from './elements-to-fetch.ts';
import { priorityQueue } from './priority-queue.ts';
import { candidateChanges, usefulAxes } from './reshard-candidates.ts';
import type { Links, PlacedTensor } from './traffic.ts';
import { linkOf, localBytes, secondsOf, trafficOf } from './traffic.ts';

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

  // Gathering all and slicing is always a plan, so that some bound is enough.
  for (let bound = memoryLimit ?? needed; ; ) {
    const { plan, leastRefused } = search(request, bound);
    if (plan !== undefined) return plan;
    if (memoryLimit !== undefined)
      return memoryFault(
        `no plan holds at most ${memoryLimit} bytes; the next larger block is of ${leastRefused}`,
      );
    bound = leastRefused;
  }
}

/** `planReshard` for one mesh, with a memory of what it found. */
export function reshardPlanner(
  mesh: Mesh,
  links?: Links,
): (request: Omit<ReshardRequest, 'mesh' | 'links'>) => ReshardPlan | ReshardFault {
  const known = new Map<string, ReshardPlan | ReshardFault>();
  return (request) => {
    const { from, to, shape, elementBytes, memoryLimit } = request;
    const key = [keyOf(from), keyOf(to), shape.join(), elementBytes, memoryLimit].join(';');
    const plan =
      known.get(key) ?? planReshard({ ...request, mesh, ...(links === undefined ? {} : { links }) });
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

/** A placement on the way. */
interface Place {
  readonly tensor: PlacedTensor;
  /** By each device. */
  readonly heldBytes: number;
  /** No way on from here to the goal has less traffic. */
  readonly remaining: number;
}

/** A place and a way to it. */
interface Arrival {
  readonly place: Place;
  readonly cost: Cost;
  readonly last: { readonly from: Arrival; readonly change: PlacementChange } | undefined;
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

function search(request: ReshardRequest, bound: number): Found {
  const { from, to, mesh, links } = request;
  const axes = usefulAxes(from, to, mesh);
  const candidates = candidateChanges(to, axes, mesh);
  const placeOf = rememberedPlaces(request, axes);
  const open = priorityQueue<Arrival>(compareEstimates);
  const best = new Map<Place, Arrival>();
  let leastRefused = Infinity;

  const arrive = (place: Place, cost: Cost, last: Arrival['last']): void => {
    const known = best.get(place);
    if (known !== undefined && compareCosts(known.cost, cost) <= 0) return;
    const arrival = { place, cost, last };
    best.set(place, arrival);
    open.add(arrival);
  };

  arrive(placeOf(from)!, noCost, undefined);
  for (let arrival = open.takeLeast(); arrival !== undefined; arrival = open.takeLeast()) {
    const { place, cost } = arrival;
    const { tensor } = place;
    if (samePlacement(tensor.placement, to)) return { plan: planOf(arrival, request), leastRefused };
    if (best.get(place) !== arrival) continue;
    for (const change of candidates(tensor.placement)) {
      const after = applyChange(tensor.placement, change, mesh);
      const next = isFault(after) ? undefined : placeOf(after);
      if (next === undefined) continue;
      if (next.heldBytes > bound) {
        leastRefused = Math.min(leastRefused, next.heldBytes);
        continue;
      }
      const traffic = trafficOf(change, tensor, mesh);
      const spent = links === undefined ? traffic.bytes : secondsOf(traffic, links);
      const total = {
        traffic: cost.traffic + spent,
        messages: cost.messages + (traffic.axes.length > 0 ? 1 : 0),
        steps: cost.steps + 1,
      };
      arrive(next, total, { from: arrival, change });
    }
  }
  return { plan: undefined, leastRefused };
}

/** One place for each placement; undefined where a dimension does not divide. */
function rememberedPlaces(
  { to, shape, elementBytes, mesh, links }: ReshardRequest,
  axes: AxisList,
): (placement: Placement) => Place | undefined {
  const missing = elementsToFetch(to, shape, axes, mesh);
  const fastest = Math.max(...axes.map((axis) => linkOf(axis, links).bytesPerSecond));
  const elementCost = links === undefined ? elementBytes : elementBytes / fastest;
  const places = new Map<string, Place | undefined>();
  return (placement) => {
    const key = keyOf(placement);
    if (places.has(key)) return places.get(key);
    const tensor = { shape, placement, elementBytes };
    const place = divides(shape, placement, mesh)
      ? { tensor, heldBytes: localBytes(tensor, mesh), remaining: missing(placement) * elementCost }
      : undefined;
    places.set(key, place);
    return place;
  };
}

function compareEstimates(left: Arrival, right: Arrival): number {
  const estimate = ({ cost, place }: Arrival): number => cost.traffic + place.remaining;
  return estimate(left) - estimate(right) || compareWays(left.cost, right.cost);
}

function compareCosts(left: Cost, right: Cost): number {
  return left.traffic - right.traffic || compareWays(left, right);
}

function compareWays(left: Cost, right: Cost): number {
  return left.messages - right.messages || left.steps - right.steps;
}

/** Written in loops, as it is much of the time of a search. */
function keyOf({ dims, pending }: Placement): string {
  let key = '';
  for (const list of dims) {
    for (const axis of list) key += `${axis} `;
    key += '|';
  }
  for (const [axis, combiner] of pending) key += `${combiner} ${axis} `;
  return key;
}

function planOf(goal: Arrival, { mesh, links }: ReshardRequest): ReshardPlan {
  const changes: PlacementChange[] = [];
  let seconds = 0;
  let bytes = 0;
  let peakBytes = goal.place.heldBytes;
  for (let { last } = goal; last !== undefined; last = last.from.last) {
    const { tensor, heldBytes } = last.from.place;
    changes.unshift(last.change);
    const traffic = trafficOf(last.change, tensor, mesh);
    seconds += secondsOf(traffic, links ?? new Map());
    bytes += traffic.bytes;
    peakBytes = Math.max(peakBytes, heldBytes);
  }
  return { steps: changes.reduce(joinSteps, []), seconds, bytes, peakBytes };
}

/** Axes are sliced and masked one by one; what follows on the same dimension is shown as one step. */
function joinSteps(steps: readonly PlacementChange[], next: PlacementChange): readonly PlacementChange[] {
  const last = steps.at(-1);
  const isOneSlice = last?.kind === 'slice' && next.kind === 'slice' && last.dim === next.dim;
  const isOneMask = last?.kind === 'mask' && next.kind === 'mask';
  if (!isOneSlice && !isOneMask) return [...steps, next];
  return [...steps.slice(0, -1), { ...next, axes: [...last.axes, ...next.axes] }];
}
