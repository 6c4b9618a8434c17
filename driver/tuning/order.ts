/** In which order choices are measured: those first that promise most, for when time is short. */
import type { Tensor, TensorId } from '../../compiler/graph/graph.ts';
import type { Choice } from '../../compiler/tiles/choices/choice.ts';
import { costOf } from '../../compiler/tiles/choices/cost.ts';
import { allChoices, type Problem } from '../../compiler/tiles/choices/problem.ts';
import type { DeviceProfile } from '../../compiler/tiles/device-profile.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';
import { apart } from './apart.ts';
import { onceFor } from './once-for.ts';

/**
 * All choices, the first choice first. Then take turns those that are estimated to cost least, and those that
 * differ from the first choice in one part, which is right as a rule where the estimate is not.
 */
export function inOrder(
  problem: Problem,
  tensors: (id: TensorId) => Tensor,
  device: DeviceProfile,
): readonly Choice[] {
  const { graph } = apart(problem, tensors);
  const [first, ...others] = allChoices(problem, device) as readonly Choice[];
  const estimated = others.map((choice) => {
    const { steps } = scheduleGraph(graph, device, onceFor(problem, choice));
    return { choice, cost: costOf(steps, device) };
  });
  const byCost = estimated.toSorted((left, right) => left.cost - right.cost).map(({ choice }) => choice);
  const near = byCost.filter((choice) => differences(first!, choice) === 1);
  const turns = byCost.flatMap((choice, place) => [...near.slice(place, place + 1), choice]);
  return [...new Set([first!, ...turns])];
}

function differences(left: Choice, right: Choice): number {
  if (left.form !== right.form) return Number.POSITIVE_INFINITY;
  const others = new Map(Object.entries(right));
  return Object.entries(left).filter(([part, value]) => others.get(part) !== value).length;
}
