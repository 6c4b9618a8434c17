/**
 * Results whose elements share words: first computed wide, then packed by a kernel in which each word has one
 * owner.
 */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Tensor } from '../../graph/graph.ts';
import { iterator, load } from '../../graph/scalar.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { arithmeticOfDtype } from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';

export function sharesWords({ dtype }: Tensor): boolean {
  return dtypeFacts[dtype].bits < 32;
}

/** The steps that `schedule` gives for a wide temporary, and one that rounds it into `result`. */
export function widened(
  result: Tensor,
  context: ScheduleContext,
  schedule: (wide: Tensor) => readonly ScheduledStep[],
): readonly ScheduledStep[] {
  const { name, shape, ends } = result;
  const wide = context.temporary(`${name}_wide`, {
    dtype: arithmeticOfDtype(result.dtype),
    shape,
    ...(ends && { ends }),
  });
  const body = load(
    wide,
    shape.map((_, axis) => iterator(axis)),
  );
  const packed = { kind: 'compute', result, body, reduce: undefined, grouped: undefined } as const;
  return [...schedule(wide), ...context.node(packed)];
}
