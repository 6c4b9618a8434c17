/** The program with a planned resharding wherever a solution wants a tensor elsewhere than it is. */
import type { Placement } from '../../../dsl/placement/placement.ts';
import type { CollectiveNode, Graph, LoopNode, Node, Tensor, TensorId } from '../../graph/graph.ts';
import { results } from '../../graph/graph.ts';
import { allTensors, renameReads } from '../../graph/uses.ts';
import { placementKey } from '../placement-graph.ts';
import { type Network, type Reader, readerOf } from './network.ts';
import type { Solution } from './search.ts';

export interface Partitioned {
  readonly graph: Graph;
  /** Of all tensors. */
  readonly placements: ReadonlyMap<TensorId, Placement>;
  /** By path. */
  readonly inputs: ReadonlyMap<string, Placement>;
  readonly outputs: ReadonlyMap<string, Placement>;
}

export function insertReshards(graph: Graph, network: Network, { strategies }: Solution): Partitioned {
  const tensors = allTensors(graph);
  let nextId = Math.max(-1, ...tensors.keys()) + 1;
  /** What is wanted of each tensor and by whom; what all readers go through. */
  const wanted = new Map<TensorId, Map<Reader, Placement>>();
  for (const { tensor, to, reader } of network.edges) {
    const readers = wanted.get(tensor.id) ?? new Map<Reader, Placement>();
    wanted.set(tensor.id, readers.set(reader, strategies[to.site]!.operands[to.operand]!));
  }
  const own = (tensor: TensorId): Placement => {
    const { site, result } = network.origins.get(tensor)!;
    return strategies[site]!.results[result]!;
  };

  const placements = new Map([...network.origins.keys()].map((tensor) => [tensor, own(tensor)]));

  /** By tensor and reader, where it is not the tensor itself. */
  const delivered = new Map<string, TensorId>();
  const nameFor = (reader: Reader) => (tensor: TensorId) => delivered.get(`${tensor} ${reader}`) ?? tensor;

  /** The movements of a tensor, right after it is defined. */
  function movements(tensor: Tensor): readonly Node[] {
    const readers = wanted.get(tensor.id);
    if (readers === undefined) return [];
    const made = new Map<string, TensorId>([[placementKey(own(tensor.id)), tensor.id]]);
    const nodes: Node[] = [];
    const move = (source: TensorId, to: Placement): TensorId => {
      const known = made.get(placementKey(to));
      if (known !== undefined) return known;
      const node = reshard({ ...tensor, id: source }, { ...tensor, id: nextId++ }, to);
      placements.set(node.result.id, to);
      nodes.push(node);
      made.set(placementKey(to), node.result.id);
      return node.result.id;
    };
    const relay = readers.get(readerOf.relay(tensor.id));
    const hub = relay === undefined ? tensor.id : move(tensor.id, relay);
    for (const [reader, placement] of readers) delivered.set(`${tensor.id} ${reader}`, move(hub, placement));
    return nodes;
  }

  function moved(nodes: readonly Node[]): readonly Node[] {
    return nodes.flatMap((node) => {
      const renamed =
        node.kind === 'loop' ? movedLoop(node) : renameReads(node, nameFor(readerOf.node(node)));
      return [renamed, ...results(node).flatMap(movements)];
    });
  }

  function movedLoop(node: LoopNode): LoopNode {
    const { body, initial } = node;
    const starts = body.inputs.map(({ tensor }, position) =>
      nameFor(readerOf.initial(tensor.id))(initial[position]!),
    );
    const nodes = [...body.inputs.flatMap(({ tensor }) => movements(tensor)), ...moved(body.nodes)];
    const outputs = body.outputs.map((output, position) => ({
      ...output,
      tensor: nameFor(readerOf.next(node.results[position]!.id))(output.tensor),
    }));
    return { ...node, initial: starts, body: { ...body, nodes, outputs } };
  }

  const nodes = [...graph.inputs.flatMap(({ tensor }) => movements(tensor)), ...moved(graph.nodes)];
  const outputs = graph.outputs.map(({ path, tensor }) => ({
    path,
    tensor: nameFor(readerOf.output(path))(tensor),
  }));
  return {
    graph: { ...graph, nodes, outputs },
    placements,
    inputs: new Map(graph.inputs.map(({ path, tensor }) => [path, own(tensor.id)])),
    outputs: new Map([...network.outputs].map(([path, site]) => [path, strategies[site]!.operands[0]!])),
  };
}

function reshard(source: Tensor, result: Tensor, to: Placement): CollectiveNode {
  return { kind: 'collective', source: source.id, result, change: { kind: 'reshard', first: 0, to } };
}
