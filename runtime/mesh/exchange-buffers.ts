/** What an exchange of a package is to a communicator: which collective, of how much. */
import { chunkCount, verbFacts } from '../../compiler/plan/exchange-verbs.ts';
import type { ExchangeStep } from '../../compiler/plan/package.ts';
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Collective } from './collective.ts';

/** What one device has of it. */
interface Exchanged {
  readonly dtype: Dtype;
  readonly shape: readonly number[];
}

export function sourceOf({ dtype, elements, verb, devices }: ExchangeStep): Exchanged {
  return { dtype, shape: [chunkCount(verbFacts[verb].source, devices), elements] };
}

export function resultOf({ dtype, elements, verb, devices }: ExchangeStep): Exchanged {
  return { dtype, shape: [chunkCount(verbFacts[verb].result, devices), elements] };
}

export function collectiveOf(step: ExchangeStep): Collective {
  return collectives[step.verb](step);
}

const collectives: { readonly [V in ExchangeStep['verb']]: (step: ExchangeStep) => Collective } = {
  all_gather: ({ dtype }) => ({ verb: 'all_gather', dtype }),
  all_reduce: ({ dtype, combiner }) => ({ verb: 'all_reduce', dtype, combiner: combinerOf(dtype, combiner) }),
  reduce_scatter: ({ dtype, combiner }) => ({
    verb: 'reduce_scatter',
    dtype,
    combiner: combinerOf(dtype, combiner),
  }),
  all_to_all: ({ dtype }) => ({ verb: 'all_to_all', dtype }),
  shift: ({ dtype }) => ({ verb: 'shift', dtype, by: 1 }),
  broadcast: ({ dtype }) => ({ verb: 'broadcast', dtype, root: 0 }),
};

/** The sum of truths is whether there is any. */
function combinerOf(dtype: Dtype, combiner: PendingCombiner): PendingCombiner {
  return dtype === 'bool' && combiner === 'sum' ? 'max' : combiner;
}
