/** Prefix reductions: each invocation walks along one row, keeping what it has so far. */
import { combine, identityOf } from '../combiners.ts';
import { endExpression, flatEnd, gridEnd } from '../ends.ts';
import { define, loop, register, spread, store, update } from '../tile-builder.ts';
import {
  arithmeticOfDtype,
  below,
  constant,
  coordinate,
  element,
  grid,
  load,
  product,
  sum,
} from '../tile-expression.ts';
import { elementCount, type NodeSchedule } from './context.ts';
import { sharesWords, widened } from './narrow-result.ts';

export const schedulePrefix: NodeSchedule<'prefix'> = (node, context) => {
  const count = elementCount(node.result);
  if (count === 0) return [];
  if (sharesWords(node.result)) {
    return widened(node.result, context, (wide) => schedulePrefix({ ...node, result: wide }, context));
  }
  const source = context.tensors(node.source);
  const { shape, ends } = node.result;
  const length = shape.at(-1) ?? 1;
  const rows = count / length;
  const invocations = Math.min(64, 2 ** Math.ceil(Math.log2(rows)));
  const groups = Math.ceil(rows / invocations);
  const axis = spread(invocations, 'threads');
  const row = sum(product(grid(0, groups), constant(invocations)), coordinate(0, invocations));
  const dtype = arithmeticOfDtype(node.result.dtype);
  const soFar = element('so_far', dtype, [coordinate(0, invocations)]);
  return [
    context.kernel({
      name: `prefix_${node.result.name}`,
      grid: [groups],
      gridEnds: [gridEnd(flatEnd([...shape.keys()].slice(0, -1), shape, ends ?? []), invocations)],
      threads: { rows: 1, columns: invocations },
      body: [
        define(register('so_far', dtype, [axis]), identityOf(node.combiner, dtype)),
        loop(
          'i',
          {
            from: constant(0),
            to: endExpression(ends?.at(-1), length),
            step: 1,
            range: { low: 0, high: length - 1 },
          },
          (place) => {
            const at = sum(product(row, constant(length)), place);
            const next = load(source.id, source.dtype, at);
            return [
              update('so_far', combine(node.combiner, soFar, next, dtype)),
              store(node.result, [axis], at, soFar, below(row, constant(rows))),
            ];
          },
        ),
      ],
    }),
  ];
};
