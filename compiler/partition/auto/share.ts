/**
 * What one mesh axis does to a tensor. A placement is that for each axis; several axes on one dimension stand
 * in the order of the mesh.
 */
import {
  devicesAlong,
  type Mesh,
  type PendingCombiner,
  type Placement,
  sameList,
} from '../../../dsl/placement/placement.ts';

export type Share =
  /** All devices along the axis hold the same. */
  | { readonly kind: 'whole' }
  | { readonly kind: 'cut'; readonly dim: number }
  | { readonly kind: 'pending'; readonly combiner: PendingCombiner };

export const whole: Share = { kind: 'whole' };

export function sameShare(left: Share, right: Share): boolean {
  switch (left.kind) {
    case 'whole':
      return right.kind === 'whole';
    case 'cut':
      return right.kind === 'cut' && left.dim === right.dim;
    case 'pending':
      return right.kind === 'pending' && left.combiner === right.combiner;
  }
}

export function shareOf({ dims, pending }: Placement, axis: string): Share {
  const dim = dims.findIndex((list) => list.includes(axis));
  if (dim >= 0) return { kind: 'cut', dim };
  const combiner = pending.get(axis);
  return combiner === undefined ? whole : { kind: 'pending', combiner };
}

/** @param shares for each axis of the mesh */
export function placementOf(rank: number, shares: readonly Share[], { axes }: Mesh): Placement {
  const dims = Array.from({ length: rank }, (): string[] => []);
  const pending = new Map<string, PendingCombiner>();
  for (const [position, { name }] of axes.entries()) {
    const share = shares[position]!;
    if (share.kind === 'cut') dims[share.dim]!.push(name);
    if (share.kind === 'pending') pending.set(name, share.combiner);
  }
  return { dims, pending };
}

/** Whether the axes that cut a dimension stand in the order of the mesh. */
export function isInMeshOrder({ dims }: Placement, { axes }: Mesh): boolean {
  return dims.every((list) =>
    sameList(
      list,
      axes.map(({ name }) => name).filter((name) => list.includes(name)),
    ),
  );
}

/** The extents that the devices together hold where blocks are equal: as they are, or with some padding. */
export function paddedShape(
  shape: readonly number[],
  placements: readonly Placement[],
  mesh: Mesh,
): readonly number[] {
  return shape.map((extent, dim) => {
    const multiple = placements.reduce(
      (least, { dims }) => leastCommonMultiple(least, devicesAlong(mesh, dims[dim]!)),
      1,
    );
    return Math.ceil(extent / multiple) * multiple;
  });
}

function leastCommonMultiple(left: number, right: number): number {
  const divisor = (one: number, other: number): number => (other === 0 ? one : divisor(other, one % other));
  return (left / divisor(left, right)) * right;
}
