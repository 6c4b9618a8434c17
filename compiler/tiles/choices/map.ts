/** How maps may be run: by workgroups of so many invocations, four elements each. */
import { elementCount } from '../../graph/tensor-type.ts';
import type { MapProblem } from '../schedules/map.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, fewestWorkgroups, powerFor } from './choosing.ts';

export const mapChoices: Choosing<MapProblem, ChoiceOf<'map'>> = {
  /** Small enough workgroups that a short map still uses the whole device. */
  first: ({ node }, { core, software, maxInvocationsPerWorkgroup }) => {
    const largest = Math.min(core === undefined ? 256 : 64, maxInvocationsPerWorkgroup);
    const wanted = elementCount(node.result) / 4 / (software ? fewestWorkgroups : 1);
    return mapOf(Math.min(largest, Math.max(4, powerFor(wanted, largest))));
  },
  all: ({ node }, { maxInvocationsPerWorkgroup }) => {
    const largest = powerFor(Math.ceil(elementCount(node.result) / 4), maxInvocationsPerWorkgroup);
    return [4, 16, 64, 256].filter((threads) => threads <= Math.max(4, largest)).map(mapOf);
  },
};

function mapOf(threadColumns: number): ChoiceOf<'map'> {
  return { form: 'map', threadColumns };
}
