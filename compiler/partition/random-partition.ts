/**
 * For tests: random meshes and placements, programs that are made legal by collectives, and arithmetic in
 * which a partitioned program gives the same as the whole one to the last bit, or says that it cannot tell.
 */
import {
  type AxisList,
  axesOf,
  devicesAlong,
  type Mesh,
  type PendingCombiner,
  type Placement,
  wholePlacement,
} from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Algebra, TensorValue } from '../graph/algebra.ts';
import { type Choose, type ChooseFor, pick } from '../graph/choice-tape.ts';
import { float64 } from '../graph/float64.ts';
import type {
  CollectiveNode,
  Graph,
  Node,
  PlacementChange,
  Tensor,
  TensorId,
  TensorType,
} from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import { roundTo } from '../graph/rounding.ts';
import { arithmeticOf } from '../graph/scalar.ts';
import { threefry2x32 } from '../graph/threefry.ts';
import { allNodes, allTensors, readsOf, renameReads } from '../graph/uses.ts';
import { withoutCollectives } from '../optimize/collectives.ts';
import { allCoordinates, blockNumber } from './blocks.ts';
import { localShape } from './change.ts';
import { blockPositions } from './devices.ts';
import { type EvenlyPlaced, placeEvenly } from './even/place-evenly.ts';
import { type PlaceOptions, place } from './place.ts';

// ── meshes and placements ──────────────────────────────────────────────────────────────────────────────────

/** Which cuts may be drawn, and how a program with them gets its places. */
export interface CutRule {
  readonly fits: (extent: number, list: AxisList, mesh: Mesh) => boolean;
  readonly place: (graph: Graph, options: PlaceOptions) => EvenlyPlaced;
}

const noWhole = { inputs: new Map(), outputs: new Map() };

/** Blocks are equal as they are. */
export const dividing: CutRule = {
  fits: (extent, list, mesh) => extent % devicesAlong(mesh, list) === 0,
  place: (graph, options) => ({ ...place(graph, options), whole: noWhole }),
};

/** Blocks are made equal. */
export const padding: CutRule = { fits: () => true, place: placeEvenly };

export const axisNames = ['a', 'b', 'c'] as const;

export function randomMesh(choose: Choose): Mesh {
  const names = axisNames.slice(0, 1 + choose(3));
  return { axes: names.map((name) => ({ name, size: pick(choose, [2, 2, 3, 4, 1]) })) };
}

/** Each axis of the mesh is left out, cuts a dimension that it may cut, or is pending. */
export function randomPlacement(
  { dtype, shape }: TensorType,
  mesh: Mesh,
  choose: Choose,
  mayPend: (axis: string) => boolean = () => true,
  { fits } = dividing,
): Placement {
  const dims = shape.map((): string[] => []);
  const pending = new Map<string, PendingCombiner>();
  const wide: readonly PendingCombiner[] =
    arithmeticOf(dtype) === 'bool' ? ['max'] : ['sum', 'sum', 'sum', 'max', 'min'];
  const isNarrow = dtype === 'i8' || dtype === 'u8';
  const combiner = pick(choose, wide);
  const axes = mesh.axes.map(({ name }) => name);
  for (const axis of choose(2) === 0 ? axes : axes.reverse()) {
    const form = choose(6);
    if (form === 0 || (form === 1 && (!mayPend(axis) || isNarrow))) continue;
    if (form === 1) pending.set(axis, combiner);
    else {
      const fitting = dims.filter((list, dim) => fits(shape[dim]!, [...list, axis], mesh));
      if (fitting.length > 0) pick(choose, fitting).push(axis);
    }
  }
  return { dims, pending };
}

/**
 * What each device holds of a whole tensor; of what is pending, random parts. Devices that must hold the same
 * do. Parts are values of the dtype: of another, what stores them first would make something else.
 */
export function scatter(
  value: TensorValue<number>,
  placement: Placement,
  mesh: Mesh,
  seed: number,
): readonly TensorValue<number>[] {
  const { dtype, shape } = value;
  const pending = [...placement.pending.keys()];
  const combiner = [...placement.pending.values()][0];
  const parts = pending.reduce((count, axis) => count * devicesAlong(mesh, [axis]), 1);
  const draw = (position: number, part: number): number => {
    const bits = threefry2x32(seed, part, position, 0)[0] % 5;
    return arithmeticOf(dtype) === 'f32' ? bits / 4 : bits;
  };
  /** What is put into one part, and what makes up for it in another. */
  const partOf = (position: number, part: number): number => {
    const whole = value.data[position] as number;
    const holder = threefry2x32(seed, 99, position, 1)[0] % parts;
    if (combiner === undefined || parts === 1) return whole;
    if (combiner !== 'sum') {
      if (part === holder) return whole;
      if (dtype === 'bool') return Math.min(whole, bits(position, part));
      const other = combiner === 'min' ? whole + draw(position, part) : whole - draw(position, part);
      return isOf(dtype, other) ? other : whole;
    }
    const others = Array.from({ length: parts }, (_, other) =>
      other === holder ? 0 : draw(position, other),
    );
    const difference = whole - others.reduce((sum, other) => sum + other, 0);
    const left = dtype === 'u32' ? difference >>> 0 : difference;
    if (!isOf(dtype, left)) return part === holder ? whole : 0;
    return part === holder ? left : others[part]!;
  };
  const bits = (position: number, part: number): number => threefry2x32(seed, part, position, 2)[0] % 2;
  return allCoordinates(mesh).map((own) => {
    const part = blockNumber(pending, own, mesh);
    const positions = blockPositions(shape, placement, own, mesh);
    const data = Float64Array.from(positions, (position) => partOf(position, part));
    return { dtype, shape: localShape(shape, placement, mesh), data };
  });
}

/** Whether the dtype can hold the number. */
function isOf(dtype: Dtype, number: number): boolean {
  return roundTo(dtype, number) === number;
}

// ── programs ───────────────────────────────────────────────────────────────────────────────────────────────

/** Cuts outputs further here and there. */
export function randomOutputs(
  { placed }: Placed,
  chooseFor: ChooseFor,
  { fits } = dividing,
): ReadonlyMap<string, Placement> {
  const tensors = allTensors(placed.graph);
  return new Map(
    placed.graph.outputs.map(({ path, tensor }) => {
      const found = placed.placements.get(tensor)!;
      const { shape } = tensors.get(tensor)!;
      const free = placed.mesh.axes.filter(({ name }) => !axesOf(found).includes(name));
      const [axis] = free.slice(chooseFor(`output ${path}`)(free.length + 1));
      const dim = shape.findIndex(
        (extent, at) => axis && fits(extent, [...found.dims[at]!, axis.name], placed.mesh),
      );
      const dims = dim < 0 ? found.dims : found.dims.with(dim, [...found.dims[dim]!, axis!.name]);
      return [path, { ...found, dims }] as const;
    }),
  );
}

/** A program that has its places, and what it was before it was padded. */
export interface Placed extends Extract<EvenlyPlaced, { readonly kind: 'placed' }> {
  readonly written: Graph;
}

/** The node of the program of which a node of the padded one was made; nodes that only pad are of none. */
function written(graph: Graph, node: Node | undefined): Node | undefined {
  const defined = node && results(node).map(({ id }) => id);
  return allNodes(graph).find((own) => results(own).some(({ id }) => defined?.includes(id)));
}

/**
 * The program with collectives where it would not be legal without, at random; undefined when that does not
 * lead anywhere soon.
 */
export function placeWithCollectives(
  graph: Graph,
  mesh: Mesh,
  inputs: ReadonlyMap<string, Placement>,
  chooseFor: ChooseFor,
  rule = dividing,
): Placed | undefined {
  let current = withoutCollectives(graph);
  for (let turn = 0; turn < 60; turn++) {
    const result = rule.place(current, { mesh, inputs, outputs: new Map() });
    if (result.kind === 'placed') return { ...result, written: current };
    const node = written(current, result.faults[0]?.node);
    const choose = node && chooseFor(`node ${results(node)[0]!.id}`);
    const next = choose && withCollective(current, node, result.placements, mesh, choose, rule);
    if (next === undefined) return undefined;
    current = next;
  }
  return undefined;
}

function withCollective(
  graph: Graph,
  node: Node,
  placements: ReadonlyMap<TensorId, Placement>,
  mesh: Mesh,
  choose: Choose,
  rule: CutRule,
): Graph | undefined {
  const tensors = allTensors(graph);
  const isPlaced = (tensor: TensorId): boolean => {
    const { dims, pending } = placements.get(tensor)!;
    return pending.size > 0 || dims.some((list) => list.length > 0);
  };
  const newTensor = (like: Tensor): Tensor => ({
    ...like,
    id: Math.max(...tensors.keys()) + 1,
    name: 'moved',
  });
  if (node.kind === 'loop') {
    // All states start whole, and come out of a step whole.
    const initial = node.initial.find(isPlaced);
    if (initial !== undefined) return inserted(initial, toWhole(tensors.get(initial)!));
    const output = node.body.outputs.slice(0, node.initial.length).find(({ tensor }) => isPlaced(tensor));
    if (output === undefined) return undefined;
    const source = tensors.get(output.tensor)!;
    const result = newTensor(source);
    const moved: CollectiveNode = { kind: 'collective', source: source.id, result, change: toWhole(source) };
    const outputs = node.body.outputs.map((own) => (own === output ? { ...own, tensor: result.id } : own));
    const body = { ...node.body, nodes: [...node.body.nodes, moved], outputs };
    return replaced(graph, node, [{ ...node, body }]);
  }
  const candidates = [...readsOf(node)].filter(isPlaced);
  if (candidates.length === 0) return undefined;
  const source = pick(choose, candidates);
  return inserted(source, randomChange(tensors.get(source)!, placements.get(source)!, mesh, choose, rule));

  function inserted(source: TensorId, change: PlacementChange): Graph {
    const result = newTensor(tensors.get(source)!);
    const moved: CollectiveNode = { kind: 'collective', source, result, change };
    const reading =
      node.kind === 'loop'
        ? { ...node, initial: node.initial.map((own) => (own === source ? result.id : own)) }
        : renameReads(node, (tensor) => (tensor === source ? result.id : tensor));
    return replaced(graph, node, [moved, reading]);
  }
}

function replaced(graph: Graph, old: Node, by: readonly Node[]): Graph {
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (node === old) return by;
    return [node.kind === 'loop' ? { ...node, body: replaced(node.body, old, by) } : node];
  });
  return { ...graph, nodes };
}

function toWhole({ shape }: Tensor): PlacementChange {
  return { kind: 'reshard', first: 0, to: wholePlacement(shape.length) };
}

/** Something that is legal for a tensor that is not whole. */
export function randomChange(
  tensor: Tensor,
  from: Placement,
  mesh: Mesh,
  choose: Choose,
  rule: CutRule,
): PlacementChange {
  const { shape } = tensor;
  const pending = [...from.pending.keys()];
  const cut = [...from.dims.keys()].filter((dim) => from.dims[dim]!.length > 0);
  const divided = (axes: readonly string[], except: number): number | undefined => {
    const fitting = [...shape.keys()].filter(
      (dim) => dim !== except && rule.fits(shape[dim]!, [...from.dims[dim]!, ...axes], mesh),
    );
    return fitting.length === 0 ? undefined : pick(choose, fitting);
  };
  const changes: PlacementChange[] = [toWhole(tensor)];
  if (pending.length > 0) {
    const axes = pending.slice(choose(pending.length));
    const dim = divided(axes, -1);
    changes.push({ kind: 'all_reduce', axes });
    if (dim !== undefined) changes.push({ kind: 'reduce_scatter', axes, dim });
  }
  if (cut.length > 0) {
    const dim = pick(choose, cut);
    const axes = from.dims[dim]!.slice(choose(from.dims[dim]!.length));
    const to = divided(axes, dim);
    changes.push({ kind: 'all_gather', axes });
    if (to !== undefined) changes.push({ kind: 'all_to_all', axes, from: dim, to });
  }
  const sums = [...from.pending.values()].every((combiner) => combiner === 'sum');
  const other = randomPlacement(
    { ...tensor, dtype: 'f32' },
    mesh,
    choose,
    (axis) => sums && from.pending.has(axis),
    rule,
  );
  if ([...other.pending.values()].every((combiner) => combiner === 'sum'))
    changes.push({ kind: 'reshard', first: 0, to: other });
  return pick(choose, changes);
}

// ── arithmetic ─────────────────────────────────────────────────────────────────────────────────────────────

/**
 * Doubles of which sums and products are exact, or `isExact` is false ever after. Functions give small multiples
 * of a quarter, in the order in which their arguments come; division is multiplication by such a number, and
 * nothing is rounded in storing: all that the rule takes for linear and monotone is that. The rule takes
 * numbers for finite, too: `isFinite` says whether no product had an infinite factor so far.
 */
export function exactAlgebra(): Algebra<number> & {
  readonly isExact: () => boolean;
  readonly isFinite: () => boolean;
} {
  let exact = true;
  let finite = true;
  const checked = (result: number, error: number): number => {
    if (error !== 0 && Number.isFinite(result)) exact = false;
    return result;
  };
  const add = (left: number, right: number): number => {
    const sum = left + right;
    const back = sum - left;
    return checked(sum, left - (sum - back) + (right - back));
  };
  const mul = (left: number, right: number): number => {
    const product = left * right;
    finite &&= Number.isFinite(left) && Number.isFinite(right);
    const [leftHigh, rightHigh] = [highPart(left), highPart(right)];
    const [leftLow, rightLow] = [left - leftHigh, right - rightHigh];
    const error =
      leftLow * rightLow - (product - leftHigh * rightHigh - leftLow * rightHigh - leftHigh * rightLow);
    return checked(product, error);
  };
  const coarse = (value: number): number => Math.max(-64, Math.min(64, Math.round(value * 4) / 4));
  const { functions } = float64;
  const unary =
    (name: 'exp' | 'log' | 'sqrt' | 'rsqrt' | 'sin' | 'cos' | 'tanh' | 'erf') => (value: number) =>
      coarse(functions[name](value));
  const { dot: _, ...rest } = float64;
  return {
    ...rest,
    name: 'exact',
    functions: {
      ...functions,
      add,
      sub: (left, right) => add(left, -right),
      mul,
      div: (left, right) => mul(left, coarse(1 / right)),
      exp: unary('exp'),
      log: unary('log'),
      sqrt: unary('sqrt'),
      rsqrt: unary('rsqrt'),
      sin: unary('sin'),
      cos: unary('cos'),
      tanh: unary('tanh'),
      erf: unary('erf'),
      pow: (left, right) => coarse(functions.pow(left, right)),
    },
    round: (_dtype, value) => value,
    isExact: () => exact,
    isFinite: () => finite,
  };
}

/** The upper 26 bits (Dekker, "A floating-point technique for extending the available precision", 1971). */
function highPart(value: number): number {
  const scaled = value * (2 ** 27 + 1);
  return scaled - (scaled - value);
}
