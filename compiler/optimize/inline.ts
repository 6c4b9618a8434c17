/**
 * Fusion of producers into their consumers: a map is substituted where it is loaded. `inlineViews` does it
 * for what costs nothing anywhere (views, gathers, casts, masks); `fuse` for all that repeats no work worth
 * storing.
 */
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ComputeNode, Graph, LoopNode, Node, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import {
  loadsOf,
  round,
  scalarKey,
  substituteIterators,
  substituteLoads,
  tensorsOf,
} from '../graph/scalar.ts';
import { allTensors, mapNodeScalars, nodeScalars, readsOf } from '../graph/uses.ts';
import { evaluationsOf, looksUpExpert, product } from './nodes.ts';
import { type Work, workOf } from './work.ts';

/**
 * Tensors that a node may read: with its result, the eight storage buffers that every WebGPU device can bind.
 */
export const mostReads = 7;
/** Distinct subexpressions of a node's expression, to keep kernels compilable. */
const mostParts = 400;

/** How a tensor is read by the graph and its loops. */
interface Uses {
  /** For each place where it is loaded: how many times its node evaluates that expression. */
  readonly evaluations: readonly number[];
  /** Whether it is read otherwise than by loads: an output, a state, a source. */
  readonly isWhole: boolean;
  /** How many times it is computed: the steps of the loops around its node. */
  readonly turns: number;
}

type Policy = (producer: ComputeNode, uses: Uses) => boolean;

export function inlineViews(graph: Graph): Graph {
  return inline(graph, isView);
}

export function fuse(graph: Graph): Graph {
  return inline(graph, (producer, uses) => isView(producer) || isWorthFusing(producer, uses));
}

// ── policies ───────────────────────────────────────────────────────────────────────────────────────────────

/** Moves data or computes integers and truth values from little: cheaper to do again than to load. */
function isView(producer: ComputeNode): boolean {
  const work = workOf(producer.body);
  if (work.transcendental > 0 || work.size > 64) return false;
  if (dtypeFacts[producer.result.dtype].class !== 'float') return work.floatLoads + work.integerLoads <= 4;
  return work.arithmetic === 0 && work.floatLoads <= 2 && work.integerLoads <= 2;
}

function isWorthFusing(producer: ComputeNode, { evaluations, turns }: Uses): boolean {
  const work = workOf(producer.body);
  const elements = turns * product(producer.result.shape);
  const total = evaluations.reduce((sum, count) => sum + count, 0);
  if (total <= elements) return true;
  if (work.transcendental > 0) return false;
  return isCheap(work, evaluations.length);
}

/**
 * Little enough to do at every step of a consumer's inner loop. An integer, an offset and a scale are a
 * weight in few bits, which would be several times as long where it is stored.
 */
function isCheap({ floatLoads, integerLoads, arithmetic }: Work, consumers: number): boolean {
  if (floatLoads + integerLoads <= 1) return arithmetic <= 2;
  return consumers === 1 && floatLoads + integerLoads === 2 && arithmetic <= 1 + integerLoads;
}

// ── substitution ───────────────────────────────────────────────────────────────────────────────────────────

function inline(graph: Graph, policy: Policy): Graph {
  const uses = usesOf(graph);
  const tensors = allTensors(graph);
  return inlineIn(graph, new Map(), {
    isChosen: (producer) => {
      const used = uses.get(producer.result.id);
      return used !== undefined && !used.isWhole && policy(producer, used);
    },
    finish: (node) => grouping(node, tensors),
  });
}

/** Weights that are computed in the node itself are not looked up: it is then not grouped by them. */
function grouping(node: Node, tensors: ReadonlyMap<TensorId, Tensor>): Node {
  if (node.kind !== 'compute' || node.grouped === undefined) return node;
  return looksUpExpert(node, node.grouped, tensors) ? node : { ...node, grouped: undefined };
}

interface Choices {
  readonly isChosen: (producer: ComputeNode) => boolean;
  /** What a node becomes once all is in it. */
  readonly finish: (node: Node) => Node;
}

type Producers = ReadonlyMap<TensorId, ComputeNode>;

function inlineIn(graph: Graph, outer: Producers, choices: Choices): Graph {
  const producers = new Map(outer);
  const nodes = graph.nodes.map((node): Node => {
    if (node.kind === 'loop') {
      const free = [...producers].filter(([, producer]) => isView(producer));
      return { ...node, body: inlineIn(node.body, new Map(free), choices) } satisfies LoopNode;
    }
    const fused = choices.finish(inlineInNode(node, producers));
    if (fused.kind === 'compute' && fused.reduce === undefined && choices.isChosen(fused))
      producers.set(fused.result.id, fused);
    return fused;
  });
  return { ...graph, nodes };
}

/** Producers one by one, as long as the node stays small. */
function inlineInNode(node: Node, producers: Producers): Node {
  let current = node;
  for (const tensor of readsOf(node)) {
    const producer = producers.get(tensor);
    if (producer === undefined) continue;
    const next = mapNodeScalars(current, (scalar) => inlineInScalar(scalar, producer));
    const isSmall = nodeScalars(next).every((scalar) => workOf(scalar).size <= mostParts);
    const readsMore = readsOf(next).size > Math.max(mostReads, readsOf(current).size);
    if (isSmall && !readsMore) current = next;
  }
  return current;
}

/** The expression with the producer's in place of loads of its result. */
export function inlineInScalar(scalar: Scalar, producer: ComputeNode): Scalar {
  if (!tensorsOf(scalar).has(producer.result.id)) return scalar;
  return substituteLoads(scalar, (load) =>
    load.tensor === producer.result.id
      ? asStored(
          producer.result,
          substituteIterators(producer.body, (axis) => load.subscripts[axis]!),
        )
      : load,
  );
}

/** The value as it is read back once stored in the tensor. */
export function asStored(tensor: { readonly dtype: Dtype }, value: Scalar): Scalar {
  return round(tensor.dtype, value);
}

function usesOf(graph: Graph): ReadonlyMap<TensorId, Uses> {
  const uses = new Map<TensorId, { evaluations: number[]; isWhole: boolean; turns: number }>();
  const usesFor = (tensor: TensorId) => {
    const known = uses.get(tensor) ?? { evaluations: [], isWhole: false, turns: 1 };
    uses.set(tensor, known);
    return known;
  };
  const visit = (part: Graph, turns: number): void => {
    for (const output of part.outputs) usesFor(output.tensor).isWhole = true;
    for (const node of part.nodes) {
      const loaded = new Set(nodeScalars(node).flatMap((scalar) => [...tensorsOf(scalar)]));
      if (node.kind === 'loop') {
        visit(node.body, turns * node.count);
        for (const tensor of node.initial) usesFor(tensor).isWhole = true;
        continue;
      }
      if (node.kind === 'compute') usesFor(node.result.id).turns = turns;
      for (const tensor of readsOf(node)) if (!loaded.has(tensor)) usesFor(tensor).isWhole = true;
      if (node.kind === 'compute' && node.grouped) usesFor(node.grouped.pick).isWhole = true;
      for (const scalar of nodeScalars(node)) {
        const evaluations = turns * evaluationsOf(node, scalar);
        const sites = new Map(loadsOf(scalar).map((load) => [scalarKey(load), load.tensor]));
        for (const tensor of sites.values()) usesFor(tensor).evaluations.push(evaluations);
      }
    }
  };
  visit(graph, 1);
  return uses;
}
