/**
 * A program with its attention as a ring over a mesh axis: no device then holds all keys and values, nor
 * scores of all keys. The same attention gathered, or divided by heads, needs another placement only; a ring
 * is another program that computes the same.
 */
import type { Mesh } from '../../../dsl/placement/placement.ts';
import type { Graph, LoopId, Node, SoftmaxSumNode, Tensor } from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { allNodes, allTensors } from '../../graph/uses.ts';
import { assertWellFormed } from '../../graph/well-formed.ts';
import { deadCode } from '../../optimize/dead-code.ts';
import { greatestId, inLoopsFirst } from '../../optimize/nodes.ts';
import { recoverAttention } from '../../optimize/recover-attention.ts';
import { deviceViews } from '../auto/device-views.ts';
import { sequenceAxes } from './block-reads.ts';
import type { NewTensor } from './partial-softmax.ts';
import { ringNodes } from './ring-nodes.ts';

/**
 * The same object where there is no attention, where the devices do not divide its queries and keys, or where
 * the program has the axis in its own hands already.
 */
export function ringOver(graph: Graph, axis: string, mesh: Mesh): Graph {
  const devices = mesh.axes.find(({ name }) => name === axis)?.size ?? 1;
  if (devices === 1) return graph;
  const written = new Map(allNodes(graph).map((node) => [results(node)[0]?.id, node]));
  const tensors = allTensors(graph);
  const views = deviceViews(graph);
  let nextId = greatestId(graph) + 1;
  let nextLoop = greatestLoop(graph) + 1;
  const newTensor: NewTensor = (name, dtype, shape) => ({ id: nextId++, name, dtype, shape });
  const tensorOf = (id: Tensor['id']): Tensor => tensors.get(id)!;

  const ringOf = (attention: SoftmaxSumNode): readonly Node[] | undefined => {
    if (attention.partial !== undefined || views.get(attention.result.id)?.has(axis)) return undefined;
    const sequence = sequenceAxes(attention, devices, tensorOf);
    if (sequence === undefined) return undefined;
    return ringNodes({ attention, axis, devices, sequence, tensorOf }, nextLoop++, newTensor);
  };
  let isChanged = false;
  const ringed = inLoopsFirst(recoverAttention(graph), (inner) => {
    const nodes = inner.nodes.flatMap((node): readonly Node[] => {
      if (node.kind !== 'softmaxSum') return [node];
      const ring = ringOf(node);
      if (ring !== undefined) isChanged = true;
      return ring ?? [written.get(node.result.id)!];
    });
    return { ...inner, nodes };
  });
  if (!isChanged) return graph;
  const found = deadCode(ringed);
  assertWellFormed(found, 'making a ring');
  return found;
}

function greatestLoop(graph: Graph): LoopId {
  const loops = allNodes(graph).flatMap((node) => (node.kind === 'loop' ? [node.loop] : []));
  return Math.max(-1, ...loops);
}
