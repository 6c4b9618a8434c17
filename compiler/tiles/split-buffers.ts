/**
 * Nodes that read more tensors than a kernel can have buffers. Fusion knows no limit, so what it put together
 * is taken apart again here: a subexpression becomes a map of its own, whose result is read in its place.
 */
import { UserError } from '../../dsl/diagnostics/user-error.ts';
import type { ComputeNode, Node, Scalar, Tensor, TensorType } from '../graph/graph.ts';
import { results } from '../graph/graph.ts';
import {
  iterator,
  iteratorsOf,
  load,
  mapScalar,
  scalarType,
  subexpressions,
  tensorsOf,
} from '../graph/scalar.ts';
import { mapNodeScalars, nodeScalars } from '../graph/uses.ts';

export interface SplitNode<N extends Node> {
  /** Maps that come before it. */
  readonly before: readonly ComputeNode[];
  readonly node: N;
}

/**
 * The node so that it and the maps before it each touch at most `limit` tensors.
 * @throws UserError where one look-up alone reads more than that
 */
export function splitBuffers<N extends Node>(
  node: N,
  limit: number,
  temporary: (name: string, type: TensorType) => Tensor,
): SplitNode<N> {
  const before: ComputeNode[] = [];
  const extents = extentsOf(node);
  let current = node;
  for (let used = buffersOf(current); used > limit; used = buffersOf(current)) {
    const part = bestPart(current, extents, limit);
    if (part === undefined) throw tooMany(node, used, limit);
    const axes = [...iteratorsOf(part)].sort((left, right) => left - right);
    const result = temporary(`${results(node)[0]?.name}_part`, {
      dtype: scalarType(part),
      shape: axes.map((axis) => extents[axis]!),
    });
    before.push({
      kind: 'compute',
      result,
      body: mapScalar(part, (leaf) => (leaf.op === 'iterator' ? iterator(axes.indexOf(leaf.axis)) : leaf)),
      reduce: undefined,
      grouped: undefined,
    });
    const stored = load(result, axes.map(iterator));
    current = mapNodeScalars(current, (scalar) => replacePart(scalar, part, stored));
  }
  return { before, node: current };
}

function tooMany(node: Node, used: number, limit: number): UserError {
  return new UserError(
    'exceeds-device',
    `one kernel, for ${results(node)[0]?.name}, has to bind ${used} buffers; this device allows ${limit}`,
    'look up through fewer tensors of indices at once, or use a device that allows more',
  );
}

/** Of all axes that the node's scalars run over. */
function extentsOf(node: Node): readonly number[] {
  switch (node.kind) {
    case 'compute':
      return [...node.result.shape, ...(node.reduce?.extents ?? [])];
    case 'softmaxSum':
      return [...node.result.shape, node.extent, ...node.scoreExtents];
    case 'order':
    case 'prefix':
    case 'route':
    case 'loop':
    case 'collective':
    case 'block':
    case 'exchange':
      return [];
  }
}

/** One object stands for all equal subexpressions that were made in one place. */
function replacePart(scalar: Scalar, part: Scalar, stored: Scalar): Scalar {
  return mapScalar(scalar, (each) => (each === part ? stored : each));
}

/** Tensors that the node's kernel binds. */
function buffersOf(node: Node): number {
  return tensorsIn(nodeScalars(node)).size + results(node).length + lookupBuffers(node);
}

/** The order and the offsets that a grouped contraction reads beside its factors. */
function lookupBuffers(node: Node): number {
  return node.kind === 'compute' && node.grouped !== undefined ? 2 : 0;
}

function tensorsIn(scalars: readonly Scalar[]): Set<number> {
  return new Set(scalars.flatMap((scalar) => [...tensorsOf(scalar)]));
}

/** What to store: few elements first, then what takes most tensors away. */
function bestPart(node: Node, extents: readonly number[], limit: number): Scalar | undefined {
  const scalars = nodeScalars(node);
  const all = tensorsIn(scalars).size;
  let best: { part: Scalar; size: number; gain: number } | undefined;
  for (const part of new Set(scalars.flatMap(subexpressions))) {
    if (usesReduced(part) || readsLookup(node, part)) continue;
    const inside = tensorsOf(part).size;
    if (inside < 2 || inside + 1 > limit) continue;
    const stored: Scalar = { op: 'constant', dtype: scalarType(part), value: 0 };
    const left = tensorsIn(scalars.map((scalar) => replacePart(scalar, part, stored))).size + 1;
    const gain = all - left;
    if (gain < 1) continue;
    const size = [...iteratorsOf(part)].reduce((product, axis) => product * extents[axis]!, 1);
    if (best === undefined || size < best.size || (size === best.size && gain > best.gain))
      best = { part, size, gain };
  }
  return best?.part;
}

function usesReduced(part: Scalar): boolean {
  return subexpressions(part).some((inner) => inner.op === 'reduced');
}

/**
 * The experts' weights are read by the expert of a whole tile: nothing is to be computed for each row before.
 */
function readsLookup(node: Node, part: Scalar): boolean {
  const pick = node.kind === 'compute' ? node.grouped?.pick : undefined;
  return pick !== undefined && tensorsOf(part).has(pick);
}
