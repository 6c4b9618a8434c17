/**
 * What one mesh axis does to a tensor. A placement is that for each axis; several axes on one dimension stand
 * in the order of the mesh.
 */
import type { Mesh, PendingCombiner, Placement } from '../../../dsl/placement/placement.ts';

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
