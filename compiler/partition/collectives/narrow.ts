/**
 * Rounds before moving what is rounded after: half of the bytes, and the same bits. Only what is final is
 * rounded, since a rounded sum is not the sum of what was rounded.
 */

import type { Dtype } from '../../../dsl/types/dtype.ts';
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type {
  CollectiveNode,
  ComputeNode,
  Graph,
  Node,
  Scalar,
  Tensor,
  TensorId,
} from '../../graph/graph.ts';
import { iterators, load, mapScalar, operands, subexpressions } from '../../graph/scalar.ts';
import { mapNodeScalars, nodeScalars } from '../../graph/uses.ts';
import { collectiveSteps } from '../collective-steps.ts';
import type { PlacedGraph } from '../place.ts';
import {
  type Draft,
  draftOf,
  type Level,
  mapLevels,
  mapOutputs,
  mapReads,
  newTensor,
  type ReadSlot,
} from './mesh-reads.ts';
import { sentInSteps } from './placed-traffic.ts';

export function narrowFirst(placed: PlacedGraph): Graph {
  const draft = draftOf(placed);
  return mapLevels(placed.graph, (level) =>
    // From the last: what is rounded before one collective may be rounded before another one still.
    level.graph.nodes
      .filter((node) => node.kind === 'collective')
      .toReversed()
      .reduce((graph, node) => narrowed({ ...level, graph }, node, draft) ?? graph, level.graph),
  );
}

function narrowed(level: Level, node: CollectiveNode, draft: Draft): Graph | undefined {
  const wide = node.result;
  const dtype = roundedTo(level, wide);
  if (dtype === undefined || !isFinal(node, draft) || !isWorthwhile(level, node, draft)) return undefined;
  const source = draft.tensors.get(node.source)!;
  const from = draft.placements.get(node.source)!;
  const first = newTensor(draft, { ...source, dtype }, from);
  const moved = newTensor(draft, { ...wide, dtype }, draft.placements.get(wide.id)!);
  const rounding: ComputeNode = {
    kind: 'compute',
    result: first,
    body: load(source, iterators(source.shape.length)),
    reduce: undefined,
    grouped: undefined,
  };
  const by: readonly Node[] = [rounding, { ...node, source: first.id, result: moved }];
  const nodes = level.graph.nodes.flatMap((each) =>
    each.kind === 'collective' && each.result.id === wide.id ? by : [readingNarrow(each, wide, moved)],
  );
  return { ...level.graph, nodes };
}

/** Nothing is combined, before or after. */
function isFinal({ source, result }: CollectiveNode, { placements }: Draft): boolean {
  return [source, result.id].every((tensor) => placements.get(tensor)!.pending.size === 0);
}

/** A declaration sends nothing, but what is rounded before it may be rounded before what it follows too. */
function isWorthwhile({ graph }: Level, node: CollectiveNode, draft: Draft): boolean {
  return (
    sends(node, draft) ||
    graph.nodes.some((each) => each.kind === 'collective' && each.result.id === node.source)
  );
}

function sends({ source, result, change }: CollectiveNode, { placements, placed: { mesh } }: Draft): boolean {
  const found = placements.get(source)!;
  const { from, steps } = collectiveSteps(change, found, placements.get(result.id)!, result, mesh);
  return sentInSteps(steps, from, result, mesh).total > 0;
}

/** The narrower type that every reader rounds the tensor to at once; undefined if there is none. */
function roundedTo(level: Level, wide: Tensor): Dtype | undefined {
  const found = new Set<Dtype | undefined>();
  const look = (tensor: TensorId, slot: ReadSlot): TensorId => {
    if (tensor === wide.id)
      for (const dtype of slot.kind === 'node' ? roundingsIn(slot.node, wide) : [undefined]) found.add(dtype);
    return tensor;
  };
  mapReads(level.graph.nodes, level.loops, look);
  mapOutputs(level.graph, level.outputSlot, look);
  const [only] = found;
  const isNarrower = only !== undefined && dtypeFacts[only].bits < dtypeFacts[wide.dtype].bits;
  return found.size === 1 && isNarrower ? only : undefined;
}

/** What each load of the tensor is rounded to; undefined for one that is used as it is. */
function roundingsIn(node: Node, { id }: Tensor): readonly (Dtype | undefined)[] {
  if (isStoring(node, id)) return [node.result.dtype];
  const scalars = nodeScalars(node);
  if (scalars.length === 0 || scalars.some((scalar) => isLoadOf(scalar, id))) return [undefined];
  return scalars.flatMap(subexpressions).flatMap((scalar) => {
    if (!operands(scalar).some((operand) => isLoadOf(operand, id))) return [];
    return [scalar.op === 'round' ? scalar.dtype : undefined];
  });
}

/** A map that does nothing but to store elements of the tensor in a type of its own. */
function isStoring(node: Node, id: TensorId): node is ComputeNode {
  return (
    node.kind === 'compute' && node.reduce === undefined && isLoadOf(node.body, id) && readsOnce(node, id)
  );
}

/** Not to look itself up by. */
function readsOnce({ body }: ComputeNode, id: TensorId): boolean {
  return subexpressions(body).filter((scalar) => isLoadOf(scalar, id)).length === 1;
}

function isLoadOf(scalar: Scalar, id: TensorId): boolean {
  return scalar.op === 'load' && scalar.tensor === id;
}

/** A load of what is narrow gives what was rounded to it. */
function readingNarrow(node: Node, wide: Tensor, moved: Tensor): Node {
  if (node.kind === 'loop') {
    const nodes = node.body.nodes.map((inner) => readingNarrow(inner, wide, moved));
    return { ...node, body: { ...node.body, nodes } };
  }
  return mapNodeScalars(node, (root) =>
    mapScalar(root, (scalar) => {
      if (isLoadOf(scalar, wide.id) && scalar.op === 'load') return load(moved, scalar.subscripts);
      const [inner] = operands(scalar);
      if (scalar.op !== 'round' || scalar.dtype !== moved.dtype) return scalar;
      return inner?.op === 'load' && inner.tensor === moved.id ? inner : scalar;
    }),
  );
}
