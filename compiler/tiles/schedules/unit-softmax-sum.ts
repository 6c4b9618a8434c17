/**
 * Softmax-weighted sums by matrix units (Dao, "FlashAttention-2", 2023): a workgroup's warps have sixteen
 * rows or more each, whose factors of the scores stay in shared memory, and meet the streamed axis in blocks
 * that are brought ahead. Scores come out of the units in the order in which weights go into them, so that
 * those never leave registers: the four lanes that share a row agree on its largest logit, and the sums are
 * rescaled when that grows. Only blocks that some row does not see all of are masked.
 *
 * Warpgroups that are brought boxes weigh the values of a block while the scores of the next one become
 * weights (Shah et al., "FlashAttention-3", 2024).
 *
 * Weights are f32, where the units multiply numbers of 16 bits: they are multiplied in parts
 * (`unit-softmax-factors.ts`).
 */
import type { Scalar } from '../../graph/graph.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import type { MatrixUnits } from '../device-profile.ts';
import { endExpression } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import type { ScheduledStep } from '../scheduled.ts';
import {
  define,
  multiplyAccumulate,
  packed,
  pipeline,
  reduceOwn,
  reduceTiles,
  register,
  spread,
  store,
  update,
} from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  element,
  flatten,
  load,
  masked,
  minimum,
  product,
  quotient,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { Feed, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import type { ScheduleContext } from './context.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { hidden, rowAxesOf, type SoftmaxProblem } from './softmax-problem.ts';
import { softmaxBoxes } from './unit-softmax-boxes.ts';
import type { UnitSoftmax } from './unit-softmax-factors.ts';
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
import { commonPositions, lookedUpBound, seenPositions, streamedOf } from './visible-bound.ts';

/** Of a logit over the largest one that weights are relative to: they are 256 then. */
const largestGrowth = 8 * Math.LN2;
/** Of a warp, those that share a row of results. */
const lanesOfRow = 4;
/**
 * Weights as f16 are that many times larger, as their smallest numbers are not small enough: what is lost is
 * 2^-39 of the largest weight.
 */
const enlarged = { bf16: 1, f16: 2 ** 14 } as const;

/** How deep scores and how wide values are in tiles. */
export function unitExtents(
  { depth, values }: Pick<SoftmaxProblem, 'depth' | 'values'>,
  units: Pick<MatrixUnits, 'warpgroups'>,
): { readonly depth: number; readonly components: number } {
  return { depth: unitExtent(depth), components: unitComponents(values.extent, units) };
}

export function unitSoftmaxSum(
  problem: SoftmaxProblem,
  units: UnitSoftmax,
  choice: ChoiceOf<'unitStream'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node, values } = problem;
  if (!sharesWords(node.result) || ownsWords(node.result, values))
    return streaming(problem, units, choice, context);
  return widened(node.result, context, (wide) =>
    streaming({ ...problem, node: { ...node, result: wide } }, units, choice, context),
  );
}

/** Flat places along the classes of a node's axes: those not given are the workgroup's, or 0. */
interface Flats {
  readonly row?: TileExpression;
  readonly value?: TileExpression;
  readonly u?: TileExpression;
  readonly depth?: TileExpression;
}

function streaming(
  problem: SoftmaxProblem,
  units: UnitSoftmax,
  { warps, rows: perWarp, block, stages }: ChoiceOf<'unitStream'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node, batch, rows, values } = problem;
  const { depth, components } = unitExtents(problem, context.device.units!);
  const together = warps * perWarp;
  const groups = { rows: Math.ceil(rows.extent / together), values: Math.ceil(values.extent / components) };
  const rank = node.result.shape.length;
  const { units: device } = context.device;
  const seeing = streamedOf(node);
  const walk = walkStream(
    { ...problem, streamed: seeing },
    { rows: together, values: components },
    device!.processors,
  );
  const first = product(walk.rows, constant(together));
  const rowAt = (within: TileExpression) => sum(first, within);
  const valueAt = (within: TileExpression) => sum(product(walk.values, constant(components)), within);
  const at = ({ row, value, u, depth: along }: Flats) => {
    const none = constant(0);
    const outputs = iteratorsAt(
      rank,
      [
        [batch, walk.batch],
        [rows, row ?? none],
        [values, value ?? none],
      ],
      none,
    );
    return [...outputs, u ?? none, along ?? none];
  };
  const lowered = (scalar: Scalar, flats: Flats, reduced?: TileExpression) =>
    lowerScalar(scalar, {
      ...{ tensors: context.tensors, iterators: at(flats) },
      ...(reduced === undefined ? {} : { reduced }),
    });
  const isRow = (row: TileExpression) => below(row, constant(rows.extent));

  const end = endExpression(node.end, node.extent);
  const lookedUp = lookedUpBound(node, rows, together, groups.rows, context);
  const ofRows = { rows, at, first, together };
  const { from, to } = seenPositions(seeing, ofRows, context);
  const seen =
    lookedUp === undefined ? to : load(lookedUp.result.id, 'i32', walk.rows, { low: 0, high: node.extent });

  // ── tiles ────────────────────────────────────────────────────────────────────────────────────────────────
  const rowAxis = spread(together, 'unitRows', perWarp);
  const keyAxis = spread(block, 'unitColumns', block);
  const sumAxis = spread(components, 'unitColumns', components);
  /** An element for each lane that has a part of a row. */
  const laneAxis = spread(lanesOfRow, 'unitColumns', lanesOfRow);
  const zero = constant(0, 'f32');
  const own = [coordinate(0, together)];
  const pair = [coordinate(0, together), coordinate(1, block)];
  const ofRow = (tile: string) => element(tile, 'f32', own);
  const ofLane = (tile: string) => element(tile, 'f32', [...own, coordinate(1, lanesOfRow)]);
  const ofPair = (tile: string) => element(tile, 'f32', pair);
  const float = (name: 'max' | 'add' | 'sub' | 'mul', left: TileExpression, right: TileExpression) =>
    apply(name, 'f32', left, right);
  const exp = (exponent: TileExpression) => apply('exp', 'f32', exponent);
  const scale = constant(enlarged[units.values], 'f32');
  const isScaled = enlarged[units.values] !== 1;
  /** Of rows that see nothing so far. */
  const lowest = constant(node.partial?.lowest ?? hidden, 'f32');

  const factor = (
    name: string,
    extent: number,
    value: (place: TileExpression, along: TileExpression) => Flats,
  ) => {
    const [place, along] = [coordinate(0, extent), coordinate(1, depth)];
    const flats = value(place, along);
    const isThere = both(
      flats.row === undefined ? below(flats.u!, end) : isRow(flats.row),
      below(along, constant(problem.depth)),
    );
    return {
      tile: packed(name, units.scores, [spread(extent, 'whole'), spread(depth, 'whole')]),
      value: masked(isThere, lowered(flats.row === undefined ? units.ofStream : units.ofRow, flats), zero),
    };
  };
  const queries = factor('queries', together, (place, along) => ({ row: rowAt(place), depth: along }));
  const keys = (start: TileExpression): Feed =>
    factor('keys', block, (place, along) => ({ u: sum(start, place), depth: along }));
  const valuesOf = (start: TileExpression): Feed => {
    const [u, value] = [sum(start, coordinate(0, block)), valueAt(coordinate(1, components))];
    return {
      tile: packed('values', units.values, [spread(block, 'whole'), spread(components, 'whole')]),
      value: masked(
        both(below(u, end), below(value, constant(values.extent))),
        lowered(node.value, { u, value }),
        zero,
      ),
    };
  };

  const boxes = areByWarpgroups({ warps, perWarp, block, components }, device!)
    ? softmaxBoxes(problem, units, walk, { rows: first, together, values: valueAt(constant(0)) }, context)
    : undefined;
  // Only engines, which copy boxes, bring values for the next step.
  const isAhead = boxes !== undefined && lookedUp === undefined;
  const feeds = (start: TileExpression): readonly Feed[] => {
    if (!isAhead) return [keys(start), valuesOf(start)];
    const { keys: ofKeys, values: ofValues } = boxes.stream(start);
    return [
      { ...keys(start), box: ofKeys },
      { ...valuesOf(start), box: ofValues, lags: true },
    ];
  };

  const common = commonPositions(seeing, ofRows, context);
  const masking = (start: TileExpression, body: readonly TileStatement[]) =>
    atEdges(common, end, { start, block }, body);

  // ── a step ───────────────────────────────────────────────────────────────────────────────────────────────
  // Where logits are scores times a number, the largest ones are found among scores.
  const isPlain = units.scale !== undefined;
  const toLogit = (value: TileExpression) =>
    isPlain && units.scale !== 1 ? float('mul', value, constant(units.scale!, 'f32')) : value;
  const looked = isPlain ? 'score' : 'logit';
  // Tops of parts are what they say, and of f16 there is no room for more.
  const isPatient = isPlain && !isScaled;
  const slack = constant(largestGrowth / (units.scale ?? 1), 'f32');
  const scores = (): TileStatement[] => [
    define(register('score', 'f32', [rowAxis, keyAxis]), zero),
    multiplyAccumulate('score', 'queries', 'keys', 'nk'),
  ];
  const toWeights = (start: TileExpression): TileStatement[] => {
    const flats = { row: rowAt(coordinate(0, together)), u: sum(start, coordinate(1, block)) };
    const mask = both(node.visible && lowered(node.visible, flats), below(flats.u, end));
    const logit = define(
      register('logit', 'f32', [rowAxis, keyAxis]),
      lowered(units.logit, flats, ofPair('score')),
    );
    // What a row has summed is made smaller only when weights would be much larger than 1.
    const farther = apply('lt', 'bool', float('add', ofRow('so_far'), slack), ofRow('block_top'));
    const top = isPatient
      ? apply('select', 'f32', farther, ofRow('block_top'), ofRow('so_far'))
      : float('max', ofRow('block_top'), ofRow('so_far'));
    const weight = exp(float('sub', toLogit(ofPair(looked)), toLogit(ofRow('top'))));
    return [
      ...(isPlain ? [] : [logit]),
      ...masking(start, [update(looked, masked(mask, ofPair(looked), lowest))]),
      reduceTiles('max', [looked], ['block_top']),
      define(register('top', 'f32', [rowAxis]), top),
      define(register('keep', 'f32', [rowAxis]), exp(toLogit(float('sub', ofRow('so_far'), ofRow('top'))))),
      define(register('weight', 'f32', [rowAxis, keyAxis]), isScaled ? float('mul', weight, scale) : weight),
      ...masking(start, [update('weight', masked(mask, ofPair('weight'), zero))]),
      reduceOwn('sum', ['weight'], ['own_weight']),
      update(
        'own_total',
        float('add', float('mul', ofLane('own_total'), ofRow('keep')), ofLane('own_weight')),
      ),
      update('so_far', ofRow('top')),
    ];
  };
  const weights = {
    ...register('weights', 'f32', [rowAxis, keyAxis]),
    ...{ packed: units.values, parts: units.parts },
  };
  const lessen = update(
    'sum',
    float('mul', element('sum', 'f32', [...own, coordinate(1, components)]), ofRow('keep')),
    isPatient ? apply('ne', 'bool', ofRow('keep'), constant(1, 'f32')) : undefined,
  );
  const weigh = multiplyAccumulate('sum', 'weights', 'values', 'kn');
  const takeWeights = define(weights, ofPair('weight'));
  /** Weights of a step are multiplied while the next one's become such. */
  const steps = (start: TileExpression) =>
    isAhead
      ? {
          first: [...scores(), ...toWeights(start), takeWeights],
          body: [
            ...[...scores(), weigh, ...toWeights(start)],
            ...[update('weights', ofPair('weight')), lessen],
          ],
          last: [weigh],
        }
      : { body: [...scores(), ...toWeights(start), lessen, takeWeights, weigh] };

  // ── the results ──────────────────────────────────────────────────────────────────────────────────────────
  const unscaled = (value: TileExpression) =>
    isScaled ? float('mul', value, constant(1 / enlarged[units.values], 'f32')) : value;
  // Of a row that sees something, the total is at least the exp(0) of its largest logit, or NaN.
  const finished = (): TileExpression => {
    const sums = element('sum', 'f32', [...own, coordinate(1, components)]);
    return node.partial === undefined ? float('mul', sums, ofRow('share')) : unscaled(sums);
  };
  const share = (): TileExpression => {
    const one = apply('div', 'f32', constant(1, 'f32'), ofRow('total'));
    const seesNothing = apply('eq', 'bool', ofRow('total'), zero);
    return node.visible === undefined ? one : apply('select', 'f32', seesNothing, zero, one);
  };
  const stored: StoredResults = {
    ...{ result: node.result, axes: [rowAxis, sumAxis], warps },
    placeOf: (row, component) => ({ row: rowAt(row), value: valueAt(component) }),
    subscriptsAt: (place) => at(place).slice(0, rank),
    isThere: ({ row, value }) => both(isRow(row), below(value, constant(values.extent))),
  };
  const partial = (): TileStatement[] => {
    if (node.partial === undefined) return [];
    const row = rowAt(coordinate(0, together));
    const outputs = at({ row });
    const subscripts = rowAxesOf(node).map((axis) => outputs[axis]!);
    // Of the workgroups that share rows, the one with the first values.
    const mask = both(isRow(row), groups.values > 1 ? below(walk.values, constant(1)) : undefined);
    const { top, total } = node.partial;
    return [
      store(top, [rowAxis], flatten(subscripts, top.shape), ofRow('so_far'), mask),
      store(total, [rowAxis], flatten(subscripts, total.shape), unscaled(ofRow('total')), mask),
    ];
  };

  const attend = context.kernel({
    name: `attend_${node.result.name}`,
    grid: walk.grid,
    ...(walk.gridEnds && { gridEnds: walk.gridEnds }),
    threads: { rows: warps, columns: 32 },
    isAlone: isAhead,
    body: [
      define(queries.tile, queries.value, isAhead ? boxes.queries : undefined),
      define(register('so_far', 'f32', [rowAxis]), lowest),
      define(register('own_total', 'f32', [rowAxis, laneAxis]), zero),
      define(register('sum', 'f32', [rowAxis, sumAxis]), zero),
      pipeline(
        'u',
        {
          ...{ from: product(quotient(from, block), constant(block)), to: minimum(end, seen) },
          ...{ step: block, stages, multipleOf: block },
          range: { low: 0, high: Math.floor((node.extent - 1) / block) * block },
        },
        (start) => ({ feeds: feeds(start), ...steps(start) }),
      ),
      reduceTiles('sum', ['own_total'], ['total']),
      ...(node.partial === undefined ? [define(register('share', 'f32', [rowAxis]), share())] : []),
      ...storeTogether(finished(), stored),
      ...partial(),
    ],
  });
  return [...(lookedUp === undefined ? [] : context.node(lookedUp)), attend];
}
