/** What a plan of resharding must at least cost from a placement on: the estimate of A*. */
import type { AxisList, Placement } from '../../dsl/placement/placement.ts';
import { devicesAlong } from '../../dsl/placement/placement.ts';
import { elementsToCross, elementsToFetch } from './elements-to-fetch.ts';
import type { ReshardRequest } from './reshard.ts';
import type { LinkModel, Links } from './traffic.ts';
import { linkOf } from './traffic.ts';

/** Seconds where the links are known, else bytes. */
type Estimate = (placement: Placement) => number;

/** @param axes that the steps may be on, all of several devices among them */
export function remainingTraffic(request: ReshardRequest, axes: AxisList): Estimate {
  const { links } = request;
  return links === undefined ? bytesLeft(request, axes) : secondsLeft(request, links, axes);
}

function bytesLeft({ to, shape, elementBytes, mesh }: ReshardRequest, axes: AxisList): Estimate {
  const fetched = elementsToFetch(to, shape, axes, mesh);
  return (placement) => fetched(placement) * elementBytes;
}

/** Over the fastest link whatever is missing, and over each link what must cross it. */
function secondsLeft(
  { to, shape, elementBytes, mesh }: ReshardRequest,
  links: Links,
  axes: AxisList,
): Estimate {
  const used = axes.filter((axis) => devicesAlong(mesh, [axis]) > 1);
  const all = used.map((axis) => linkOf(axis, links));
  const fastest: LinkModel = {
    bytesPerSecond: Math.max(...all.map(({ bytesPerSecond }) => bytesPerSecond)),
    latencySeconds: Math.min(...all.map(({ latencySeconds }) => latencySeconds)),
  };
  const fetched = elementsToFetch(to, shape, axes, mesh);
  const bounds = [
    { elements: fetched, link: fastest },
    ...used.map((axis, place) => ({ elements: elementsToCross(to, shape, axis, mesh), link: all[place]! })),
  ];
  return (placement) => {
    let most = 0;
    for (const { elements, link } of bounds) {
      const bytes = elements(placement) * elementBytes;
      if (bytes > 0) most = Math.max(most, link.latencySeconds + bytes / link.bytesPerSecond);
    }
    return most;
  };
}
