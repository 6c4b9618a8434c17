/**
 * What all readers round to the same 16 bits is stored so: half the memory is written and read, and what
 * matrix units multiply can be copied as it lies. The values are the same, since a store rounds as readers
 * would. For devices with matrix units, which wait for memory; others would only unpack what they now read.
 */
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { ComputeNode, Graph, Node, Scalar, Tensor, TensorId } from '../graph/graph.ts';
import { type Load, mapScalar, operands, subexpressions } from '../graph/scalar.ts';
import { mapNodeScalars, nodeScalars, readsOf } from '../graph/uses.ts';
import type { DeviceProfile } from './device-profile.ts';

/** Rows of what is stored so are a multiple of this: all of their vectors are then whole words. */
const alignment = 8;

export function storeRounded(graph: Graph, { units }: Pick<DeviceProfile, 'units'>): Graph {
  if (units === undefined) return graph;
  const readings = new Map<TensorId, Set<Reading>>();
  collect(graph, (tensor, reading) => {
    const known = readings.get(tensor);
    if (known === undefined) readings.set(tensor, new Set([reading]));
    else known.add(reading);
  });
  const roundedTo = new Map<TensorId, Dtype>();
  for (const [tensor, [only, ...others]] of readings)
    if (only !== undefined && only !== 'as it is' && others.length === 0) roundedTo.set(tensor, only);
  return narrowed(graph, roundedTo);
}

/** As what a reader takes an element. */
type Reading = Dtype | 'as it is';

/** Tells of every place where a tensor is read what is done there first. */
function collect({ nodes, outputs }: Graph, tell: (tensor: TensorId, reading: Reading) => void): void {
  for (const { tensor } of outputs) tell(tensor, 'as it is');
  for (const node of nodes) {
    if (node.kind === 'loop') {
      collect(node.body, tell);
      for (const tensor of node.initial) tell(tensor, 'as it is');
    } else if (isCopy(node)) {
      tell(node.body.tensor, isRounding(node.result.dtype) ? node.result.dtype : 'as it is');
      for (const subscript of node.body.subscripts) collectFrom(subscript, tell);
    } else if (isComputed(node)) for (const scalar of nodeScalars(node)) collectFrom(scalar, tell);
    else for (const tensor of readsOf(node)) tell(tensor, 'as it is');
  }
}

function collectFrom(root: Scalar, tell: (tensor: TensorId, reading: Reading) => void): void {
  if (root.op === 'load') tell(root.tensor, 'as it is');
  for (const scalar of subexpressions(root))
    for (const operand of operands(scalar))
      if (operand.op === 'load') tell(operand.tensor, scalar.op === 'round' ? scalar.dtype : 'as it is');
}

/** A map that stores elements of a tensor in its own type, and does nothing more with them. */
type Copy = ComputeNode & { readonly body: Load };

function isCopy(node: Node): node is Copy {
  return node.kind === 'compute' && node.reduce === undefined && node.body.op === 'load';
}

type Computed = Node & { readonly kind: 'compute' | 'softmaxSum' };

function isComputed(node: Node): node is Computed {
  return node.kind === 'compute' || node.kind === 'softmaxSum';
}

function narrowed(graph: Graph, roundedTo: ReadonlyMap<TensorId, Dtype>): Graph {
  const tensors = new Map<TensorId, Tensor>();
  const find = (part: Graph): void => {
    for (const node of part.nodes) {
      if (node.kind === 'loop') find(node.body);
      if (!isComputed(node)) continue;
      const dtype = roundedTo.get(node.result.id);
      if (dtype !== undefined && isWorthIt(node.result, dtype))
        tensors.set(node.result.id, { ...node.result, dtype });
    }
  };
  find(graph);
  /** A load of what is rounded already, in place of the load that is. */
  const read = (scalar: Scalar): Scalar => {
    if (scalar.op !== 'round' || scalar.operand.op !== 'load') return scalar;
    const tensor = tensors.get(scalar.operand.tensor);
    return tensor === undefined ? scalar : { ...scalar.operand, dtype: tensor.dtype };
  };
  /** What a copy rounds by storing it. */
  const readWhole = (node: Node, scalar: Scalar): Scalar => {
    if (!isCopy(node) || scalar.op !== 'load') return scalar;
    const tensor = tensors.get(scalar.tensor);
    return tensor === undefined ? scalar : { ...scalar, dtype: tensor.dtype };
  };
  const inGraph = (part: Graph): Graph => ({
    ...part,
    nodes: part.nodes.map((node) => {
      if (node.kind === 'loop') return { ...node, body: inGraph(node.body) };
      if (!isComputed(node)) return node;
      const reading = mapNodeScalars(node, (scalar) => readWhole(node, mapScalar(scalar, read)));
      return { ...reading, result: tensors.get(node.result.id) ?? node.result };
    }),
  });
  return tensors.size === 0 ? graph : inGraph(graph);
}

function isRounding(dtype: Dtype): boolean {
  return dtypeFacts[dtype].class === 'float' && dtypeFacts[dtype].bits === 16;
}

function isWorthIt({ dtype, shape }: Tensor, stored: Dtype): boolean {
  return dtype === 'f32' && dtypeFacts[stored].bits === 16 && (shape.at(-1) ?? 0) % alignment === 0;
}
