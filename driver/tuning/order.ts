/** In which order choices are measured: those first that promise most, for when time is short. */
import type { Graph, Tensor, TensorId } from '../../compiler/graph/graph.ts';
import { type Choice, partsOf } from '../../compiler/tiles/choices/choice.ts';
import { costOf } from '../../compiler/tiles/choices/cost.ts';
import { allChoices, type Problem } from '../../compiler/tiles/choices/problem.ts';
import { unitsCost } from '../../compiler/tiles/choices/unit-cost.ts';
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
  const estimate = first!.form === 'units' ? costByUnits : costOfSteps;
  const estimated = others.map((choice) => ({ choice, cost: estimate({ problem, graph, device }, choice) }));
  const byCost = estimated.toSorted((left, right) => left.cost - right.cost).map(({ choice }) => choice);
  const near = byCost.filter((choice) => differences(first!, choice) === 1);
  const turns = byCost.flatMap((choice, place) => [...near.slice(place, place + 1), choice]);
  return [...new Set([first!, ...turns])];
}

interface Estimated {
  readonly problem: Problem;
  readonly graph: Graph;
  readonly device: DeviceProfile;
}

function costOfSteps({ problem, graph, device }: Estimated, choice: Choice): number {
  return costOf(scheduleGraph(graph, device, onceFor(problem, choice)).steps, device);
}

/** Of what is best done by matrix units. By anything else it is so much slower that it is measured last. */
function costByUnits(estimated: Estimated, choice: Choice): number {
  const { problem, graph, device } = estimated;
  const { units } = device;
  if (units === undefined || problem.kind !== 'contraction') return costOfSteps(estimated, choice);
  if (choice.form === 'units') return unitsCost(problem, choice, units);
  if (choice.form !== 'split') return Number.POSITIVE_INFINITY;
  const { chosen } = scheduleGraph(graph, device, onceFor(problem, choice));
  const parts = chosen.map((part) => {
    if (part.problem.kind !== 'contraction' || part.choice.form !== 'units') return 0;
    return unitsCost(part.problem, part.choice, units);
  });
  return parts.reduce((sum, part) => sum + part, 0) || Number.POSITIVE_INFINITY;
}

/** Of how many parts. */
function differences(left: Choice, right: Choice): number {
  if (left.form !== right.form) return Number.POSITIVE_INFINITY;
  const [one, other] = [left, right] as readonly Readonly<Record<string, unknown>>[];
  return partsOf(left.form).filter((part) => one![part] !== other![part]).length;
}
