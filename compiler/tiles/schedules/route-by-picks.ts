/**
 * Routing on a GPU, an invocation a pick: a counting sort in three kernels (Blelloch, "Prefix sums and their
 * applications", 1990). The first counts each expert's picks in each chunk, the second adds up what comes
 * before a chunk's, the third puts each pick behind those of its expert that come before it in its chunk.
 * Stable, and no atomics.
 */
import type { RouteNode, Tensor } from '../../graph/graph.ts';
import { elementCount } from '../../graph/tensor-type.ts';
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
import type { TileStatement } from '../tile-program.ts';
import type { ScheduleContext } from './context.ts';

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

/** Steps whose reads are under way together. */
const together = 8;

/** Adds to a tile of an invocation's own number what `added` is at each place of a chunk. */
function overChunk(tile: string, added: (place: TileExpression) => TileExpression): TileStatement {
  const bounds = {
    ...{ from: constant(0), to: constant(chunkLength), step: together, multipleOf: together },
    range: { low: 0, high: chunkLength - together },
  };
  const own = element(tile, 'i32', [inChunk]);
  return loop('i', bounds, (i) => [
    update(tile, sum(own, ...Array.from({ length: together }, (_, at) => added(sum(i, constant(at)))))),
  ]);
}

function oneIf(condition: TileExpression): TileExpression {
  return masked(condition, constant(1), constant(0));
}

const equal = (left: TileExpression, right: TileExpression) => apply('eq', 'bool', left, right);
const isLess = (left: TileExpression, right: TileExpression) => apply('lt', 'bool', left, right);

/** Numbers of a chunk that all invocations need, and one of them. */
const ofAll = (name: string) => shared(name, 'i32', [ofChunk]);
const known = (name: string, at: TileExpression) => element(name, 'i32', [at]);

/** counts[e, c]: how many picks of chunk c are expert e's. An invocation has an expert. */
function countingKernel(node: RouteNode, counts: Tensor, context: ScheduleContext): ScheduledStep {
  const [experts, chunks] = counts.shape as [number, number];
  const groups = Math.ceil(experts / chunkLength);
  const chunk = grid(0, chunks);
  const expert = sum(product(grid(1, groups), constant(chunkLength)), inChunk);
  const place = sum(product(chunk, constant(chunkLength)), inChunk);
  return context.kernel({
    name: `count_${node.order.name}`,
    grid: [chunks, groups],
    threads: { rows: 1, columns: chunkLength },
    body: [
      define(ofAll('picks'), pickAt(node, place, context)),
      define(register('count', 'i32', [ofChunk]), constant(0)),
      overChunk('count', (at) => oneIf(equal(known('picks', at), expert))),
      store(
        counts,
        [ofChunk],
        sum(product(expert, constant(chunks)), chunk),
        element('count', 'i32', [inChunk]),
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
  const group = grid(1, groups);
  const chunk = sum(product(group, constant(chunkLength)), inChunk);
  const first = sum(product(expert, constant(chunks)), product(group, constant(chunkLength)));
  const step = 4 * chunkLength;
  const before = {
    ...{ from: constant(0), to: first, step, multipleOf: step },
    range: { low: 0, high: experts * chunks - 1 },
  };
  const across = coordinate(1, step);
  const countAt = (place: TileExpression, isReal: TileExpression | undefined) =>
    masked(isReal, load(counts.id, 'i32', place), constant(0));
  const isOwn = both(below(chunk, constant(chunks)), below(expert, constant(experts)));
  const own = element('start', 'i32', [inChunk]);
  return context.kernel({
    name: `add_${node.order.name}`,
    grid: [experts + 1, groups],
    threads: { rows: 1, columns: chunkLength },
    body: [
      define(register('parts', 'i32', [spread(1, 'whole'), spread(step, 'columns', 4)]), constant(0)),
      loop('p', before, (p) => {
        const place = sum(p, across);
        const earlier = countAt(place, isLess(place, first));
        return [update('parts', sum(element('parts', 'i32', [constant(0), across]), earlier))];
      }),
      reduceTiles('sum', ['parts'], ['total']),
      define(ofAll('row'), countAt(sum(first, inChunk), isOwn)),
      define(register('start', 'i32', [ofChunk]), element('total', 'i32', [constant(0)])),
      store(node.offsets, [ofChunk], expert, own, equal(chunk, constant(0))),
      overChunk('start', (at) => masked(isLess(at, inChunk), known('row', at), constant(0))),
      store(starts, [ofChunk], sum(first, inChunk), own, isOwn),
    ],
  });
}

/** The order: a pick comes behind those before it in its chunk that are the same. */
function placingKernel(node: RouteNode, starts: Tensor, context: ScheduleContext): ScheduledStep {
  const [experts, chunks] = starts.shape as [number, number];
  const chunk = grid(0, chunks);
  const place = sum(product(chunk, constant(chunkLength)), inChunk);
  const own = known('picks', inChunk);
  const row = product(within(own, { low: 0, high: experts - 1 }), constant(chunks));
  return context.kernel({
    name: `route_${node.order.name}`,
    grid: [chunks],
    threads: { rows: 1, columns: chunkLength },
    body: [
      define(ofAll('picks'), pickAt(node, place, context)),
      define(register('rank', 'i32', [ofChunk]), load(starts.id, 'i32', sum(row, chunk))),
      overChunk('rank', (at) =>
        oneIf(apply('and', 'bool', equal(known('picks', at), own), isLess(at, inChunk))),
      ),
      store(node.order, [ofChunk], element('rank', 'i32', [inChunk]), place, isLess(own, constant(experts))),
    ],
  });
}
