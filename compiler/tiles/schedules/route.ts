/**
 * Routing: where each expert's positions begin (how many picks are below it), then each expert, one
 * invocation each, walks over the picks and lists its own in order. Stable, and no atomics.
 */
import type { ComputeNode } from '../../graph/graph.ts';
import { apply as applyScalar, integer, iterator, load as loadScalar } from '../../graph/scalar.ts';
import { define, loop, register, spread, store, update } from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  element,
  grid,
  load,
  masked,
  product,
  sum,
} from '../tile-expression.ts';
import { elementCount, type NodeSchedule } from './context.ts';

export const scheduleRoute: NodeSchedule<'route'> = (node, context) => {
  const pick = context.tensors(node.pick);
  const { experts } = node;
  const count = elementCount(pick);
  const picked = loadScalar(
    pick,
    pick.shape.map((_, axis) => iterator(1 + axis)),
  );
  const offsets: ComputeNode = {
    kind: 'compute',
    result: node.offsets,
    body: applyScalar('select', applyScalar('lt', picked, iterator(0)), integer(1), integer(0)),
    reduce: { combiner: 'sum', extents: pick.shape, finish: undefined },
    grouped: undefined,
  };
  if (count === 0 || experts === 0) return context.node(offsets);
  const invocations = Math.min(64, 2 ** Math.ceil(Math.log2(experts)));
  const groups = Math.ceil(experts / invocations);
  const axis = spread(invocations, 'threads');
  const expert = sum(product(grid(0, groups), constant(invocations)), coordinate(0, invocations));
  const cursor = element('cursor', 'i32', [coordinate(0, invocations)]);
  const listed = context.kernel({
    name: `route_${node.order.name}`,
    grid: [groups],
    threads: { rows: 1, columns: invocations },
    body: [
      define(register('cursor', 'i32', [axis]), load(node.offsets.id, 'i32', expert)),
      loop(
        'i',
        { from: constant(0), to: constant(count), step: 1, range: { low: 0, high: count - 1 } },
        (place) => {
          const isOwn = apply('eq', 'bool', load(pick.id, pick.dtype, place), expert);
          return [
            store(node.order, [axis], cursor, place, both(isOwn, below(expert, constant(experts)))),
            update('cursor', sum(cursor, masked(isOwn, constant(1), constant(0)))),
          ];
        },
      ),
    ],
  });
  return [...context.node(offsets), listed];
};
