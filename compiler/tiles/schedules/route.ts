/**
 * Routing: where each expert's positions begin, and which they are, in order. An invocation has an expert and
 * a chunk of the picks: it counts what is picked before its own, and walks over the chunk listing those of
 * its expert. Stable, and no atomics. Few picks are one chunk, and one kernel; of many a kernel before it
 * counts each expert's in each chunk, so that an invocation walks over its chunk and a table instead of all
 * picks. GPUs have more invocations than that, and one for each pick (`route-by-picks.ts`).
 */
import type { RouteNode, Tensor } from '../../graph/graph.ts';
import { integer } from '../../graph/scalar.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import type { DeviceProfile } from '../device-profile.ts';
import { endExpression } from '../ends.ts';
import type { ScheduledStep } from '../scheduled.ts';
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
  type TileExpression,
} from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';
import type { NodeSchedule, ScheduleContext } from './context.ts';
import { chunkLength as chunkOfPicks, routeByPicks } from './route-by-picks.ts';

/** Picks that every expert's invocation can walk over by itself. */
const longestAlone = 2 ** 14;
/** Picks of a chunk, where there are several. */
const chunkLength = 2 ** 11;

export const scheduleRoute: NodeSchedule<'route'> = (node, context) => {
  const routing = routingOf(node, context);
  if (routing.count === 0) {
    const zeros = { kind: 'compute', body: integer(0), reduce: undefined, grouped: undefined } as const;
    return context.node({ ...zeros, result: node.offsets });
  }
  if (hasInvocationsForPicks(context.device) && routing.count > chunkOfPicks)
    return routeByPicks(node, context);
  if (routing.count <= longestAlone) return [listing(routing, context, countedAlone(routing))];
  const chunks = Math.ceil(routing.count / chunkLength);
  const counts = context.temporary(`${node.order.name}_counts`, {
    dtype: 'i32',
    shape: [chunks, node.experts],
  });
  const inChunks: Routing = { ...routing, chunks, length: chunkLength };
  return [counting(inChunks, counts, context), listing(inChunks, context, addedUp(inChunks, counts))];
};

/** Whether invocations run side by side, and a workgroup has one for each pick of a chunk. */
function hasInvocationsForPicks({ core, software, maxInvocationsPerWorkgroup }: DeviceProfile): boolean {
  return core === undefined && !software && maxInvocationsPerWorkgroup >= chunkOfPicks;
}

interface Routing {
  readonly node: RouteNode;
  readonly pick: Tensor;
  readonly count: number;
  readonly chunks: number;
  /** Of a chunk. */
  readonly length: number;
  /** One for each expert, and one behind them for the end of the last. */
  readonly invocations: number;
  readonly groups: number;
}

function routingOf(node: RouteNode, context: ScheduleContext): Routing {
  const pick = context.tensors(node.pick);
  const count = elementCount(pick);
  const invocations = Math.min(64, 2 ** Math.ceil(Math.log2(node.experts + 1)));
  const groups = Math.ceil((node.experts + 1) / invocations);
  return { node, pick, count, chunks: 1, length: count, invocations, groups };
}

/** The grid of chunks by experts, and what an invocation has of it. */
function placeOf({ chunks, groups, invocations }: Routing) {
  const chunk = grid(0, chunks);
  const expert = sum(product(grid(1, groups), constant(invocations)), coordinate(0, invocations));
  return { chunk, expert, axis: spread(invocations, 'threads') };
}

/** A loop over the picks of a chunk. */
function overPicks(
  routing: Routing,
  name: string,
  from: TileExpression,
  body: (place: TileExpression, picked: TileExpression) => readonly TileStatement[],
): TileStatement {
  const { pick, count, length, chunks } = routing;
  const isRagged = chunks * length !== count;
  const end = endExpression(routing.node.end, count);
  // One chunk may end in a run; of several what is behind the end is looked at, and picks no expert.
  const to = chunks === 1 ? end : constant(length);
  const bounds = { from: constant(0), to, step: 1, range: { low: 0, high: length - 1 } };
  return loop(name, bounds, (within) => {
    const place = sum(from, within);
    const picked = load(pick.id, pick.dtype, place);
    // Behind the end there is the pick of no expert.
    const isReal = isRagged || (routing.node.end !== undefined && chunks > 1) ? below(place, end) : undefined;
    return body(place, masked(isReal, picked, constant(routing.node.experts + 1)));
  });
}

/** How many picks of each chunk are each expert's. */
function counting(routing: Routing, counts: Tensor, context: ScheduleContext): ScheduledStep {
  const { node, chunks, groups, invocations, length } = routing;
  const { chunk, expert, axis } = placeOf(routing);
  const own = element('count', 'i32', [coordinate(0, invocations)]);
  return context.kernel({
    name: `count_${node.order.name}`,
    grid: [chunks, groups],
    threads: { rows: 1, columns: invocations },
    body: [
      define(register('count', 'i32', [axis]), constant(0)),
      overPicks(routing, 'i', product(chunk, constant(length)), (_, picked) => [
        update('count', sum(own, oneIf(apply('eq', 'bool', picked, expert)))),
      ]),
      store(
        counts,
        [axis],
        sum(product(chunk, constant(node.experts)), expert),
        own,
        below(expert, constant(node.experts)),
      ),
    ],
  });
}

/** Adds to the tile `cursor` how many picks come before an invocation's own, looking at all of them. */
function countedAlone(routing: Routing): readonly TileStatement[] {
  const { expert } = placeOf(routing);
  const cursor = element('cursor', 'i32', [coordinate(0, routing.invocations)]);
  return [
    overPicks(routing, 'before', constant(0), (_, picked) => [
      update('cursor', sum(cursor, oneIf(apply('lt', 'bool', picked, expert)))),
    ]),
  ];
}

/** The same by the counts of chunks: those of experts before, and its own of chunks before. */
function addedUp(routing: Routing, counts: Tensor): readonly TileStatement[] {
  const { node, chunks } = routing;
  const { chunk, expert } = placeOf(routing);
  const cursor = element('cursor', 'i32', [coordinate(0, routing.invocations)]);
  const upTo = (extent: number) => ({
    from: constant(0),
    to: constant(extent),
    step: 1,
    range: { low: 0, high: extent - 1 },
  });
  return [
    loop('c', upTo(chunks), (other) => [
      loop('e', upTo(node.experts), (owner) => {
        const isEarlier = apply('lt', 'bool', other, chunk);
        const isOwn = apply('and', 'bool', apply('eq', 'bool', owner, expert), isEarlier);
        const isBefore = apply('or', 'bool', apply('lt', 'bool', owner, expert), isOwn);
        const counted = load(counts.id, 'i32', sum(product(other, constant(node.experts)), owner));
        return [update('cursor', sum(cursor, masked(isBefore, counted, constant(0))))];
      }),
    ]),
  ];
}

/** Where experts begin, by the invocations of the first chunk, and what each has. */
function listing(
  routing: Routing,
  context: ScheduleContext,
  counted: readonly TileStatement[],
): ScheduledStep {
  const { node, chunks, groups, invocations, length } = routing;
  const { chunk, expert, axis } = placeOf(routing);
  const cursor = element('cursor', 'i32', [coordinate(0, invocations)]);
  const isExpert = below(expert, constant(node.experts));
  return context.kernel({
    name: `route_${node.order.name}`,
    grid: [chunks, groups],
    threads: { rows: 1, columns: invocations },
    body: [
      define(register('cursor', 'i32', [axis]), constant(0)),
      ...counted,
      store(
        node.offsets,
        [axis],
        expert,
        cursor,
        both(below(expert, constant(node.experts + 1)), below(chunk, constant(1))),
      ),
      overPicks(routing, 'i', product(chunk, constant(length)), (place, picked) => {
        const isOwn = apply('eq', 'bool', picked, expert);
        return [
          store(node.order, [axis], cursor, place, both(isOwn, isExpert)),
          update('cursor', sum(cursor, oneIf(isOwn))),
        ];
      }),
    ],
  });
}

function oneIf(condition: TileExpression): TileExpression {
  return masked(condition, constant(1), constant(0));
}
