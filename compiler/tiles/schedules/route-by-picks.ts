/**
 * Routing on a GPU, an invocation a pick: a counting sort in three kernels (Blelloch, "Prefix sums and their
 * applications", 1990). The first counts each expert's picks in each chunk, the second adds up what comes
 * before a chunk's, the third puts each pick behind those of its expert that come before it in its chunk.
 * Stable, and no atomics.
 */
import type { RouteNode, Tensor } from '../../graph/graph.ts';
import { endExpression } from '../ends.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, loop, reduceTiles, register, shared, spread, store, update } from '../tile-builder.ts';
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
  type TileExpression,
  within,
} from '../tile-expression.ts';
import { elementCount, type ScheduleContext } from './context.ts';

/** Picks of a chunk, and invocations of its workgroup. */
export const chunkLength = 256;

export function routeByPicks(node: RouteNode, context: ScheduleContext): readonly ScheduledStep[] {
  const chunks = Math.ceil(elementCount(context.tensors(node.pick)) / chunkLength);
  const table = (name: string) =>
    context.temporary(`${node.order.name}_${name}`, { dtype: 'i32', shape: [node.experts, chunks] });
  const [counts, starts] = [table('counts'), table('starts')];
  return [
    countingKernel(node, counts, context),
    addingKernel(node, counts, starts, context),
    placingKernel(node, starts, context),
  ];
}

/** Pick number `place`; behind the last one a number that no expert has. */
function pickAt(node: RouteNode, place: TileExpression, context: ScheduleContext): TileExpression {
  const pick = context.tensors(node.pick);
  const isReal = below(place, endExpression(node.end, elementCount(pick)));
  return masked(isReal, load(pick.id, pick.dtype, place), constant(node.experts));
}

const ofChunk = spread(chunkLength, 'threads');
const inChunk = coordinate(0, chunkLength);
const upTo = (extent: number) => ({
  from: constant(0),
  to: constant(extent),
  step: 1,
  range: { low: 0, high: extent - 1 },
});
const oneIf = (condition: TileExpression) => masked(condition, constant(1), constant(0));

/** counts[e, c]: how many picks of chunk c are expert e's. An invocation has an expert. */
function countingKernel(node: RouteNode, counts: Tensor, context: ScheduleContext): ScheduledStep {
  const [experts, chunks] = counts.shape as [number, number];
  const invocations = Math.min(64, 2 ** Math.ceil(Math.log2(experts)));
  const groups = Math.ceil(experts / invocations);
  const chunk = grid(0, chunks);
  const expert = sum(product(grid(1, groups), constant(invocations)), coordinate(0, invocations));
  const count = element('count', 'i32', [coordinate(0, invocations)]);
  const axis = spread(invocations, 'threads');
  return context.kernel({
    name: `count_${node.order.name}`,
    grid: [chunks, groups],
    threads: { rows: 1, columns: invocations },
    body: [
      define(register('count', 'i32', [axis]), constant(0)),
      loop('i', upTo(chunkLength), (i) => {
        const picked = pickAt(node, sum(product(chunk, constant(chunkLength)), i), context);
        return [update('count', sum(count, oneIf(apply('eq', 'bool', picked, expert))))];
      }),
      store(
        counts,
        [axis],
        sum(product(expert, constant(chunks)), chunk),
        count,
        below(expert, constant(experts)),
      ),
    ],
  });
}

/**
 * starts[e, c]: where in the order those of expert e in chunk c begin; and where each expert's do. Workgroups
 * have some chunks of an expert, and there is one behind the last expert, for where that ends.
 */
function addingKernel(
  node: RouteNode,
  counts: Tensor,
  starts: Tensor,
  context: ScheduleContext,
): ScheduledStep {
  const [experts, chunks] = counts.shape as [number, number];
  const groups = Math.ceil(chunks / chunkLength);
  const expert = grid(0, experts + 1);
  const first = product(expert, constant(chunks));
  const chunk = sum(product(grid(1, groups), constant(chunkLength)), inChunk);
  const own = element('start', 'i32', [inChunk]);
  const before = {
    ...{ from: constant(0), to: first, step: chunkLength, multipleOf: chunkLength },
    range: { low: 0, high: experts * chunks - 1 },
  };
  const across = coordinate(1, chunkLength);
  return context.kernel({
    name: `add_${node.order.name}`,
    grid: [experts + 1, groups],
    threads: { rows: 1, columns: chunkLength },
    body: [
      define(register('parts', 'i32', [spread(1, 'whole'), spread(chunkLength, 'columns')]), constant(0)),
      loop('p', before, (p) => {
        const place = sum(p, across);
        const earlier = masked(apply('lt', 'bool', place, first), load(counts.id, 'i32', place), constant(0));
        return [update('parts', sum(element('parts', 'i32', [constant(0), across]), earlier))];
      }),
      reduceTiles('sum', ['parts'], ['total']),
      define(register('start', 'i32', [ofChunk]), element('total', 'i32', [constant(0)])),
      store(node.offsets, [ofChunk], expert, own, apply('eq', 'bool', chunk, constant(0))),
      loop('c', upTo(chunks), (c) => {
        const isBefore = both(apply('lt', 'bool', c, chunk), below(expert, constant(experts)));
        return [
          update('start', sum(own, masked(isBefore, load(counts.id, 'i32', sum(first, c)), constant(0)))),
        ];
      }),
      store(
        starts,
        [ofChunk],
        sum(first, chunk),
        own,
        both(below(chunk, constant(chunks)), below(expert, constant(experts))),
      ),
    ],
  });
}

/** The order: a pick comes behind those before it in its chunk that are the same. */
function placingKernel(node: RouteNode, starts: Tensor, context: ScheduleContext): ScheduledStep {
  const [experts, chunks] = starts.shape as [number, number];
  const chunk = grid(0, chunks);
  const place = sum(product(chunk, constant(chunkLength)), inChunk);
  const pick = (at: TileExpression) => element('picks', 'i32', [at]);
  const rank = element('rank', 'i32', [inChunk]);
  const row = product(within(pick(inChunk), { low: 0, high: experts - 1 }), constant(chunks));
  return context.kernel({
    name: `route_${node.order.name}`,
    grid: [chunks],
    threads: { rows: 1, columns: chunkLength },
    body: [
      define(shared('picks', 'i32', [ofChunk]), pickAt(node, place, context)),
      define(register('rank', 'i32', [ofChunk]), load(starts.id, 'i32', sum(row, chunk))),
      loop('i', upTo(chunkLength), (i) => {
        const isSame = apply('eq', 'bool', pick(i), pick(inChunk));
        const isBefore = apply('and', 'bool', isSame, apply('lt', 'bool', i, inChunk));
        return [update('rank', sum(rank, oneIf(isBefore)))];
      }),
      store(node.order, [ofChunk], rank, place, apply('lt', 'bool', pick(inChunk), constant(experts))),
    ],
  });
}
