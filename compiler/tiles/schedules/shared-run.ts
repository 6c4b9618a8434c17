/** Neighbours along what is reduced that have something in common: a scale, in weights of a few bits. */
import type { Scalar } from '../../graph/graph.ts';
import { subexpressions } from '../../graph/scalar.ts';
import type { AxisClass } from './axis-class.ts';

/**
 * The largest n such that something read is the same for each run of n neighbours, undefined where there is
 * none: a loop over runs and one inside let what is the same be computed once.
 * @param step that runs come apart into
 */
export function sharedRun(
  factors: readonly Scalar[],
  { axes, extent }: AxisClass,
  step: number,
): number | undefined {
  const [axis] = axes;
  if (axes.length !== 1) return undefined;
  const runs = factors.flatMap(subexpressions).flatMap((part) => {
    if (part.op !== 'apply' || part.function !== 'floordiv') return [];
    const [dividend, divisor] = part.operands;
    const isOfAxis = dividend?.op === 'iterator' && dividend.axis === axis;
    return isOfAxis && divisor?.op === 'constant' ? [divisor.value] : [];
  });
  const fitting = runs.filter((run) => run > step && run % step === 0 && extent % run === 0);
  return fitting.length === 0 ? undefined : Math.max(...fitting);
}
