/**
 * Softmax along the last dimension, in the one shape that the recovery of streaming attention looks for:
 *
 *     m[i…]    = max over u of select(visible, x, −∞)
 *     z[i…]    = sum over u of select(visible, exp(x − m), 0)
 *     p[i…, u] = select(visible, exp(x − m) / z, 0)
 *
 * without the selects when everything is visible. What is hidden is never evaluated. A row that sees
 * something has z ≥ 1, its largest entry giving exp(0); one that sees nothing reads neither m nor z, and is
 * 0.
 */
import type { Scalar } from '../graph/graph.ts';
import { apply, float, iterator } from '../graph/scalar.ts';
import type { Reduction } from './graph-builder.ts';
import type { Lowering } from './lowering.ts';
import { scalarOf, type TensorValue } from './value.ts';

/** `x` and `visible` are vectors of one length. */
export function lowerSoftmax(
  lowering: Lowering,
  x: TensorValue,
  visible: TensorValue | undefined,
): TensorValue {
  const { builder } = lowering;
  const { extent, factors } = x.axes[0]!;

  /** The row reduced over an index variable of its own. */
  const reduceRow = (name: string, combiner: Reduction['combiner'], entry: (u: Scalar) => Scalar): Scalar => {
    const u = builder.axis(extent);
    const body = entry(iterator(u.iterator));
    const reduction: Reduction = { combiner, iterators: [u.iterator] };
    return scalarOf(builder.store({ kind: 'tensor', axes: [], body }, { name, reduction }).value);
  };
  const where = (u: Scalar, entry: Scalar, hidden: number): Scalar => {
    if (visible === undefined) return entry;
    return builder.arithmetic.simplify(apply('select', builder.at(visible, [u]), entry, float(hidden)));
  };

  const largest = reduceRow('softmax.max', 'max', (u) =>
    where(u, builder.at(x, [u]), Number.NEGATIVE_INFINITY),
  );
  const weight = (u: Scalar): Scalar => apply('exp', apply('sub', builder.at(x, [u]), largest));
  const total = reduceRow('softmax.sum', 'sum', (u) => where(u, weight(u), 0));
  const axis = builder.axis(extent, factors);
  const u = iterator(axis.iterator);
  return { kind: 'tensor', axes: [axis], body: where(u, apply('div', weight(u), total), 0) };
}
