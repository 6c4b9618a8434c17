/**
 * What a graph costs on any device: arithmetic, bytes that must move at least once, and memory that must be
 * alive at once. Exact counts from the expressions, without regard to how they will be scheduled.
 */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ScalarFunction } from '../../dsl/types/scalar-functions.ts';
import type { Graph, LoopNode, Node, Scalar, Tensor, TensorId, TensorType } from './graph.ts';
import { results } from './graph.ts';
import { iteratorsOf, type Load, loadsOf, scalarType, subexpressions } from './scalar.ts';
import { elementCount } from './tensor-type.ts';
import { allTensors, outsideReads, readsOf } from './uses.ts';

export interface Cost {
  /** Float operations: an addition and a multiplication count one each, and so does every other function. */
  readonly flops: number;
  /** How many of `flops` are exp, log, sin and the like. */
  readonly transcendentals: number;
  /** Bytes read if each tensor is read once: of one that is looked up, at most the part that is touched. */
  readonly bytesRead: number;
  readonly bytesWritten: number;
}

export interface NodeCost extends Cost {
  readonly node: Node;
  /** Of a loop: the nodes of its body, each in one step. Empty for other nodes. */
  readonly step: readonly NodeCost[];
}

export interface GraphCost extends Cost {
  /** Of the graph's own nodes, in order; a loop is one node, all its steps together. */
  readonly nodes: readonly NodeCost[];
}

const nothing: Cost = { flops: 0, transcendentals: 0, bytesRead: 0, bytesWritten: 0 };

export function graphCost(graph: Graph): GraphCost {
  return costWithin(graph, allTensors(graph));
}

function costWithin(graph: Graph, tensors: ReadonlyMap<TensorId, Tensor>): GraphCost {
  const nodes = graph.nodes.map((node) =>
    node.kind === 'loop' ? loopCost(node, tensors) : { node, step: [], ...nodeCost(node, tensors) },
  );
  return { nodes, ...nodes.reduce<Cost>(addCosts, nothing) };
}

function addCosts(left: Cost, right: Cost): Cost {
  return {
    flops: left.flops + right.flops,
    transcendentals: left.transcendentals + right.transcendentals,
    bytesRead: left.bytesRead + right.bytesRead,
    bytesWritten: left.bytesWritten + right.bytesWritten,
  };
}

/** Of a dense tensor. */
export function tensorBytes(type: TensorType): number {
  return (elementCount(type) * dtypeFacts[type.dtype].bits) / 8;
}

// ── nodes ──────────────────────────────────────────────────────────────────────────────────────────────────

/** A scalar expression and the iteration space in which it is evaluated. */
interface Evaluation {
  readonly scalar: Scalar;
  /** Extent of each axis that it runs over. */
  readonly extents: ReadonlyMap<number, number>;
  /** Float operations beside those in the expression, at each point: the combining of a reduction. */
  readonly combining: number;
  /** Likewise transcendental ones, which `combining` does not count. */
  readonly exponentials: number;
}

function nodeCost(node: Exclude<Node, LoopNode>, tensors: ReadonlyMap<TensorId, Tensor>): Cost {
  const evaluations = evaluationsOf(node);
  const work = evaluations.map(arithmetic).reduce(addCosts, nothing);
  const touched = new Map<TensorId, number>();
  for (const { scalar, extents } of evaluations)
    for (const load of loadsOf(scalar)) {
      const tensor = tensors.get(load.tensor)!;
      const elements = Math.min(elementCount(tensor), elementsTouched(load, tensor, extents));
      touched.set(tensor.id, Math.min(elementCount(tensor), (touched.get(tensor.id) ?? 0) + elements));
    }
  for (const id of readsOf(node)) if (!touched.has(id)) touched.set(id, elementCount(tensors.get(id)!));
  let bytesRead = 0;
  for (const [id, elements] of touched) bytesRead += (elements * dtypeFacts[tensors.get(id)!.dtype].bits) / 8;
  const bytesWritten = results(node).reduce((sum, tensor) => sum + tensorBytes(tensor), 0);
  const prefix = node.kind === 'prefix' && arithmeticIsFloat(node.result) ? elementCount(node.result) : 0;
  return { flops: work.flops + prefix, transcendentals: work.transcendentals, bytesRead, bytesWritten };
}

function arithmeticIsFloat(type: TensorType): boolean {
  return dtypeFacts[type.dtype].class === 'float';
}

/**
 * A step costs what its nodes cost; tensors from outside that every step reads whole are read by every step.
 */
function loopCost(node: LoopNode, tensors: ReadonlyMap<TensorId, Tensor>): NodeCost {
  const step = costWithin(node.body, tensors);
  return {
    node,
    step: step.nodes,
    flops: step.flops * node.count,
    transcendentals: step.transcendentals * node.count,
    bytesRead: step.bytesRead * node.count,
    bytesWritten: step.bytesWritten * node.count,
  };
}

function evaluationsOf(node: Exclude<Node, LoopNode>): readonly Evaluation[] {
  const plain = { combining: 0, exponentials: 0 };
  switch (node.kind) {
    case 'compute': {
      const rank = node.result.shape.length;
      const outer = axesFrom(0, node.result.shape);
      if (node.reduce === undefined) return [{ scalar: node.body, extents: outer, ...plain }];
      const { extents, finish } = node.reduce;
      const combining = scalarType(node.body) === 'f32' ? 1 : 0;
      const all = new Map([...outer, ...axesFrom(rank, extents)]);
      const body = { scalar: node.body, extents: all, combining, exponentials: 0 };
      return finish === undefined ? [body] : [body, { scalar: finish, extents: outer, ...plain }];
    }
    case 'softmaxSum': {
      const rank = node.result.shape.length;
      const rows = new Map(
        [...axesFrom(0, node.result.shape)].filter(([axis]) => !node.valueAxes.includes(axis)),
      );
      const streamed = new Map([...rows, [rank, node.extent]]);
      const scored = new Map([...streamed, ...axesFrom(rank + 1, node.scoreExtents)]);
      const valued = new Map([...axesFrom(0, node.result.shape), [rank, node.extent]]);
      return [
        { scalar: node.scoreBody, extents: scored, combining: 1, exponentials: 0 },
        // Maximum, difference, exponential, total and division of each weight.
        { scalar: node.logit, extents: streamed, combining: 4, exponentials: 1 },
        ...(node.visible === undefined ? [] : [{ scalar: node.visible, extents: streamed, ...plain }]),
        { scalar: node.value, extents: valued, combining: 2, exponentials: 0 },
      ];
    }
    case 'route':
    case 'order':
    case 'prefix':
    case 'collective':
    case 'block':
    case 'exchange':
      return [];
  }
}

function axesFrom(first: number, extents: readonly number[]): Map<number, number> {
  return new Map(extents.map((extent, position) => [first + position, extent]));
}

const transcendental: ReadonlySet<ScalarFunction> = new Set<ScalarFunction>([
  'exp',
  'log',
  'sqrt',
  'rsqrt',
  'sin',
  'cos',
  'tanh',
  'erf',
  'pow',
]);

/** Choosing is no arithmetic; of a `select` both branches are counted, since which is taken is not known. */
function arithmetic({ scalar, extents, combining, exponentials }: Evaluation): Cost {
  const points = [...extents.values()].reduce((product, extent) => product * extent, 1);
  let flops = combining + exponentials;
  let special = exponentials;
  for (const part of subexpressions(scalar)) {
    if (part.op !== 'apply' || part.dtype !== 'f32' || part.function === 'select') continue;
    flops++;
    if (transcendental.has(part.function)) special++;
  }
  return { ...nothing, flops: flops * points, transcendentals: special * points };
}

/**
 * How many different elements the load can reach, bounded by each subscript's range and by the number of
 * loads.
 */
function elementsTouched(load: Load, tensor: Tensor, extents: ReadonlyMap<number, number>): number {
  const points = (scalar: Scalar): number =>
    [...iteratorsOf(scalar)].reduce((product, axis) => product * (extents.get(axis) ?? 1), 1);
  const box = load.subscripts.reduce(
    (product, subscript, axis) => product * Math.min(tensor.shape[axis]!, points(subscript)),
    1,
  );
  return Math.min(box, points(load));
}

// ── memory ─────────────────────────────────────────────────────────────────────────────────────────────────

/**
 * The most bytes alive at once when nodes run in order, each tensor living from the node that defines it to
 * its last reader. Inputs and outputs live throughout. States of a loop live twice while it runs: the old and
 * the next.
 */
export function peakLiveBytes(graph: Graph): number {
  const tensors = allTensors(graph);
  const bytes = (id: TensorId): number => tensorBytes(tensors.get(id)!);
  const throughout = new Set([
    ...graph.inputs.map(({ tensor }) => tensor.id),
    ...graph.outputs.map(({ tensor }) => tensor),
  ]);
  const always = [...throughout].reduce((sum, id) => sum + bytes(id), 0);
  return always + peakWithin(graph, throughout, bytes);
}

/** Peak of what the nodes define, apart from the tensors in `counted`, which the caller has counted. */
function peakWithin(graph: Graph, counted: ReadonlySet<TensorId>, bytes: (id: TensorId) => number): number {
  const lastUse = new Map<TensorId, number>();
  for (const [position, node] of graph.nodes.entries()) {
    for (const { id } of results(node)) lastUse.set(id, position);
    for (const id of readsOf(node)) if (lastUse.has(id)) lastUse.set(id, position);
  }
  let live = 0;
  let peak = 0;
  for (const [position, node] of graph.nodes.entries()) {
    for (const { id } of results(node)) if (!counted.has(id)) live += bytes(id);
    peak = Math.max(peak, live + (node.kind === 'loop' ? loopPeak(node, bytes) : 0));
    for (const [id, last] of lastUse) if (last === position && !counted.has(id)) live -= bytes(id);
  }
  return peak;
}

/** Beside the loop's results: the states of the step at hand, its outputs, and what is between them. */
function loopPeak(node: LoopNode, bytes: (id: TensorId) => number): number {
  const outside = outsideReads(node.body);
  const held = new Set(
    [
      ...node.body.inputs.map(({ tensor }) => tensor.id),
      ...node.body.outputs.map(({ tensor }) => tensor),
    ].filter((id) => !outside.has(id)),
  );
  const always = [...held].reduce((sum, id) => sum + bytes(id), 0);
  return always + peakWithin(node.body, held, bytes);
}
