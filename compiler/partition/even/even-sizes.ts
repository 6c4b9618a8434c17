/**
 * Makes every cut of a program even: dimensions that a mesh does not divide get padding at their end. Tensors
 * of one index are padded together; what padding holds is of no account, for whoever would see it leaves it
 * out: reductions over blocks put what changes nothing, and nodes that take a dimension as a whole (sorting,
 * the steps of a loop, the blocks of one device) work on its true extent, between nodes that take padding off
 * and put it on. In the padded program every position below a true extent means what it did.
 */
import type { Mesh, Placement } from '../../../dsl/placement/placement.ts';
import type {
  ComputeNode,
  Graph,
  LoopId,
  LoopNode,
  Node,
  Scalar,
  SoftmaxSumNode,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { apply, integer, iterator, load } from '../../graph/scalar.ts';
import { allTensors, mapNodeScalars, readsOf, renameReads } from '../../graph/uses.ts';
import { assertWellFormed } from '../../graph/well-formed.ts';
import type { Interval } from '../../optimize/expressions/ranges.ts';
import { extentsOf, greatestId } from '../../optimize/nodes.ts';
import { type EvenExtents, evenExtents, type Uneven } from './extents.ts';
import { linksOf, type Tensors } from './links.ts';
import { guarded, masked, type PaddedScope } from './masks.ts';
import { isSettledAtOnce, settledAtOnce } from './settle.ts';

export interface EvenGraph {
  /** The same object where all is even. What tensors of the program are called stays. */
  readonly graph: Graph;
  readonly whole: WholeShapes;
}

/** True shapes of padded inputs and outputs, by path. */
export interface WholeShapes {
  readonly inputs: ReadonlyMap<string, readonly number[]>;
  readonly outputs: ReadonlyMap<string, readonly number[]>;
}

/**
 * The program of a whole mesh, with collectives where data is to move, so that all cuts are even. Inputs get
 * zeros as padding; outputs are to be trimmed.
 */
export function evenSizes(graph: Graph, uneven: Uneven): EvenGraph {
  const extents = evenExtents(graph, uneven);
  if (extents.isEven) return { graph, whole: { inputs: new Map(), outputs: new Map() } };
  const tensors = allTensors(graph);
  const even = evenGraph(graph, {
    ...uneven,
    tensors,
    extents,
    padding: new Map(),
    loops: new Map(),
    ids: { next: greatestId(graph) + 1 },
  });
  assertWellFormed(even, 'padding');
  const isPadded = ({ id, shape }: Tensor) => shape.some((extent, dim) => extent !== extents.of(id, dim));
  const padded = (of: readonly { readonly path: string; readonly tensor: Tensor }[]) =>
    new Map(of.filter(({ tensor }) => isPadded(tensor)).map(({ path, tensor }) => [path, tensor.shape]));
  return {
    graph: even,
    whole: {
      inputs: padded(graph.inputs),
      outputs: padded(graph.outputs.map(({ path, tensor }) => ({ path, tensor: tensors.get(tensor)! }))),
    },
  };
}

/** What is known on the way through a program. */
export interface Surroundings {
  readonly mesh: Mesh;
  readonly placements: ReadonlyMap<TensorId, Placement>;
  /** With their true shapes. */
  readonly tensors: Tensors;
  readonly extents: EvenExtents;
  /** What the padding of a tensor holds, where that is known. */
  readonly padding: Map<TensorId, Interval>;
  readonly loops: ReadonlyMap<LoopId, number>;
  readonly ids: { next: TensorId };
}

const zeros: Interval = { low: 0, high: 0 };

function evenGraph(graph: Graph, around: Surroundings): Graph {
  const isOuter = around.loops.size === 0;
  const inputs = graph.inputs.map(({ path, tensor }) => {
    if (isOuter) around.padding.set(tensor.id, zeros);
    return { path, tensor: padded(tensor, around) };
  });
  return { ...graph, inputs, nodes: graph.nodes.flatMap((node) => evenNodes(node, around)) };
}

export function padded(tensor: Tensor, { extents }: Surroundings): Tensor {
  return { ...tensor, shape: tensor.shape.map((_, dim) => extents.of(tensor.id, dim)) };
}

function evenNodes(node: Node, around: Surroundings): readonly Node[] {
  notePadding(node, around);
  switch (node.kind) {
    case 'compute':
      return evenCompute(node, around);
    case 'softmaxSum': {
      // What it streams is never cut: a device has the whole of it.
      const { scope, outer } = scopeOf(node, around);
      const inRange = mapNodeScalars(node, (scalar) => guarded(scalar, outer, scope));
      return [{ ...inRange, result: padded(node.result, around) }];
    }
    case 'loop':
      return aroundExact(evenLoop(node, around), around);
    default:
      return aroundExact(node, around);
  }
}

/** Positions that sorting gives are positions, whatever it sorts. */
function notePadding(node: Node, { padding, tensors }: Surroundings): void {
  if (node.kind === 'order') {
    const sorted = tensors.get(node.source)!.shape.at(-1)!;
    padding.set(node.result.id, { low: 0, high: Math.max(0, sorted - 1) });
  }
  const known = node.kind === 'collective' ? padding.get(node.source) : undefined;
  if (node.kind === 'collective' && known !== undefined) padding.set(node.result.id, known);
}

function evenLoop(node: LoopNode, around: Surroundings): LoopNode {
  const loops = new Map([...around.loops, [node.loop, node.count]]);
  return { ...node, body: evenGraph(node.body, { ...around, loops }) };
}

// ── comprehensions ─────────────────────────────────────────────────────────────────────────────────────────

function scopeOf(node: ComputeNode | SoftmaxSumNode, around: Surroundings) {
  const scope: PaddedScope = {
    ...around,
    extentOf: around.extents.of,
    extents: extentsOf(node),
    padded: around.extents.ofAxes(node),
  };
  const axes = [...scope.padded.keys()].filter((axis) => scope.padded[axis] !== scope.extents[axis]);
  const rank = node.result.shape.length;
  return {
    scope,
    outer: new Set(axes.filter((axis) => axis < rank)),
    inner: new Set(axes.filter((axis) => axis >= rank)),
  };
}

function evenCompute(node: ComputeNode, around: Surroundings): readonly Node[] {
  const { scope, outer, inner } = scopeOf(node, around);
  const { reduce, result } = node;
  const inRange = (scalar: Scalar): Scalar => guarded(scalar, outer, scope);
  const even: ComputeNode = { ...node, result: padded(result, around), body: inRange(node.body) };
  if (reduce === undefined) return [even];
  const reduction: ComputeNode = {
    ...even,
    body: masked(even.body, reduce.combiner, inner, scope),
    reduce: {
      ...reduce,
      extents: scope.padded.slice(result.shape.length),
      finish: reduce.finish && inRange(reduce.finish),
    },
  };
  return isSettledAtOnce(node, inner, around) ? settledAtOnce(reduction, around) : [reduction];
}

// ── what is no comprehension ───────────────────────────────────────────────────────────────────────────────

/**
 * The node, which works on the true extents of dimensions that it does not hand on: what it reads comes
 * without padding there, and what it defines gets it after.
 */
function aroundExact(node: Node, around: Surroundings): readonly Node[] {
  const { tensors, extents } = around;
  const links = linksOf(node, tensors);
  const isHandedOn = (tensor: TensorId, dim: number): boolean =>
    links.some(({ from, to }) => [from, to].some((end) => end.tensor === tensor && end.dim === dim));
  const exactDims = ({ id, shape }: Tensor): readonly number[] =>
    [...shape.keys()].filter((dim) => !isHandedOn(id, dim) && extents.of(id, dim) !== shape[dim]);
  const exact = (tensor: Tensor): Tensor => {
    const dims = exactDims(tensor);
    const { shape } = padded(tensor, around);
    return {
      ...tensor,
      shape: shape.map((extent, dim) => (dims.includes(dim) ? tensor.shape[dim]! : extent)),
    };
  };
  const renamed = new Map<TensorId, TensorId>();
  const before: Node[] = [];
  const after: Node[] = [];
  // A loop takes its states as they are, and what its body reads is a matter of the nodes there.
  for (const id of node.kind === 'loop' ? [] : readsOf(node)) {
    const source = tensors.get(id)!;
    const dims = exactDims(source);
    if (dims.length === 0) continue;
    const trimmed = { ...exact(source), id: around.ids.next++ };
    before.push(...resized(padded(source, around), trimmed, dims, around));
    renamed.set(id, trimmed.id);
  }
  const defined = results(node).map((result) => {
    const dims = exactDims(result);
    if (dims.length === 0) return exact(result);
    const own = { ...exact(result), id: around.ids.next++ };
    after.push(...resized(own, padded(result, around), dims, around));
    return own;
  });
  const reading = renamed.size === 0 ? node : renameReads(node, (tensor) => renamed.get(tensor) ?? tensor);
  return [...before, withResults(reading, defined), ...after];
}

/**
 * Takes padding off some dimensions, or puts it on. Where they are cut every device gets the whole of them
 * first: blocks of the one extent do not lie where those of the other do.
 */
function resized(
  source: Tensor,
  result: Tensor,
  dims: readonly number[],
  around: Surroundings,
): readonly Node[] {
  const { placements, ids } = around;
  const placement = placements.get(source.id) ?? placements.get(result.id);
  const isCut = placement !== undefined && dims.some((dim) => placement.dims[dim]!.length > 0);
  const nodes: Node[] = [];
  let whole = source;
  if (isCut) {
    whole = { ...source, id: ids.next++ };
    const to = {
      dims: placement.dims.map((list, dim) => (dims.includes(dim) ? [] : list)),
      pending: placement.pending,
    };
    nodes.push({
      kind: 'collective',
      source: source.id,
      result: whole,
      change: { kind: 'reshard', first: 0, to },
    });
  }
  const subscripts = result.shape.map((extent, dim) => {
    const given = source.shape[dim]!;
    return extent > given ? apply('min', iterator(dim), integer(given - 1)) : iterator(dim);
  });
  const body = load(whole, subscripts);
  return [...nodes, { kind: 'compute', result, body, reduce: undefined, grouped: undefined }];
}

function withResults(node: Node, defined: readonly Tensor[]): Node {
  const [result, second] = defined;
  switch (node.kind) {
    case 'loop':
      return { ...node, results: defined };
    case 'route':
      return { ...node, order: result!, offsets: second! };
    default:
      return { ...node, result: result! };
  }
}
