/**
 * For tests: programs in which more is moved than has to be. On the way from a tensor to what reads it are
 * put collectives that lead to where it was or elsewhere, with roundings and additions between them.
 */
import { deviceCount, type Mesh, type Placement, samePlacement } from '../../../dsl/placement/placement.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { type Choose, pick, readTape } from '../../graph/choice-tape.ts';
import type {
  CollectiveNode,
  ComputeNode,
  Graph,
  Node,
  PlacementChange,
  Scalar,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import type { RandomProgram } from '../../graph/random-graph.ts';
import { apply, iterators, load } from '../../graph/scalar.ts';
import { isFloat } from '../../graph/tensor-type.ts';
import { allNodes, allTensors, readsOf, renameReads } from '../../graph/uses.ts';
import { applyChange, isFault } from '../change.ts';
import type { DeviceProgram } from '../localize.ts';
import { type PlacedGraph, place } from '../place.ts';
import {
  dividing,
  placeWithCollectives,
  randomChange,
  randomMesh,
  randomOutputs,
  randomPlacement,
  scatter,
} from '../random-partition.ts';

/** More take long to evaluate, and show no more. */
const mostDevices = 12;

/** undefined: the mesh is too large, or there is no legal way that was found. */
export function randomDetours(program: RandomProgram, tape: readonly number[]): PlacedGraph | undefined {
  const choose: Choose = readTape(tape);
  const mesh: Mesh = randomMesh(choose);
  if (deviceCount(mesh) > mostDevices) return undefined;
  const { graph } = program;
  const inputs = new Map(
    graph.inputs.map(({ path, tensor }) => [path, randomPlacement(tensor, mesh, choose)] as const),
  );
  const free = placeWithCollectives(graph, mesh, inputs, () => choose);
  if (free === undefined) return undefined;
  const options = { mesh, inputs, outputs: randomOutputs(free, () => choose) };
  const first = place(free.written, options);
  if (first.kind === 'misplaced') throw new Error(JSON.stringify(first.faults[0]));
  let placed = first.placed;
  for (let turn = 0; turn < 6; turn++) {
    const longer = withDetour(placed, choose);
    const result = longer && place(longer, { mesh, inputs, outputs: placed.outputs });
    if (result?.kind === 'placed') placed = result.placed;
  }
  return placed;
}

/** What each device holds of the inputs, by path. */
export function blocksOf(
  program: RandomProgram,
  device: DeviceProgram,
): ReadonlyMap<string, readonly TensorValue<number>[]> {
  return new Map(
    program.graph.inputs.map(({ path, tensor }, position) => {
      const whole = program.inputs.get(tensor.id)!;
      return [path, scatter(whole, device.inputs.get(path)!, device.mesh, position)] as const;
    }),
  );
}

interface Way {
  readonly nodes: readonly Node[];
  readonly end: Tensor;
  readonly placement: Placement;
}

interface Maker {
  readonly mesh: Mesh;
  readonly choose: Choose;
  readonly newTensor: (like: Tensor) => Tensor;
}

type Detour = (source: Tensor, placement: Placement, maker: Maker) => Way;

const detours: readonly Detour[] = [thereAndBack, moved, moved, rounded, rounded, added, added];

function withDetour(placed: PlacedGraph, choose: Choose): Graph | undefined {
  const { graph, placements, mesh } = placed;
  const tensors = allTensors(graph);
  const isPlaced = (tensor: TensorId): boolean => {
    const { dims, pending } = placements.get(tensor)!;
    return pending.size > 0 || dims.some((list) => list.length > 0);
  };
  const readers = allNodes(graph).filter((node) => node.kind !== 'loop' && [...readsOf(node)].some(isPlaced));
  if (readers.length === 0) return undefined;
  // Few readers have something that is still to be combined: they are taken now and then before others.
  const isPending = (tensor: TensorId) => placements.get(tensor)!.pending.size > 0;
  const ofPending = readers.filter((node) => [...readsOf(node)].some(isPending));
  const prefersPending = ofPending.length > 0 && choose(2) === 1;
  const reader = pick(choose, prefersPending ? ofPending : readers);
  const source = pick(choose, [...readsOf(reader)].filter(prefersPending ? isPending : isPlaced));
  let nextId = Math.max(...tensors.keys()) + 1;
  const newTensor = (like: Tensor): Tensor => ({ ...like, id: nextId++, name: 'detour' });
  const way = pick(choose, detours)(tensors.get(source)!, placements.get(source)!, {
    mesh,
    choose,
    newTensor,
  });
  const reading = renameReads(reader, (tensor) => (tensor === source ? way.end.id : tensor));
  return replaced(graph, reader, [...way.nodes, reading]);
}

function replaced(graph: Graph, old: Node, by: readonly Node[]): Graph {
  const nodes = graph.nodes.flatMap((node): readonly Node[] => {
    if (node === old) return by;
    return [node.kind === 'loop' ? { ...node, body: replaced(node.body, old, by) } : node];
  });
  return { ...graph, nodes };
}

function collective(source: Tensor, result: Tensor, change: PlacementChange): CollectiveNode {
  return { kind: 'collective', source: source.id, result, change };
}

/** One to three changes. */
function moved(source: Tensor, placement: Placement, maker: Maker): Way {
  let way: Way = { nodes: [], end: source, placement };
  for (let turn = 1 + maker.choose(3); turn > 0; turn--) {
    const change = randomChange(way.end, way.placement, maker.mesh, maker.choose, dividing);
    const after = placementAfter(way.placement, change, maker.mesh);
    if (after === undefined) continue;
    const end = maker.newTensor(way.end);
    way = { nodes: [...way.nodes, collective(way.end, end, change)], end, placement: after };
  }
  return way;
}

function placementAfter(from: Placement, change: PlacementChange, mesh: Mesh): Placement | undefined {
  if (change.kind === 'reshard') return change.to;
  if (change.kind === 'declare') return undefined;
  const after = applyChange(from, change, mesh);
  return isFault(after) ? undefined : after;
}

/** To somewhere else, and to where it was, where that is a change of where it is cut only. */
function thereAndBack(source: Tensor, placement: Placement, maker: Maker): Way {
  const there = moved(source, placement, maker);
  const isSame = samePlacement(there.placement, placement) || placement.pending.size > 0;
  if (isSame) return there;
  const end = maker.newTensor(source);
  const back = collective(there.end, end, { kind: 'reshard', first: 0, to: placement });
  return { nodes: [...there.nodes, back], end, placement };
}

function rounded(source: Tensor, placement: Placement, maker: Maker): Way {
  const there = moved(source, placement, maker);
  if (!isFloat(source)) return there;
  const narrow: Tensor = { ...maker.newTensor(source), dtype: 'bf16' };
  const end: Tensor = { ...maker.newTensor(source), dtype: source.dtype };
  const nodes = [...there.nodes, map(narrow, read(there.end)), map(end, read(narrow))];
  return { nodes, end, placement: there.placement };
}

/** The sum of the tensor and what is made of it, each combined by itself. */
function added(source: Tensor, placement: Placement, maker: Maker): Way {
  const axes = [...placement.pending.keys()];
  const [combiner] = placement.pending.values();
  if (combiner === undefined || source.dtype === 'bool') return moved(source, placement, maker);
  const other = maker.newTensor(source);
  const [left, right, end] = [source, source, source].map(maker.newTensor) as [Tensor, Tensor, Tensor];
  const change: PlacementChange = { kind: 'all_reduce', axes };
  const nodes = [
    map(other, apply(combiner === 'sum' ? 'add' : combiner, read(source), read(source))),
    collective(source, left, change),
    collective(other, right, change),
    map(end, apply('add', read(left), read(right))),
  ];
  return { nodes, end, placement: { dims: placement.dims, pending: new Map() } };
}

function read(tensor: Tensor): Scalar {
  return load(tensor, iterators(tensor.shape.length));
}

function map(result: Tensor, body: Scalar): ComputeNode {
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}
