/** How maps may be run: by workgroups of so many invocations, four elements each. */
import { elementCount } from '../../graph/tensor-type.ts';
import type { MapProblem } from '../schedules/map.ts';
import type { ChoiceOf } from './choice.ts';
import { type Choosing, powerFor } from './choosing.ts';

export const mapChoices: Choosing<MapProblem, ChoiceOf<'map'>> = {
  /** Small enough workgroups that a short map still uses the whole device. */
  first: ({ node }, { core, software, maxInvocationsPerWorkgroup }) => {
    const largest = Math.min(software ? 64 : 256, maxInvocationsPerWorkgroup);
    // A core goes through invocations one after the other, and needs no more than workgroups for all cores.
    const wanted = Math.ceil(elementCount(node.result) / (core === undefined ? 4 : 4 * 16));
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
