/**
 * Makes a program at its capacities mean, for every size up to the bounds, what it means at that size: in all
 * positions that there are in a run. Those behind hold anything, and nobody looks at them: reads stay in
 * range, reductions get what changes nothing, and a softmax does not see them. Each tensor and each reduced
 * axis says where it ends, so that kernels need not go further.
 */
import { type Extent, extentScalar, sameExtent, scaledExtent } from '../graph/extent.ts';
import type {
  Combiner,
  ComputeNode,
  Ends,
  Graph,
  LoopId,
  Node,
  OrderNode,
  RouteNode,
  Scalar,
  SoftmaxSumNode,
  Tensor,
  TensorId,
} from '../graph/graph.ts';
import {
  apply,
  arithmeticOf,
  constant,
  iterator,
  iterators,
  iteratorsOf,
  type Load,
  load,
  scalarType,
  subexpressions,
  substituteLoads,
} from '../graph/scalar.ts';
import { allTensors, mapNodeScalars, renameReads } from '../graph/uses.ts';
import { assertWellFormed } from '../graph/well-formed.ts';
import { factorsOf, product } from '../optimize/contraction.ts';
import { contains, rangeAnalysis, valuesOf } from '../optimize/expressions/ranges.ts';
import { extentsOf, greatestId } from '../optimize/nodes.ts';
import { identityOf } from '../optimize/reductions.ts';
import type { NumberedGraph } from './bounded-numbers.ts';
import { Unlike } from './zip-graphs.ts';

/** @throws Unlike when a part of the program cannot end at run time */
export function withEnds({ graph, extents, fixed }: NumberedGraph): Graph {
  const bounded = boundedGraph(graph, {
    ...{ extents, fixed },
    tensors: allTensors(graph),
    loops: new Map(),
    ids: { next: greatestId(graph) + 1 },
    picks: new Map(),
  });
  assertWellFormed(bounded, 'bounding');
  return bounded;
}

interface Surroundings extends Pick<NumberedGraph, 'extents' | 'fixed'> {
  readonly tensors: ReadonlyMap<TensorId, Tensor>;
  readonly loops: ReadonlyMap<LoopId, number>;
  readonly ids: { next: TensorId };
  /** Of what routes sort, by its tensor: copies that pick the first expert behind the end. */
  readonly picks: Map<TensorId, Tensor>;
}

function boundedGraph(graph: Graph, around: Surroundings): Graph {
  return {
    ...graph,
    inputs: graph.inputs.map(({ path, tensor }) => ({ path, tensor: ended(tensor, around) })),
    nodes: graph.nodes.flatMap((node) => boundedNodes(node, around)),
  };
}

function endsOf(extents: readonly number[], around: Surroundings): Ends | undefined {
  const ends = extents.map((extent) => around.extents.get(extent));
  return ends.some((end) => end !== undefined) ? ends : undefined;
}

function ended(tensor: Tensor, around: Surroundings): Tensor {
  const ends = endsOf(tensor.shape, around);
  return ends === undefined ? tensor : { ...tensor, ends };
}

type BoundedNodes = {
  readonly [K in Node['kind']]: (node: Extract<Node, { kind: K }>, around: Surroundings) => readonly Node[];
};

const boundedKinds: BoundedNodes = {
  compute: (node, around) => [boundedCompute(readingPicks(node, around), around)],
  softmaxSum: (node, around) => [boundedSoftmaxSum(node, around)],
  order: boundedOrder,
  // What is behind the end comes after all that is not.
  prefix: (node, around) => [{ ...node, result: ended(node.result, around) }],
  route: boundedRoute,
  loop: (node, around) => {
    if (around.extents.has(node.count)) throw new Unlike('the steps of a loop depend on it');
    const loops = new Map([...around.loops, [node.loop, node.count]]);
    const body = boundedGraph(node.body, { ...around, loops });
    return [{ ...node, body, results: node.results.map((result) => ended(result, around)) }];
  },
  collective: ({ change }) => {
    throw new Error(`${change.kind} is taken out before a program is bounded`);
  },
  block: ({ direction }) => {
    throw new Error(`the ${direction} of a block is taken out before a program is bounded`);
  },
  exchange: ({ verb }) => {
    throw new Error(`${verb} is on a mesh, and programs there are not bounded`);
  },
};

function boundedNodes(node: Node, around: Surroundings): readonly Node[] {
  return (boundedKinds[node.kind] as (node: Node, around: Surroundings) => readonly Node[])(node, around);
}

// ── comprehensions ─────────────────────────────────────────────────────────────────────────────────────────

/** Ends of a node's axes, by axis. */
type AxisEnds = ReadonlyMap<number, Extent>;

function axisEnds(node: Node, { extents, fixed }: Surroundings): AxisEnds {
  return new Map(
    extentsOf(node).flatMap((extent, axis) => {
      const end = extents.get(extent);
      if (end === undefined && !fixed.has(extent))
        throw new Unlike('an axis is made of it and others together');
      return end === undefined ? [] : [[axis, end] as const];
    }),
  );
}

function boundedCompute(node: ComputeNode, around: Surroundings): ComputeNode {
  const ends = axisEnds(node, around);
  const { reduce, ...inRange } = mapNodeScalars(node, (scalar) => guarded(scalar, node, ends, around));
  const result = ended(node.result, around);
  if (reduce === undefined) return { ...inRange, result, reduce };
  const rank = result.shape.length;
  const inner = [...ends.keys()].filter((axis) => axis >= rank);
  const body = masked(inRange.body, reduce.combiner, inner, ends);
  const ofReduced = endsOf(reduce.extents, around);
  return {
    ...inRange,
    result,
    body,
    reduce: ofReduced === undefined ? reduce : { ...reduce, ends: ofReduced },
  };
}

function boundedSoftmaxSum(node: SoftmaxSumNode, around: Surroundings): SoftmaxSumNode {
  const ends = axisEnds(node, around);
  const { partial, ...inRange } = mapNodeScalars(node, (scalar) => guarded(scalar, node, ends, around));
  const streamed = node.result.shape.length;
  const scored = [...ends.keys()].filter((axis) => axis > streamed);
  const own = ends.has(streamed) ? [streamed] : [];
  const isReal = within(own, ends);
  return {
    ...inRange,
    result: ended(node.result, around),
    ...(isReal === undefined ? {} : { end: ends.get(streamed)! }),
    scoreBody: masked(inRange.scoreBody, 'sum', scored, ends),
    ...(isReal === undefined || seesNothingBehind(node, ends)
      ? {}
      : { visible: bothVisible(isReal, inRange) }),
    ...(partial === undefined
      ? {}
      : { partial: { ...partial, top: ended(partial.top, around), total: ended(partial.total, around) } }),
  };
}

function bothVisible(isReal: Scalar, { visible }: Pick<SoftmaxSumNode, 'visible'>): Scalar {
  return visible === undefined ? isReal : apply('and', isReal, visible);
}

/** Whether a row that there is sees no further than to its own position, as in causal attention. */
function seesNothingBehind({ visible, result }: SoftmaxSumNode, ends: AxisEnds): boolean {
  const streamed = result.shape.length;
  const end = ends.get(streamed);
  return conjuncts(visible).some((part) => {
    if (part.op !== 'apply' || (part.function !== 'le' && part.function !== 'lt')) return false;
    const [left, right] = part.operands as [Scalar, Scalar];
    if (left.op !== 'iterator' || left.axis !== streamed || right.op !== 'iterator') return false;
    const own = ends.get(right.axis);
    return own !== undefined && end !== undefined && sameExtent(own, end);
  });
}

function conjuncts(condition: Scalar | undefined): readonly Scalar[] {
  if (condition === undefined) return [];
  return condition.op === 'apply' && condition.function === 'and'
    ? condition.operands.flatMap(conjuncts)
    : [condition];
}

/** `i < n` for each of the axes; undefined for none. */
function within(axes: Iterable<number>, ends: AxisEnds): Scalar | undefined {
  const conditions = [...axes].map((axis) => apply('lt', iterator(axis), extentScalar(ends.get(axis)!)));
  return conditions.length === 0 ? undefined : conditions.reduce((left, right) => apply('and', left, right));
}

function chosen(condition: Scalar | undefined, value: Scalar, otherwise: number): Scalar {
  if (condition === undefined) return value;
  return apply('select', condition, value, constant(scalarType(value), otherwise));
}

/**
 * The expression with all loads in the range of what is stored, also where an axis runs behind its end. What
 * keeps a read in range may be a condition around it, which is that of nothing there.
 */
function guarded(root: Scalar, node: Node, ends: AxisEnds, around: Surroundings): Scalar {
  const { tensors, loops } = around;
  const range = rangeAnalysis({ extents: extentsOf(node), loops });
  const copies = new Set([...around.picks.values()].map(({ id }) => id));
  const isSafePick = (subscript: Scalar) => subscript.op === 'load' && copies.has(subscript.tensor);
  const endedIn = (scalar: Scalar) => [...iteratorsOf(scalar)].filter((axis) => ends.has(axis));
  const inConditions = subexpressions(root).flatMap((part) =>
    part.op === 'apply' && part.function === 'select' ? endedIn(part.operands[0]!) : [],
  );
  return substituteLoads(root, (read: Load) => {
    // Copies of picks are read by iterators alone.
    if (copies.has(read.tensor)) return read;
    const { shape } = tensors.get(read.tensor)!;
    const unsafe = read.subscripts.filter(
      (subscript, dim) =>
        !isSafePick(subscript) && !contains({ low: 0, high: shape[dim]! - 1 }, range(subscript)),
    );
    if (unsafe.length === 0) return read;
    return chosen(within(new Set([...unsafe.flatMap(endedIn), ...inConditions]), ends), read, 0);
  });
}

/**
 * The body of a reduction, with what changes nothing where one of `axes` is behind its end. A product that is
 * summed stays one, each factor masked: a contraction is known by it. Masks choose, and never multiply: what
 * lies behind an end may be infinite or NaN.
 */
function masked(body: Scalar, combiner: Combiner, axes: readonly number[], ends: AxisEnds): Scalar {
  if (axes.length === 0) return body;
  const factors = combiner === 'sum' ? factorsOf(body) : [body];
  if (factors.length === 1) {
    const identity = identityOf(combiner, scalarType(body)) ?? leastWanted(combiner, body);
    return chosen(within(axes, ends), body, identity);
  }
  const isReal = within(axes, ends);
  const isNumber = (factor: Scalar) => factor.op === 'constant' && Number.isFinite(factor.value);
  return product(factors.map((factor) => (isNumber(factor) ? factor : chosen(isReal, factor, 0))));
}

/** What a position search does not take before anything that there is: ties go to the lower position. */
function leastWanted(combiner: Combiner, body: Scalar): number {
  const type = scalarType(body);
  if (type === 'f32') return Number.NaN;
  const { low, high } = valuesOf(type);
  return combiner === 'argmax' ? low : high;
}

// ── what is no comprehension ───────────────────────────────────────────────────────────────────────────────

/** What is behind the end is sorted behind all else. */
function boundedOrder(node: OrderNode, around: Surroundings): readonly Node[] {
  const source = around.tensors.get(node.source)!;
  const result = ended(node.result, around);
  const last = source.shape.length - 1;
  const end = around.extents.get(source.shape[last]!);
  if (end === undefined) return [{ ...node, result }];
  const type = arithmeticOf(source.dtype);
  const { low, high } = valuesOf(type);
  const behind = type === 'f32' ? Number.NaN : node.direction === 'ascending' ? high : low;
  const copy: Tensor = { ...ended(source, around), id: around.ids.next++, dtype: type };
  const isReal = apply('lt', iterator(last), extentScalar(end));
  const body = chosen(isReal, load(source, iterators(source.shape.length)), behind);
  return [
    { kind: 'compute', result: copy, body, reduce: undefined, grouped: undefined },
    renameReads({ ...node, result }, () => copy.id),
  ];
}

/**
 * Flat positions end where the leading dimension does. Whoever looks experts up by what is sorted reads a
 * copy that has one of them everywhere: a guard would make the expert's weights depend on more than that.
 */
function boundedRoute(node: RouteNode, around: Surroundings): readonly Node[] {
  const pick = around.tensors.get(node.pick)!;
  const { shape } = pick;
  const ends = shape.map((extent) => around.extents.get(extent));
  const [first, ...rest] = [...ends.entries()].filter(([dim]) => shape[dim] !== 1);
  if (rest.some(([, end]) => end !== undefined))
    throw new Unlike('what is looked up by expert has it in another dimension than the first');
  if (first?.[1] === undefined) return [node];
  const [dim, end] = first as [number, Extent];
  const inner = shape.slice(dim + 1).reduce((size, extent) => size * extent, 1);
  const copy: Tensor = { ...pick, id: around.ids.next++ };
  around.picks.set(pick.id, copy);
  const body = chosen(within([dim], new Map([[dim, end]])), load(pick, iterators(shape.length)), 0);
  return [
    { kind: 'compute', result: copy, body, reduce: undefined, grouped: undefined },
    { ...node, pick: copy.id, end: scaledExtent(end, inner) },
  ];
}

/** A grouped node with the copy of what it looks up by. */
function readingPicks(node: ComputeNode, { picks }: Surroundings): ComputeNode {
  const copy = node.grouped && picks.get(node.grouped.pick);
  if (copy === undefined) return node;
  return renameReads(node, (tensor) => (tensor === node.grouped!.pick ? copy.id : tensor)) as ComputeNode;
}
