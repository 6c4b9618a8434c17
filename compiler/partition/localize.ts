/**
 * From the program of a whole mesh, with all tensors placed, to the program that each of its devices runs:
 * shapes are those of blocks, expressions know the device's coordinates, and collectives are exchanges.
 */
import { type Mesh, type Placement, samePlacement } from '../../dsl/placement/placement.ts';
import type { BlockNode, CollectiveNode, Graph, LoopNode, Node, Tensor, TensorId } from '../graph/graph.ts';
import { allTensors } from '../graph/uses.ts';
import { assertWellFormed } from '../graph/well-formed.ts';
import { collectiveSteps } from './collective-steps.ts';
import { conversionNode } from './conversion.ts';
import type { WholeShapes } from './even/even-sizes.ts';
import { copyNode, moveNodes } from './exchanges.ts';
import { localTensor } from './local-blocks.ts';
import type { PlacedGraph } from './place.ts';
import { placementAfterStep } from './reshard-steps.ts';

/** What every device of a mesh runs, each on its own blocks. */
export interface DeviceProgram {
  /** Inputs and outputs have the paths and the order of the program of the whole mesh. */
  readonly graph: Graph;
  readonly mesh: Mesh;
  /** Where inputs are expected, by path. */
  readonly inputs: ReadonlyMap<string, Placement>;
  /** Where outputs are left, by path. */
  readonly outputs: ReadonlyMap<string, Placement>;
  /**
   * True shapes of inputs and outputs that the mesh does not divide, by path: the blocks of all devices
   * together are larger. Of inputs they hold zeros behind the true end, and of outputs what does not matter.
   */
  readonly whole?: WholeShapes;
}

export function localize(placed: PlacedGraph): DeviceProgram {
  const { graph, mesh } = placed;
  const localizer = createLocalizer(placed);
  const nodes = localizer.nodes(graph.nodes);
  const converted = graph.outputs.map(({ path, tensor }) => ({
    path,
    ...localizer.converted(tensor, placed.outputs.get(path)!),
  }));
  const local: Graph = {
    name: graph.name,
    inputs: graph.inputs.map(({ path, tensor }) => ({ path, tensor: localizer.block(tensor) })),
    nodes: [...nodes, ...converted.flatMap((output) => output.nodes)],
    outputs: converted.map(({ path, tensor }) => ({ path, tensor })),
  };
  assertWellFormed(local, 'localizing');
  const inputs = graph.inputs.map(({ path, tensor }) => [path, placed.placements.get(tensor.id)!] as const);
  return { graph: local, mesh, inputs: new Map(inputs), outputs: placed.outputs };
}

interface Localizer {
  readonly block: (tensor: Tensor) => Tensor;
  readonly nodes: (nodes: readonly Node[]) => readonly Node[];
  /** The tensor as it lives in `to`, and the nodes that make it: none where it lives so already. */
  readonly converted: (
    tensor: TensorId,
    to: Placement,
  ) => { readonly tensor: TensorId; readonly nodes: readonly Node[] };
}

function createLocalizer({ graph, mesh, placements, local }: PlacedGraph): Localizer {
  const tensors = new Map(allTensors(graph));
  let nextId = Math.max(-1, ...tensors.keys()) + 1;

  const newTensor = (name: string, { dtype }: Tensor, shape: readonly number[]): Tensor => {
    return { id: nextId++, name, dtype, shape };
  };
  const placementOf = (tensor: TensorId): Placement => placements.get(tensor)!;
  const block = (tensor: Tensor): Tensor => localTensor(tensor, placementOf(tensor.id), mesh);

  function converted(id: TensorId, to: Placement) {
    const from = placementOf(id);
    if (samePlacement(from, to)) return { tensor: id, nodes: [] };
    const tensor = tensors.get(id)!;
    const result = newTensor(tensor.name, tensor, tensor.shape);
    return { tensor: result.id, nodes: [conversionNode(tensor, from, to, result, mesh)] };
  }

  function collectiveNodes({ source, result, ...node }: CollectiveNode): readonly Node[] {
    const to = placementOf(result.id);
    const { from, steps } = collectiveSteps(node.change, placementOf(source), to, result, mesh);
    const held = converted(source, from);
    let current = { tensor: { ...tensors.get(source)!, id: held.tensor }, placement: from };
    const nodes = steps.flatMap((step, position) => {
      const isLast = position === steps.length - 1;
      const next = isLast ? result : newTensor(result.name, result, result.shape);
      const after = isLast ? to : placementAfterStep(current.placement, step, mesh);
      const move = {
        mesh,
        source: current.tensor,
        from: current.placement,
        result: next,
        to: after,
        newTensor,
      };
      current = { tensor: next, placement: after };
      return moveNodes(step, move);
    });
    const local = localTensor(current.tensor, from, mesh);
    return [...held.nodes, ...(nodes.length > 0 ? nodes : [copyNode(local, block(result))])];
  }

  function loopNodes(node: LoopNode): readonly Node[] {
    const { body } = node;
    const stateOf = (position: number): Placement | undefined => {
      const state = body.inputs[position];
      return state && placementOf(state.tensor.id);
    };
    const initial = node.initial.map((tensor, position) => converted(tensor, stateOf(position)!));
    const inner = nodesOf(body.nodes);
    const outputs = body.outputs.map(({ path, tensor }, position) => {
      return { path, ...converted(tensor, stateOf(position) ?? placementOf(tensor)) };
    });
    const loop: LoopNode = {
      ...node,
      initial: initial.map(({ tensor }) => tensor),
      body: {
        name: body.name,
        inputs: body.inputs.map(({ path, tensor }) => ({ path, tensor: block(tensor) })),
        nodes: [...inner, ...outputs.flatMap(({ nodes }) => nodes)],
        outputs: outputs.map(({ path, tensor }) => ({ path, tensor })),
      },
      results: node.results.map(block),
    };
    return [...initial.flatMap(({ nodes }) => nodes), loop];
  }

  /** A device has its block already, or cuts it from what is whole. */
  function blockNodes({ cuts, direction, result, source }: BlockNode): readonly Node[] {
    const inside = placementOf(direction === 'enter' ? result.id : source);
    const outside = {
      dims: inside.dims.map((list, dim) => [...cuts[dim]!, ...list]),
      pending: inside.pending,
    };
    const held = direction === 'enter' ? converted(source, outside) : { tensor: source, nodes: [] };
    const local = block(result);
    return [...held.nodes, copyNode({ ...local, id: held.tensor }, local)];
  }

  function localNodes(node: Node): readonly Node[] {
    switch (node.kind) {
      case 'compute':
      case 'softmaxSum':
        return [local.get(node.result.id)!];
      case 'order':
      case 'prefix':
        return [{ ...node, result: block(node.result) }];
      case 'route':
        return [node];
      case 'loop':
        return loopNodes(node);
      case 'collective':
        return collectiveNodes(node);
      case 'block':
        return blockNodes(node);
      case 'exchange':
        return [{ ...node, result: block(node.result) }];
    }
  }

  function nodesOf(nodes: readonly Node[]): readonly Node[] {
    return nodes.flatMap(localNodes);
  }

  return { block, nodes: nodesOf, converted };
}
