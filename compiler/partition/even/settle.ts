/**
 * Extrema of which some device has padding only. It puts the least (or greatest) of all values, and what is
 * still to be combined may go on to be computed with: where the least integer wraps, or where storing has no
 * infinity, such a part would win. So they are combined at once, and are then what they were to be: pending
 * again, of parts that are all the same.
 */
import { devicesAlong, type PendingCombiner, type Placement } from '../../../dsl/placement/placement.ts';
import type { CollectiveNode, ComputeNode, Node, Tensor } from '../../graph/graph.ts';
import { iterators, load, scalarType } from '../../graph/scalar.ts';
import { substituteReduced } from '../../optimize/expressions/substitute.ts';
import type { Surroundings } from './even-sizes.ts';
import { cutDimensions, type Dimension, reducedDimensions } from './links.ts';

/** @param axes the reduced axes that run over padding */
export function isSettledAtOnce(
  node: ComputeNode,
  axes: ReadonlySet<number>,
  { extents, mesh, placements, tensors }: Surroundings,
): boolean {
  const { reduce, result, body } = node;
  if (reduce?.combiner !== 'max' && reduce?.combiner !== 'min') return false;
  if (scalarType(body) !== 'i32' && result.dtype !== 'f8e4m3') return false;
  if (!placements.get(result.id)?.pending.size) return false;
  const padded = extents.ofAxes(node);
  const blocksOf = ({ tensor, dim }: Dimension) =>
    devicesAlong(mesh, placements.get(tensor)?.dims[dim] ?? []);
  return [...reducedDimensions(node, tensors, cutDimensions(placements, mesh))].some(([axis, dims]) => {
    const block = padded[axis]! / Math.max(...dims.map(blocksOf));
    return axes.has(axis) && padded[axis]! - block >= reduce.extents[axis - result.shape.length]!;
  });
}

/** The reduction, what combines it, what makes it pending again, and what is done to its value. */
export function settledAtOnce(node: ComputeNode, { placements, ids }: Surroundings): readonly Node[] {
  const { reduce, result, body } = node;
  const placement = placements.get(result.id)!;
  const type = scalarType(body);
  const parts: Tensor = { ...result, dtype: type, id: ids.next++ };
  const moved = (source: Tensor, pending: Placement['pending']): CollectiveNode => ({
    kind: 'collective',
    source: source.id,
    result: { ...parts, id: ids.next++ },
    change: { kind: 'reshard', first: 0, to: { dims: placement.dims, pending } },
  });
  const combiner = reduce!.combiner as PendingCombiner;
  const combined = moved(parts, new Map());
  const pending = moved(
    combined.result,
    new Map([...placement.pending.keys()].map((axis) => [axis, combiner])),
  );
  const value = load(pending.result, iterators(result.shape.length));
  const finish = reduce!.finish;
  return [
    { ...node, result: parts, reduce: { ...reduce!, finish: undefined } },
    combined,
    pending,
    {
      ...node,
      body: finish === undefined ? value : substituteReduced(finish, value),
      reduce: undefined,
    },
  ];
}
