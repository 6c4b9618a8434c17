/** What a plan of resharding must at least cost from a placement on: the estimate of A*. */
import type { AxisList, Placement } from '../../dsl/placement/placement.ts';
import { devicesAlong } from '../../dsl/placement/placement.ts';
import { elementsToCross, elementsToFetch } from './elements-to-fetch.ts';
import type { ReshardRequest } from './reshard.ts';
import type { LinkModel, Links } from './traffic.ts';
import { linkOf } from './traffic.ts';

/**
 * Of a placement, for elements of so many bytes: seconds where the links are known, else bytes. What is
 * missing is counted once for all sizes of an element.
 */
type Estimate = (placement: Placement) => (elementBytes: number) => number;

/** Where a tensor of a shape is to go. */
export type Destination = Pick<ReshardRequest, 'to' | 'shape' | 'mesh' | 'links'>;

/** @param axes that the steps may be on, all of several devices among them */
export function remainingTraffic(destination: Destination, axes: AxisList): Estimate {
  const { links } = destination;
  return links === undefined ? bytesLeft(destination, axes) : secondsLeft(destination, links, axes);
}

function bytesLeft({ to, shape, mesh }: Destination, axes: AxisList): Estimate {
  const fetched = elementsToFetch(to, shape, axes, mesh);
  return (placement) => {
    const missing = fetched(placement);
    return (elementBytes) => missing * elementBytes;
  };
}

/** Over the fastest link whatever is missing, and over each link what must cross it. */
function secondsLeft({ to, shape, mesh }: Destination, links: Links, axes: AxisList): Estimate {
  const used = axes.filter((axis) => devicesAlong(mesh, [axis]) > 1);
  const all = used.map((axis) => linkOf(axis, links));
  const fastest: LinkModel = {
    bytesPerSecond: Math.max(...all.map(({ bytesPerSecond }) => bytesPerSecond)),
    latencySeconds: Math.min(...all.map(({ latencySeconds }) => latencySeconds)),
  };
  const bounds = [
    { elementsFrom: elementsToFetch(to, shape, axes, mesh), link: fastest },
    ...used.map((axis, place) => ({
      elementsFrom: elementsToCross(to, shape, axis, mesh),
      link: all[place]!,
    })),
  ];
  return (placement) => {
    const missing = bounds
      .map(({ elementsFrom, link }) => ({ elements: elementsFrom(placement), link }))
      .filter(({ elements }) => elements > 0);
    return (elementBytes) => {
      let most = 0;
      for (const { elements, link } of missing)
        most = Math.max(most, link.latencySeconds + (elements * elementBytes) / link.bytesPerSecond);
      return most;
    };
  };
}
