/** What the devices of a mesh send to each other in one run. */
import { allCoordinates, blockNumber } from '../../compiler/partition/blocks.ts';
import { sentBytes } from '../../compiler/plan/expand-exchange.ts';
import type { ExchangeStep, LaunchStep } from '../../compiler/plan/package.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';

export interface Traffic {
  /** By each device to others. */
  readonly sentBytes: readonly number[];
  /** Of each device: times that it takes part in an exchange. */
  readonly exchanges: number;
}

export function trafficOf(steps: readonly LaunchStep[], mesh: Mesh): Traffic {
  const counted = countedExchanges(steps, 1);
  return {
    sentBytes: allCoordinates(mesh).map((coordinates) =>
      counted.reduce(
        (sum, { step, times }) => sum + times * sentBytes(step, blockNumber(step.axes, coordinates, mesh)),
        0,
      ),
    ),
    exchanges: counted.reduce((sum, { times }) => sum + times, 0),
  };
}

interface CountedExchange {
  readonly step: ExchangeStep;
  /** How often it runs. */
  readonly times: number;
}

function countedExchanges(steps: readonly LaunchStep[], times: number): readonly CountedExchange[] {
  return steps.flatMap((step) => {
    if (step.kind === 'loop') return countedExchanges(step.steps, times * step.count);
    return step.kind === 'exchange' ? [{ step, times }] : [];
  });
}
