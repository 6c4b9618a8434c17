/**
 * A loop over layers reads one slice of their weights in each step. As a tensor of its own the slice can be
 * gathered where it is used, while the weights of all layers stay where they are.
 */
import type { ComputeNode, Graph, LoopNode, Node, Tensor, TensorId } from '../../graph/graph.ts';
import { counter, iterators, type Load, load, loadsOf, substituteLoads } from '../../graph/scalar.ts';
import {
  allNodes,
  allTensors,
  mapNodeScalars,
  nodeScalars,
  outsideReads,
  readsOf,
} from '../../graph/uses.ts';

/** @param isOpen whether the partitioner places a tensor: the results of loops to do this in */
export function sliceLayers(graph: Graph, isOpen: (tensor: TensorId) => boolean): Graph {
  const tensors = allTensors(graph);
  let nextId = Math.max(-1, ...tensors.keys()) + 1;

  const inNodes = (nodes: readonly Node[]): readonly Node[] =>
    nodes.map((node) => {
      if (node.kind !== 'loop') return node;
      const inner = { ...node, body: { ...node.body, nodes: inNodes(node.body.nodes) } };
      return node.results.every(({ id }) => isOpen(id)) ? sliced(inner) : inner;
    });

  function sliced(node: LoopNode): LoopNode {
    const { body, count, loop } = node;
    const inner = allNodes(body);
    const isStep = ({ subscripts: [first] }: Load): boolean => first?.op === 'counter' && first.loop === loop;
    const given = new Set(body.outputs.map(({ tensor }) => tensor));
    const slices = new Map<TensorId, Tensor>();
    const made: ComputeNode[] = [];
    for (const id of outsideReads(body)) {
      const tensor = tensors.get(id)!;
      const readers = inner.filter((reader) => reader.kind !== 'loop' && readsOf(reader).has(id));
      const loads = readers
        .flatMap(nodeScalars)
        .flatMap(loadsOf)
        .filter((read) => read.tensor === id);
      const isOnlyLoaded = readers.every((reader) => nodeScalars(reader).length > 0) && !given.has(id);
      if (!isOnlyLoaded || tensor.shape.length < 2 || tensor.shape[0] !== count || !loads.every(isStep))
        continue;
      const result: Tensor = { ...tensor, id: nextId++, shape: tensor.shape.slice(1) };
      slices.set(id, result);
      const read = load(tensor, [counter(loop), ...iterators(result.shape.length)]);
      made.push({ kind: 'compute', result, body: read, reduce: undefined, grouped: undefined });
    }
    const read = (each: Load): Load => {
      const slice = slices.get(each.tensor);
      return slice === undefined ? each : load(slice, each.subscripts.slice(1));
    };
    return { ...node, body: { ...body, nodes: [...made, ...reading(body.nodes, read)] } };
  }

  return { ...graph, nodes: inNodes(graph.nodes) };
}

function reading(nodes: readonly Node[], read: (load: Load) => Load): readonly Node[] {
  return nodes.map((node) =>
    node.kind === 'loop'
      ? { ...node, body: { ...node.body, nodes: reading(node.body.nodes, read) } }
      : mapNodeScalars(node, (scalar) => substituteLoads(scalar, read)),
  );
}
