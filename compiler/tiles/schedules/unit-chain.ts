/**
 * Chains of products by matrix units (as the gradients of Dao, "FlashAttention-2", 2023): a workgroup's warps
 * have sixteen rows of the results or more each, whose factors of the inner products stay in shared memory,
 * and meet the streamed axis in blocks that are brought ahead. Inner products come out of the units in the
 * order in which they go into the outer one, so that they are finished in registers and multiplied from there,
 * in parts of 16 bits. Blocks that are all masked are not visited, and others only masked where some row does
 * not see all of them.
 */
import type { Scalar } from '../../graph/graph.ts';
import { iteratorsOf, loadsOf, scalarKey, scalarType } from '../../graph/scalar.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { lowerScalar } from '../lower-scalar.ts';
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
import type { ChainProblem, Link } from './chain-problem.ts';
import type { ScheduleContext } from './context.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { chainBoxes } from './unit-chain-boxes.ts';
import {
  areByWarpgroups,
  atEdges,
  ownsWords,
  type StoredResults,
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
  const { node, values } = problem;
  if (!sharesWords(node.result) || ownsWords(node.result, values)) return [chained(problem, choice, context)];
  return widened(node.result, context, (wide) => [
    chained({ ...problem, node: { ...node, result: wide } }, choice, context),
  ]);
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
  { warps, rows: perWarp, block, stages }: ChoiceOf<'unitChain'>,
  context: ScheduleContext,
): ScheduledStep {
  const { node, links, own, factor, twin, batch, rows, values, turns, streamed } = problem;
  const units = context.device.units!;
  const components = unitComponents(values.extent, units);
  const together = warps * perWarp;
  const rank = node.result.shape.length;
  const outer = rank + node.reduce.extents.length;
  const walk = walkStream(problem, { rows: together, values: components }, units.processors);
  const first = product(walk.rows, constant(together));
  const rowAt = (within: TileExpression) => sum(first, within);
  const valueAt = (within: TileExpression) => sum(product(walk.values, constant(components)), within);
  const none = constant(0);
  const at = ({ row = none, value = none, u = none, turn = none, depth = none }: Flats) => {
    const known = iteratorsAt(
      outer,
      [
        [batch, walk.batch],
        [rows, row],
        [values, value],
        [turns, turn],
      ],
      none,
    );
    return [...known.map((each, axis) => (axis === streamed.axis ? u : each)), ...links.map(() => depth)];
  };
  const { tensors } = context;
  /** Where the iterators are the same, so are the numbers of links: those that the kernel has. */
  const lowered = (scalar: Scalar, flats: Flats, reduced?: TileExpression) =>
    lowerScalar(scalar, {
      ...{ tensors, iterators: at(flats) },
      ...(reduced === undefined ? {} : { reduced }),
      kept: (tensor) => {
        const place = links.findIndex((link) => link.node.result.id === tensor);
        return place < 0 ? undefined : ofPair(place);
      },
    });
  const isRow = (row: TileExpression) => below(row, constant(rows.extent));
  const isValue = (value: TileExpression) => below(value, constant(values.extent));
  const end = constant(streamed.extent);

  // ── tiles ────────────────────────────────────────────────────────────────────────────────────────────────
  const rowAxis = spread(together, 'unitRows', perWarp);
  const blockAxis = spread(block, 'unitColumns', block);
  const sumAxis = spread(components, 'unitColumns', components);
  const zero = constant(0, 'f32');
  const productTile = (place: number) => `product${place}`;
  const ofPair = (place: number) =>
    element(productTile(place), 'f32', [coordinate(0, together), coordinate(1, block)]);
  const sums = element('sum', 'f32', [coordinate(0, together), coordinate(1, components)]);

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
  const valueTile = (start: TileExpression, turn: TileExpression): Feed => {
    const [u, value] = [sum(start, coordinate(0, block)), valueAt(coordinate(1, components))];
    return {
      tile: packed('values', problem.packed, [spread(block, 'whole'), spread(components, 'whole')]),
      value: masked(both(below(u, end), isValue(value)), lowered(factor, { u, value, turn }), zero),
    };
  };
  // The same tile, read across, where a workgroup has all values.
  const twinOf = twin !== undefined && unitExtent(links[twin]!.depth) === components ? twin : undefined;
  const valuesName = twinOf === undefined ? 'values' : `stream${twinOf}`;

  const boxes = areByWarpgroups({ warps, perWarp, block, components }, units)
    ? chainBoxes(problem, walk, { rows: first, values: valueAt(none) }, context)
    : undefined;
  const feeds = (start: TileExpression, turn: TileExpression): readonly Feed[] => {
    const ofBoxes = boxes?.stream(start, turn);
    const boxed = (feed: Feed, box: Feed['box']): Feed => (box === undefined ? feed : { ...feed, box });
    return [
      ...links.map((link, place) => boxed(streamTile(link, place, start, turn), ofBoxes?.links[place])),
      ...(twinOf === undefined ? [boxed(valueTile(start, turn), ofBoxes?.values)] : []),
    ];
  };

  // ── a step ───────────────────────────────────────────────────────────────────────────────────────────────
  const outerTile = {
    ...register('factor', 'f32', [rowAxis, blockAxis]),
    ...{ packed: problem.packed, parts: problem.parts },
  };
  const last = links.length - 1;
  const ownFactor = own.op === 'load' && own.tensor === links[last]!.node.result.id ? undefined : own;
  const stepOf = (start: TileExpression, turn: TileExpression): readonly TileStatement[] => {
    const flats = { row: rowAt(coordinate(0, together)), u: sum(start, coordinate(1, block)), turn };
    const common = commonPositions(
      streamed,
      { rows, at: ({ row }) => at({ row, turn }), first, together },
      context,
    );
    const mask = both(streamed.visible && lowered(streamed.visible, flats), below(flats.u, end));
    // What differs along the block alone comes from memory while products are under way.
    const ahead = columnLoads(problem).map((load, place) => {
      const alone = { u: sum(start, coordinate(0, block)), turn };
      return define(register(`ahead${place}`, scalarType(load), [blockAxis]), lowered(load, alone));
    });
    return [
      ...ahead,
      ...links.flatMap((_, place) => [
        define(register(productTile(place), 'f32', [rowAxis, blockAxis]), zero),
        multiplyAccumulate(productTile(place), `rows${place}`, `stream${place}`, 'nk'),
      ]),
      ...links.map(({ finish }, place) => update(productTile(place), lowered(finish, flats, ofPair(place)))),
      ...(ownFactor === undefined ? [] : [update(productTile(last), lowered(ownFactor, flats))]),
      ...atEdges(common, end, { start, block }, [
        update(productTile(last), masked(mask, ofPair(last), zero)),
      ]),
      define(outerTile, ofPair(last)),
      multiplyAccumulate('sum', 'factor', valuesName, 'kn'),
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
  const place = { row: rowAt(coordinate(0, together)), value: valueAt(coordinate(1, components)) };
  const { finish } = node.reduce;
  const finished = finish === undefined ? sums : lowered(finish, place, sums);
  const stored: StoredResults = {
    ...{ result: node.result, axes: [rowAxis, sumAxis], warps },
    placeOf: (row, component) => ({ row: rowAt(row), value: valueAt(component) }),
    subscriptsAt: (flats) => at(flats).slice(0, rank),
    isThere: ({ row, value }) => both(isRow(row), isValue(value)),
  };
  return context.kernel({
    name: `chain_${node.result.name}`,
    grid: walk.grid,
    ...(walk.gridEnds && { gridEnds: walk.gridEnds }),
    threads: { rows: warps, columns: 32 },
    isAlone: boxes !== undefined,
    body: [
      ...links.map((link, place) => {
        const { tile, value } = rowTile(link, place);
        return define(tile, value, boxes?.rows[place]);
      }),
      define(register('sum', 'f32', [rowAxis, sumAxis]), zero),
      turns.extent === 1 ? streaming(none) : loop('turn', bounds, (turn) => [streaming(turn)]),
      ...storeTogether(finished, stored),
    ],
  });
}

/** What finishes and the mask read that is the same for all rows, and not for all of a block. */
function columnLoads({ links, own, rows, streamed }: ChainProblem): readonly Scalar[] {
  const scalars = [
    ...links.map(({ finish }) => finish),
    own,
    ...(streamed.visible ? [streamed.visible] : []),
  ];
  const made = new Set(links.map(({ node }) => node.result.id));
  const found = scalars.flatMap(loadsOf).filter((load) => {
    const axes = iteratorsOf(load);
    return !made.has(load.tensor) && axes.has(streamed.axis) && !rows.axes.some((axis) => axes.has(axis));
  });
  return [...new Map(found.map((load) => [scalarKey(load), load])).values()];
}
