/**
 * Chains of products by matrix units (as the gradients of Dao, "FlashAttention-2", 2023): a workgroup's
 * warps have sixteen rows of the results or more each, whose factors of the inner products stay in shared
 * memory, and meet the streamed axis in blocks that are brought ahead. Inner products come out of the units
 * in the order in which they go into the outer one, so that they are finished in registers and multiplied
 * from there, in parts of 16 bits. Blocks that are all masked are not visited, and others only masked where
 * some row does not see all of them.
 *
 * Outer products of the same inner ones have a kernel together, each with its own sums. So the gradients of
 * keys and values, whose rows are keys, of a block of queries: begin S = K·Qᵀ and dP = V·dOᵀ; make P of S,
 * and begin dV += P·dO; make dS of P and dP, and begin dK += dS·Q. Q and dO are brought once a block, and
 * both products with each read the same tile, one of them across. A thread of a warpgroup has, of 64 rows,
 * blocks of 64 and results of 128, 64 registers of dV, 64 of dK, 32 of S, then P, 32 of dP, then dS, and 16
 * of what is multiplied of P meanwhile: of 240 there are left 32 for all else. So what differs along a block
 * alone, two numbers for each query, the lanes of a warp load once for all of them (`columns` of the
 * choice).
 */
import type { Scalar } from '../../graph/graph.ts';
import { type Load, loadsOf, scalarKey, scalarType } from '../../graph/scalar.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { lowerScalar } from '../lower-scalar.ts';
import type { Half } from '../packed.ts';
import type { ScheduledStep } from '../scheduled.ts';
import {
  define,
  loop,
  multiplyAccumulate,
  packed,
  pipeline,
  register,
  spread,
  update,
} from '../tile-builder.ts';
import {
  below,
  both,
  constant,
  coordinate,
  element,
  masked,
  minimum,
  product,
  quotient,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { Feed, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import {
  type ChainProblem,
  columnLoads,
  columnsOfLane,
  type Link,
  mayBeOfLanes,
  type Outer,
} from './chain-problem.ts';
import type { ScheduleContext } from './context.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { chainBoxes } from './unit-chain-boxes.ts';
import {
  areByWarpgroups,
  atEdges,
  ownsWords,
  storeTogether,
  unitComponents,
  unitExtent,
} from './unit-stream.ts';
import { walkStream } from './unit-stream-walk.ts';
import { commonPositions, seenPositions } from './visible-bound.ts';

export function scheduleChain(
  problem: ChainProblem,
  choice: ChoiceOf<'unitChain'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { outers } = problem;
  const sharing = outers.find(
    ({ node: { result }, values }) => sharesWords(result) && !ownsWords(result, values),
  );
  if (sharing === undefined) return [chained(problem, choice, context)];
  return widened(sharing.node.result, context, (result) => {
    const wide = { ...sharing, node: { ...sharing.node, result } };
    const all = outers.map((outer) => (outer === sharing ? wide : outer));
    return scheduleChain({ ...problem, node: all[0]!.node, outers: all }, choice, context);
  });
}

/** Flat places along the classes of the outer product's axes, and along what a link sums. */
interface Flats {
  readonly row?: TileExpression;
  readonly value?: TileExpression;
  readonly u?: TileExpression;
  readonly turn?: TileExpression;
  readonly depth?: TileExpression;
}

function chained(
  problem: ChainProblem,
  { warps, rows: perWarp, block, stages, columns }: ChoiceOf<'unitChain'>,
  context: ScheduleContext,
): ScheduledStep {
  const { node, outers, links, batch, rows, turns, streamed } = problem;
  const units = context.device.units!;
  const wide = outers.map(({ values }) => unitComponents(values.extent, units));
  const together = warps * perWarp;
  const rank = node.result.shape.length;
  const outer = rank + node.reduce.extents.length;
  // Of several, each has all of its values in a workgroup.
  const [{ values }] = outers as readonly [Outer];
  const walk = walkStream({ ...problem, values }, { rows: together, values: wide[0]! }, units.processors);
  const first = product(walk.rows, constant(together));
  const rowAt = (within: TileExpression) => sum(first, within);
  const valueAt = (within: TileExpression) => sum(product(walk.values, constant(wide[0]!)), within);
  const none = constant(0);
  const at = ({ row = none, value = none, u = none, turn = none, depth = none }: Flats) => {
    const known = iteratorsAt(
      outer,
      [
        [batch, walk.batch],
        [rows, row],
        ...outers.map((each) => [each.values, value] as const),
        [turns, turn],
      ],
      none,
    );
    return [...known.map((each, axis) => (axis === streamed.axis ? u : each)), ...links.map(() => depth)];
  };
  const { tensors } = context;
  /** @param ofLanes where the lanes of a warp have what differs along the block alone, by what it is */
  const lowered = (
    scalar: Scalar,
    flats: Flats,
    reduced?: TileExpression,
    ofLanes?: ReadonlyMap<string, TileExpression>,
  ) =>
    lowerScalar(scalar, {
      ...{ tensors, iterators: at(flats) },
      ...(reduced === undefined ? {} : { reduced }),
      // Where the iterators are the same, so are the numbers of links: those that the kernel has.
      kept: (load) => {
        const place = links.findIndex((link) => link.node.result.id === load.tensor);
        return place < 0 ? ofLanes?.get(scalarKey(load)) : ofPair(place);
      },
    });
  const isRow = (row: TileExpression) => below(row, constant(rows.extent));
  const end = constant(streamed.extent);

  // ── tiles ────────────────────────────────────────────────────────────────────────────────────────────────
  const rowAxis = spread(together, 'unitRows', perWarp);
  const blockAxis = spread(block, 'unitColumns', block);
  const sumAxes = wide.map((extent) => spread(extent, 'unitColumns', extent));
  const zero = constant(0, 'f32');
  const productTile = (place: number) => `product${place}`;
  const ofPair = (place: number) =>
    element(productTile(place), 'f32', [coordinate(0, together), coordinate(1, block)]);
  /** Tiles of an outer product. */
  const named = (name: string, place: number) => (outers.length === 1 ? name : `${name}${place}`);

  /** A factor of a link. */
  const factorTile = (
    { packed: stored, depth }: Link,
    name: string,
    extent: number,
    value: (place: TileExpression, along: TileExpression) => TileExpression,
    isThere: (place: TileExpression) => TileExpression | undefined,
  ): Feed => {
    const deep = unitExtent(depth);
    const [place, along] = [coordinate(0, extent), coordinate(1, deep)];
    return {
      tile: packed(name, stored, [spread(extent, 'whole'), spread(deep, 'whole')]),
      value: masked(both(isThere(place), below(along, constant(depth))), value(place, along), zero),
    };
  };
  const rowTile = (link: Link, place: number): Feed =>
    factorTile(
      link,
      `rows${place}`,
      together,
      (row, depth) => lowered(link.ofRow, { row: rowAt(row), depth }),
      (row) => isRow(rowAt(row)),
    );
  const streamTile = (link: Link, place: number, start: TileExpression, turn: TileExpression): Feed =>
    factorTile(
      link,
      `stream${place}`,
      block,
      (u, depth) => lowered(link.ofStream, { u: sum(start, u), turn, depth }),
      (u) => below(sum(start, u), end),
    );
  const valueTile = (outer: number, start: TileExpression, turn: TileExpression): Feed => {
    const { packed: stored, factor, values: own } = outers[outer]!;
    const components = wide[outer]!;
    const [u, value] = [sum(start, coordinate(0, block)), valueAt(coordinate(1, components))];
    return {
      tile: packed(named('values', outer), stored, [spread(block, 'whole'), spread(components, 'whole')]),
      value: masked(
        both(below(u, end), below(value, constant(own.extent))),
        lowered(factor, { u, value, turn }),
        zero,
      ),
    };
  };
  // The same tile, read across, where a workgroup has all values.
  const twins = outers.map(({ twin }, outer) =>
    twin !== undefined && unitExtent(links[twin]!.depth) === wide[outer] ? twin : undefined,
  );

  const areGroups = wide.every((components) => areByWarpgroups({ warps, perWarp, block, components }, units));
  const boxes = areGroups
    ? chainBoxes(problem, walk, { rows: first, values: valueAt(none) }, context)
    : undefined;
  const feeds = (start: TileExpression, turn: TileExpression): readonly Feed[] => {
    const ofBoxes = boxes?.stream(start, turn);
    const boxed = (feed: Feed, box: Feed['box']): Feed => (box === undefined ? feed : { ...feed, box });
    return [
      ...links.map((link, place) => boxed(streamTile(link, place, start, turn), ofBoxes?.links[place])),
      ...outers.flatMap((_, outer) =>
        twins[outer] === undefined ? [boxed(valueTile(outer, start, turn), ofBoxes?.values[outer])] : [],
      ),
    ];
  };

  // ── a step ───────────────────────────────────────────────────────────────────────────────────────────────
  const stepOf = (start: TileExpression, turn: TileExpression): readonly TileStatement[] => {
    const flats = { row: rowAt(coordinate(0, together)), u: sum(start, coordinate(1, block)), turn };
    const of = { rows, at: ({ row }: { row: TileExpression }) => at({ row, turn }), first, together };
    const common = commonPositions(streamed, of, context);
    // What differs along the block alone comes from memory while products are under way.
    const loads = columnLoads(problem).map((load, place) => ({ load, name: `ahead${place}` }));
    const areGiven = (load: Load) => columns === 'lanes' && mayBeOfLanes(load, block);
    const ofLanes = new Map(
      loads
        .filter(({ load }) => areGiven(load))
        .map(({ load, name }) => [scalarKey(load), element(name, scalarType(load), [coordinate(1, block)])]),
    );
    const ahead = loads.map(({ load, name }) => {
      const axis = areGiven(load) ? spread(block, 'lanes', columnsOfLane) : blockAxis;
      const alone = { u: sum(start, coordinate(0, block)), turn };
      return define(register(name, scalarType(load), [axis]), lowered(load, alone));
    });
    const ofPlace = (scalar: Scalar, reduced?: TileExpression) => lowered(scalar, flats, reduced, ofLanes);
    const mask = both(streamed.visible && ofPlace(streamed.visible), below(flats.u, end));
    /** What is multiplied is 0 where nothing is seen: it is what a link is, or is put in its place. */
    const multiply = ({ own, made, packed: stored, parts }: Outer, outer: number, link: number) => {
      const tile = {
        ...register(named('factor', outer), 'f32', [rowAxis, blockAxis]),
        packed: stored,
        parts,
      };
      const values = twins[outer] === undefined ? named('values', outer) : `stream${twins[outer]}`;
      return [
        ...atEdges(common, end, { start, block }, [
          update(productTile(link), masked(mask, ofPair(link), zero)),
        ]),
        define(tile, made === undefined ? ofPair(link) : ofPlace(unrounded(own, stored))),
        multiplyAccumulate(named('sum', outer), tile.name, values, 'kn'),
      ];
    };
    const last = links.length - 1;
    return [
      ...ahead,
      ...links.flatMap((_, place) => [
        define(register(productTile(place), 'f32', [rowAxis, blockAxis]), zero),
        multiplyAccumulate(productTile(place), `rows${place}`, `stream${place}`, 'nk'),
      ]),
      ...links.flatMap((_, place) => [
        update(productTile(place), ofPlace(finishOf(problem, place), ofPair(place))),
        ...outers.flatMap((outer, at) => (outer.made === place ? multiply(outer, at, place) : [])),
      ]),
      ...outers.flatMap((outer, at) =>
        outer.made === undefined
          ? [update(productTile(last), ofPlace(outer.own)), ...multiply(outer, at, last)]
          : [],
      ),
    ];
  };
  const streaming = (turn: TileExpression): TileStatement => {
    const of = { rows, at: ({ row }: { row: TileExpression }) => at({ row, turn }), first, together };
    const { from, to } = seenPositions(streamed, of, context);
    return pipeline(
      'u',
      {
        ...{ from: product(quotient(from, block), constant(block)), to: minimum(end, to) },
        ...{ step: block, stages, multipleOf: block },
        range: { low: 0, high: Math.floor((streamed.extent - 1) / block) * block },
      },
      (start) => ({ feeds: feeds(start, turn), body: stepOf(start, turn) }),
    );
  };
  const bounds = {
    ...{ from: none, to: constant(turns.extent), step: 1 },
    range: { low: 0, high: turns.extent - 1 },
  };

  // ── the results ──────────────────────────────────────────────────────────────────────────────────────────
  const storing = ({ node: { result, reduce }, values: own }: Outer, outer: number) => {
    const components = wide[outer]!;
    const sums = element(named('sum', outer), 'f32', [coordinate(0, together), coordinate(1, components)]);
    const place = { row: rowAt(coordinate(0, together)), value: valueAt(coordinate(1, components)) };
    return storeTogether(reduce.finish === undefined ? sums : lowered(reduce.finish, place, sums), {
      ...{ result, axes: [rowAxis, sumAxes[outer]!], warps },
      placeOf: (row, component) => ({ row: rowAt(row), value: valueAt(component) }),
      subscriptsAt: (flats) => at(flats).slice(0, rank),
      isThere: ({ row, value }) => both(isRow(row), below(value, constant(own.extent))),
      ...(outers.length === 1 ? {} : { name: named('results', outer) }),
    });
  };
  return context.kernel({
    name: outers.map((outer) => outer.node.result.name).reduce((names, name) => `${names}_${name}`, 'chain'),
    grid: walk.grid,
    ...(walk.gridEnds && { gridEnds: walk.gridEnds }),
    threads: { rows: warps, columns: 32 },
    // It takes as many registers as there are, with boxes or without.
    isAlone: true,
    body: [
      ...links.map((link, place) => {
        const { tile, value } = rowTile(link, place);
        return define(tile, value, boxes?.rows[place]);
      }),
      ...sumAxes.map((axis, outer) => define(register(named('sum', outer), 'f32', [rowAxis, axis]), zero)),
      turns.extent === 1 ? streaming(none) : loop('turn', bounds, (turn) => [streaming(turn)]),
      ...outers.flatMap(storing),
    ],
  });
}

/** Without the rounding that packing it does. */
function unrounded(scalar: Scalar, stored: Half): Scalar {
  return scalar.op === 'round' && scalar.dtype === stored ? scalar.operand : scalar;
}

/** As it is stored, but for a rounding where it is packed so and nothing else looks at it. */
function finishOf({ links, outers }: ChainProblem, place: number): Scalar {
  const { node, finish } = links[place]!;
  const isRead = [
    ...links.map((link) => link.finish),
    ...outers.filter(({ made }) => made !== place).map(({ own }) => own),
  ]
    .flatMap(loadsOf)
    .some(({ tensor }) => tensor === node.result.id);
  const packedAs = new Set(outers.filter(({ made }) => made === place).map((outer) => outer.packed));
  const [only, ...others] = packedAs;
  return isRead || only === undefined || others.length > 0 ? finish : unrounded(finish, only);
}
