/**
 * The partitioner: where everything in a program lives that nobody has placed, and what moves for that. What
 * it gives is a program like any other: it goes through `place` and, as source, through the type checker.
 */
import { type Mesh, type Placement, samePlacement, type Wish } from '../../../dsl/placement/placement.ts';
import { peakLiveBytes } from '../../graph/cost.ts';
import type { Graph, TensorId } from '../../graph/graph.ts';
import { optimize } from '../../optimize/passes.ts';
import { dispatchOver } from '../dispatch/derive-dispatch.ts';
import { evenSizes, type WholeShapes } from '../even/even-sizes.ts';
import { localize } from '../localize.ts';
import { type PlacedGraph, place } from '../place.ts';
import { ringOver } from '../ring/ring-over.ts';
import { type CostModel, defaultCostModel } from './cost-model.ts';
import { insertReshards, type Partitioned } from './insert-reshards.ts';
import { type MovementSeconds, movementSeconds } from './movement-seconds.ts';
import { networkOf } from './network.ts';
import { type NodeStrategyOf, rememberedNodeStrategies } from './node-strategy.ts';
import { searcher } from './search.ts';
import { sliceLayers } from './slice-layers.ts';

export interface AutoOptions {
  readonly mesh: Mesh;
  readonly costs?: CostModel;
  /** By path; those that are not named may live anywhere. */
  readonly inputs: ReadonlyMap<string, Wish>;
  readonly outputs: ReadonlyMap<string, Wish>;
  /**
   * Tensors that stay where `place` found them, of a program in which only some parts are for the partitioner
   * (`by-hand.ts`). Then inputs and outputs are as that program declares them, all of them.
   */
  readonly byHand?: ReadonlyMap<TensorId, Placement>;
}

export type AutoResult =
  | {
      readonly kind: 'placed';
      /** With padding where the mesh does not divide a size. */
      readonly placed: PlacedGraph;
      readonly whole: WholeShapes;
    }
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

/**
 * As written, with experts dispatched over an axis, or with attention as a ring over one: what takes least
 * time of what fits a device's memory.
 */
export function autoPlace(graph: Graph, options: AutoOptions): AutoResult {
  const { costs = defaultCostModel, byHand = new Map() } = options;
  // Along one device nothing is divided.
  const mesh = { axes: options.mesh.axes.filter(({ size }) => size > 1) };
  const wishes = {
    inputs: withoutIdle(options.inputs, mesh),
    outputs: withoutIdle(options.outputs, mesh),
  };
  const isOpen = (tensor: TensorId): boolean => !byHand.has(tensor);
  const nodeStrategyOf = rememberedNodeStrategies();
  const secondsFor = movementSeconds(mesh, costs);
  const asked: Asked = { ...wishes, mesh, costs, byHand, nodeStrategyOf, secondsFor };
  const fit = (form: Graph): readonly Fitted[] => {
    const found = fitted(form, asked, true) ?? fitted(form, asked, false);
    return found === undefined ? [] : [found];
  };
  const sliced = sliceLayers(graph, isOpen);
  const written = formsOf(sliced, mesh, isOpen).flatMap(fit);
  // A ring sends what gathering its keys does, and merges besides: it is for what does not fit.
  // What is placed by hand stays as it is.
  const isRoomy = byHand.size > 0 || written.some(({ isTight }) => !isTight);
  const found = isRoomy ? written : [...written, ...ringsOf(sliced, mesh).flatMap(fit)];
  const [first] = found;
  if (first === undefined) return { kind: 'no way' };
  const fitting = found.filter(({ bytes }) => bytes <= costs.memoryBytes);
  if (fitting.length === 0) return { kind: 'too large', bytes: Math.min(...found.map(({ bytes }) => bytes)) };
  const best = fitting.reduce((least, other) => (other.seconds < least.seconds ? other : least));
  return { kind: 'placed', ...padded(best, options.mesh, byHand)! };
}

/**
 * undefined where the rule does not allow what was found: padded as others want it, a dimension may be read
 * across blocks that was not in the search. Nor may it change what is placed by hand.
 */
function padded(
  { graph, placements, inputs, outputs }: Partitioned,
  mesh: Mesh,
  byHand: ReadonlyMap<TensorId, Placement>,
): { readonly placed: PlacedGraph; readonly whole: WholeShapes } | undefined {
  const even = evenSizes(graph, { mesh, placements, outputs });
  const result = place(even.graph, { mesh, inputs, outputs });
  if (result.kind === 'misplaced') return undefined;
  const { placed } = result;
  const isKept = [...byHand].every(([id, own]) => samePlacement(placed.placements.get(id)!, own));
  return isKept ? { placed, whole: even.whole } : undefined;
}

/** The program, and others that compute the same: what is written once may be laid out in several ways. */
function formsOf(graph: Graph, mesh: Mesh, isOpen: (tensor: TensorId) => boolean): readonly Graph[] {
  const dispatched = mesh.axes.map(({ name }) =>
    dispatchOver(graph, [name], mesh, { capacityFactor: undefined, isOpen }),
  );
  return [graph, ...dispatched.filter((form) => form !== graph)];
}

function ringsOf(graph: Graph, mesh: Mesh): readonly Graph[] {
  return mesh.axes.map(({ name }) => ringOver(graph, name, mesh)).filter((form) => form !== graph);
}

/** What is asked for, with what is remembered from one form of the program to the next. */
interface Asked extends Required<AutoOptions> {
  readonly nodeStrategyOf: NodeStrategyOf;
  readonly secondsFor: MovementSeconds;
}

/** What is left to `place` once more, with the axes of one device. */
interface Fitted extends Partitioned {
  readonly seconds: number;
  /** By each device, at most at once. */
  readonly bytes: number;
  /** Whether memory had to be saved: what takes least time would not fit. */
  readonly isTight: boolean;
}

/** undefined: what the program itself places does not go together. */
function fitted(graph: Graph, asked: Asked, uneven: boolean): Fitted | undefined {
  const { mesh, costs, byHand, secondsFor } = asked;
  const network = networkOf(graph, { ...asked, uneven });
  const search = searcher(network, secondsFor);

  function at(secondsPerByte: number): Fitted | undefined {
    const solution = search(secondsPerByte);
    if (solution === undefined) return undefined;
    const partitioned = insertReshards(graph, network, solution);
    const found = padded(partitioned, mesh, byHand);
    if (found === undefined && !uneven) throw new Error('the partitioner placed what does not fit');
    const isTight = secondsPerByte > hardlyAnything;
    return found && { ...partitioned, seconds: solution.seconds, bytes: heldBytes(found.placed), isTight };
  }

  const isFitting = ({ bytes }: Fitted): boolean => bytes <= costs.memoryBytes;
  const cheapest = at(hardlyAnything);
  if (cheapest === undefined || isFitting(cheapest)) return cheapest;
  // What memory is worth rises until all fits, and then falls as far as it still does.
  let price = (smallPart * cheapest.seconds) / cheapest.bytes;
  let found = at(price);
  for (let turn = 1; turn < rises && found && !isFitting(found); turn++) {
    price *= rise;
    found = at(price);
  }
  let step = Math.sqrt(rise);
  for (let turn = 0; turn < falls && found && isFitting(found); turn++) {
    const lower = at(price / step);
    if (lower && isFitting(lower)) {
      found = lower;
      price /= step;
    }
    step = Math.sqrt(step);
  }
  return found;
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
