/** How long an exchange takes that the program itself makes, in the view of one device. */
import type { Mesh, Placement } from '../../../dsl/placement/placement.ts';
import { tensorBytes } from '../../graph/cost.ts';
import type { ExchangeNode, ExchangeVerb, Tensor } from '../../graph/graph.ts';
import type { ChangeKind } from '../change.ts';
import { secondsOf, trafficAlong } from '../traffic.ts';
import { type CostModel, linksAlong } from './cost-model.ts';
import { heldPart } from './node-strategy.ts';

/** The change of placement that sends as much. */
const sameTraffic: { readonly [V in ExchangeVerb]: ChangeKind } = {
  all_gather: 'all_gather',
  all_reduce: 'all_reduce',
  reduce_scatter: 'reduce_scatter',
  all_to_all: 'all_to_all',
  shift: 'permute',
  broadcast: 'broadcast',
};

/** @param placement of the source, by the axes that are not in the hands of the program */
export function exchangeSeconds(
  { axes, devices, verb }: ExchangeNode,
  source: Tensor,
  placement: Placement,
  { costs, mesh }: { readonly costs: CostModel; readonly mesh: Mesh },
): number {
  const bytes = tensorBytes(source) * heldPart(source, placement, mesh);
  return secondsOf(
    trafficAlong({ kind: sameTraffic[verb], axes, devices }, bytes, 1),
    linksAlong(axes, costs),
  );
}
