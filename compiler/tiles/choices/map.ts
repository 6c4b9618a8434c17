/** How maps may be run: by workgroups of so many invocations, four elements each; or in squares. */
import { elementCount } from '../../graph/tensor-type.ts';
import type { DeviceProfile } from '../device-profile.ts';
import type { MapForm, MapProblem } from '../schedules/map.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, fewestWorkgroups, powerFor } from './choosing.ts';

export const mapChoices: Choosing<MapProblem, ChoiceOf<MapForm>> = {
  /** Small enough workgroups that a short map still uses the whole device. */
  first: (problem, device) => {
    const [usual] = turnedChoices(problem, device);
    if (usual !== undefined) return usual;
    const { core, software, maxInvocationsPerWorkgroup } = device;
    const largest = Math.min(core === undefined ? 256 : 64, maxInvocationsPerWorkgroup);
    const wanted = elementCount(problem.node.result) / 4 / (software ? fewestWorkgroups : 1);
    return mapOf(Math.min(largest, Math.max(4, powerFor(wanted, largest))));
  },
  all: (problem, device) => {
    const count = Math.ceil(elementCount(problem.node.result) / 4);
    const largest = powerFor(count, device.maxInvocationsPerWorkgroup);
    return [
      ...turnedChoices(problem, device),
      ...[4, 16, 64, 256].filter((threads) => threads <= Math.max(4, largest)).map(mapOf),
    ];
  },
};

function mapOf(threadColumns: number): ChoiceOf<'map'> {
  return { form: 'map', threadColumns };
}

/** Where elements are read sixteen bytes at once. The usual first. */
function turnedChoices({ turn }: MapProblem, { keptElements }: DeviceProfile): readonly ChoiceOf<'turned'>[] {
  if (turn === undefined || keptElements === undefined) return [];
  return [32, 16, 8].flatMap((threadRows) =>
    [false, true].map((bands) => ({ form: 'turned', threadRows, bands }) as const),
  );
}
