/**
 * Sums of two reductions of which nothing but the sum is read become one reduction of the sum of the parts.
 * The order of the additions is another one then, so that floats are added so only where that is allowed.
 */
import { samePlacement } from '../../../dsl/placement/placement.ts';
import type { CollectiveNode, Graph, Node, Scalar, Tensor, TensorId } from '../../graph/graph.ts';
import { printChange } from '../../graph/print.ts';
import {
  apply,
  isNarrow,
  iterators,
  type Load,
  load,
  mapScalar,
  operands,
  scalarKey,
  subexpressions,
} from '../../graph/scalar.ts';
import { isFloat } from '../../graph/tensor-type.ts';
import { mapNodeScalars, nodeScalars } from '../../graph/uses.ts';
import type { PlacedGraph } from '../place.ts';
import { type Draft, draftOf, type Level, mapLevels, mapOutputs, mapReads, newTensor } from './mesh-reads.ts';
import type { CollectiveOptions } from './options.ts';

export function addFirst(placed: PlacedGraph, { reassociates }: CollectiveOptions): Graph {
  const draft = draftOf(placed);
  return mapLevels(placed.graph, (level) => {
    let graph = level.graph;
    // Sums of more than two become one pair by pair.
    for (;;) {
      const next = withOneSum({ ...level, graph }, draft, reassociates);
      if (next === undefined) return graph;
      graph = next;
    }
  });
}

interface Pair {
  readonly node: Node;
  readonly sum: Scalar & { readonly op: 'apply' };
  readonly operands: readonly [Reduced, Reduced];
}

interface Reduced {
  readonly collective: CollectiveNode;
  readonly load: Load;
}

function withOneSum(level: Level, draft: Draft, reassociates: boolean): Graph | undefined {
  const pair = pairIn(level, draft, reassociates);
  if (pair === undefined) return undefined;
  const [left, right] = pair.operands;
  const parts = pair.operands.map(({ collective }) => {
    const source = draft.tensors.get(collective.source)!;
    return load(source, iterators(source.shape.length));
  });
  const placements = draft.placements;
  const source = draft.tensors.get(left.collective.source)!;
  const added = newTensor(draft, source, placements.get(source.id)!);
  const { result, change } = left.collective;
  const total = newTensor(draft, result, placements.get(result.id)!);
  const made: readonly Node[] = [
    {
      kind: 'compute',
      result: added,
      body: apply(pair.sum.function, ...parts),
      reduce: undefined,
      grouped: undefined,
    },
    { kind: 'collective', source: added.id, result: total, change },
  ];
  const gone = new Set<Node>([left.collective, right.collective]);
  const reading = mapNodeScalars(pair.node, (root) =>
    mapScalar(root, (scalar) => (scalar === pair.sum ? load(total, left.load.subscripts) : scalar)),
  );
  const nodes = level.graph.nodes.flatMap((node): readonly Node[] => {
    if (gone.has(node)) return [];
    return node === pair.node ? [...made, reading] : [node];
  });
  return { ...level.graph, nodes };
}

function pairIn(level: Level, draft: Draft, reassociates: boolean): Pair | undefined {
  const reduced = reducedOnce(level, draft, reassociates);
  if (reduced.size < 2) return undefined;
  for (const node of level.graph.nodes)
    for (const sum of nodeScalars(node).flatMap(subexpressions)) {
      if (sum.op !== 'apply' || (sum.function !== 'add' && sum.function !== 'sub')) continue;
      const found = sum.operands.flatMap((operand): readonly Reduced[] => {
        const collective = operand.op === 'load' ? reduced.get(operand.tensor) : undefined;
        return collective && operand.op === 'load' ? [{ collective, load: operand }] : [];
      });
      const [left, right] = found;
      if (left && right && areAlike(left, right, draft)) return { node, sum, operands: [left, right] };
    }
  return undefined;
}

/** Combined sums of which one place in the whole program reads, of those that may be added before. */
function reducedOnce(
  { graph, loops, outputSlot }: Level,
  { placements, tensors }: Draft,
  reassociates: boolean,
): ReadonlyMap<TensorId, CollectiveNode> {
  const read = new Map<TensorId, number>();
  const count = (tensor: TensorId, times: number) => read.set(tensor, (read.get(tensor) ?? 0) + times);
  mapReads(graph.nodes, loops, (tensor, slot) => {
    const own = slot.kind === 'node' && graph.nodes.includes(slot.node);
    const loads = own ? loadsIn(slot.node, tensor) : 2;
    count(tensor, loads);
    return tensor;
  });
  mapOutputs(graph, outputSlot, (tensor) => {
    count(tensor, 2);
    return tensor;
  });
  const mayAdd = (tensor: Tensor) => !isNarrow(tensor.dtype) && (reassociates || !isFloat(tensor));
  return new Map(
    graph.nodes.flatMap((node): readonly [TensorId, CollectiveNode][] => {
      if (node.kind !== 'collective' || read.get(node.result.id) !== 1) return [];
      const { kind } = node.change;
      const pending = [...placements.get(node.source)!.pending.values()];
      const isSum = pending.length > 0 && pending.every((combiner) => combiner === 'sum');
      const isReduction = kind === 'all_reduce' || kind === 'reduce_scatter';
      return isReduction && isSum && mayAdd(tensors.get(node.source)!) ? [[node.result.id, node]] : [];
    }),
  );
}

/** In the tree of each expression, a subexpression that several others use counting as often. */
function loadsIn(node: Node, tensor: TensorId): number {
  const scalars = nodeScalars(node).flatMap(subexpressions);
  const isRead = (scalar: Scalar) => scalar.op === 'load' && scalar.tensor === tensor;
  const parents = scalars.reduce(
    (sum, scalar) => sum + operands(scalar).filter(isRead).length,
    nodeScalars(node).filter(isRead).length,
  );
  return scalars.length === 0 ? 2 : parents;
}

function areAlike(left: Reduced, right: Reduced, { placements, tensors }: Draft): boolean {
  const [first, second] = [left, right].map(({ collective }) => collective) as [
    CollectiveNode,
    CollectiveNode,
  ];
  return (
    first !== second &&
    printChange(first.change) === printChange(second.change) &&
    tensors.get(first.source)!.dtype === tensors.get(second.source)!.dtype &&
    samePlacement(placements.get(first.source)!, placements.get(second.source)!) &&
    left.load.subscripts.length === right.load.subscripts.length &&
    left.load.subscripts.every((each, dim) => scalarKey(each) === scalarKey(right.load.subscripts[dim]!)) &&
    tensors.get(first.source)!.shape.join() === tensors.get(second.source)!.shape.join()
  );
}
