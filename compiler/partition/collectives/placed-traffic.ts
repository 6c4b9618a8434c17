/** What a placed program sends, by mesh axis. */
import type { Mesh, Placement } from '../../../dsl/placement/placement.ts';
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Node, TensorType } from '../../graph/graph.ts';
import { allTensors } from '../../graph/uses.ts';
import { deadCode } from '../../optimize/dead-code.ts';
import type { PlacementChange } from '../change.ts';
import { collectiveSteps } from '../collective-steps.ts';
import type { PlacedGraph } from '../place.ts';
import { placementAfterStep } from '../reshard-steps.ts';
import { trafficOf } from '../traffic.ts';

/** Bytes that the busiest device sends. */
export interface Sent {
  readonly total: number;
  /** In exchanges in which the axis takes part. */
  readonly along: ReadonlyMap<string, number>;
}

export const nothingSent: Sent = { total: 0, along: new Map() };

export function together(parts: readonly Sent[]): Sent {
  const along = new Map<string, number>();
  for (const part of parts)
    for (const [axis, bytes] of part.along) along.set(axis, (along.get(axis) ?? 0) + bytes);
  return { total: parts.reduce((sum, { total }) => sum + total, 0), along };
}

/** Whether less is sent, and no more along any axis: it is then less whatever the links are. */
export function isLess(left: Sent, right: Sent): boolean {
  return left.total < right.total && isNoMore(left, right);
}

export function isNoMore(left: Sent, right: Sent): boolean {
  return (
    left.total <= right.total &&
    [...left.along].every(([axis, bytes]) => bytes <= (right.along.get(axis) ?? 0))
  );
}

/** Of steps one after another, the first of which finds the tensor in `from`. */
export function sentInSteps(
  steps: readonly PlacementChange[],
  from: Placement,
  { shape, dtype }: TensorType,
  mesh: Mesh,
): Sent {
  const elementBytes = dtypeFacts[dtype].bits / 8;
  let placement = from;
  const parts = steps.map((step, position): Sent => {
    const { axes, bytes } = trafficOf(step, { shape, placement, elementBytes }, mesh);
    if (position < steps.length - 1) placement = placementAfterStep(placement, step, mesh);
    return { total: bytes, along: new Map(bytes === 0 ? [] : axes.map((axis) => [axis, bytes])) };
  });
  return together(parts);
}

/** In a run; what nothing reads is not sent. Exchanges of the per-device view are not looked at. */
export function sentBy({ graph, mesh, placements }: PlacedGraph): Sent {
  const tensors = allTensors(graph);
  const within = (nodes: readonly Node[]): Sent =>
    together(
      nodes.flatMap((node): readonly Sent[] => {
        if (node.kind === 'loop') return [times(within(node.body.nodes), node.count)];
        if (node.kind !== 'collective') return [];
        const found = placements.get(node.source)!;
        const to = placements.get(node.result.id)!;
        const { from, steps } = collectiveSteps(node.change, found, to, node.result, mesh);
        return [sentInSteps(steps, from, tensors.get(node.source)!, mesh)];
      }),
    );
  return within(deadCode(graph).nodes);
}

function times({ total, along }: Sent, count: number): Sent {
  const scaled = [...along].map(([axis, bytes]) => [axis, bytes * count] as const);
  return { total: total * count, along: new Map(scaled) };
}
