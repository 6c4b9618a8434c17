/**
 * Softmax-weighted sums, streamed (Milakov and Gimelshein 2018; Dao et al. 2022): each invocation has one row
 * with its accumulator in registers, and meets the streamed axis in blocks. It keeps the largest logit so
 * far, the sum of exponentials and the weighted sum of values, rescaled when the largest changes. No score
 * reaches memory.
 *
 * Where the score is a product of a factor of the row and one of the streamed position, the row's factor is
 * held in registers and a block of the other is dealt out to the lanes of a subgroup and broadcast. What
 * `visible` says of the last position that a row sees bounds the loop, so that the masked half of causal
 * attention is not computed.
 */
import type { PartialSoftmax, Scalar, SoftmaxSumNode } from '../../graph/graph.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import type { SoftmaxForm } from '../choices/softmax-sum.ts';
import type { DeviceProfile } from '../device-profile.ts';
import { endExpression, gridEnd } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import type { ScheduledStep } from '../scheduled.ts';
import {
  define,
  loop,
  multiplyAccumulate,
  reduceTiles,
  register,
  spread,
  store,
  update,
  whole,
} from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  element,
  flatten,
  grid,
  load,
  masked,
  minimum,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import { iteratorsAt } from './axis-class.ts';
import { blockedKernel } from './blocked-softmax-sum.ts';
import type { ScheduleContext } from './context.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { panelsOf } from './panels.ts';
import { hidden, rowAxesOf, type Score, type SoftmaxProblem } from './softmax-problem.ts';
import { scheduleTiledSum } from './tiled-softmax-sum.ts';
import { unitSoftmaxSum } from './unit-softmax-sum.ts';
import { lookedUpBound, seenPositions, streamedOf } from './visible-bound.ts';

/** Components of values that one invocation accumulates: more are split over the grid. */
const mostComponents = 128;

/** Components of a row's factor that are held in registers, all of them; otherwise a few at a time. */
const mostHeld = 128;

function heldOf(depth: number): number {
  return depth <= mostHeld ? depth : [16, 12, 8, 4].find((held) => depth % held === 0)!;
}

export function scheduleSoftmaxSum(
  problem: SoftmaxProblem,
  choice: ChoiceOf<SoftmaxForm>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node, logits, units } = problem;
  switch (choice.form) {
    case 'tiles':
    case 'units':
      return scheduleTiledSum(node, logits!, choice, context);
    case 'unitStream':
      return unitSoftmaxSum(problem, units!, choice, context);
    case 'stream':
    case 'blocked':
      if (!sharesWords(node.result)) return streamingKernels(problem, choice, context);
      return widened(node.result, context, (wide) =>
        streamingKernels({ ...problem, node: { ...node, result: wide } }, choice, context),
      );
  }
}

/** Columns of which a core makes vectors, or a vector. */
function vectorOf({ core }: DeviceProfile): number {
  return core?.streamed.columns ?? 4;
}

/** Components of values that an invocation accumulates of each row. */
export function componentsOf({ values }: Pick<SoftmaxProblem, 'values'>, device: DeviceProfile): number {
  const vector = vectorOf(device);
  return Math.min(mostComponents, Math.ceil(values.extent / vector) * vector);
}

function streamingKernels(
  problem: SoftmaxProblem,
  choice: ChoiceOf<'stream' | 'blocked'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node, separated, batch, rows, values, depth } = problem;
  const { rows: perThread, block } = choice;
  const [threads, lanes] = choice.form === 'stream' ? [choice.threadColumns, choice.lanes] : [1, false];
  const rank = node.result.shape.length;
  const rowAxes = rowAxesOf(node);
  const vector = vectorOf(context.device);
  const together = threads * perThread;
  const components = componentsOf(problem, context.device);
  const groups = { rows: Math.ceil(rows.extent / together), values: Math.ceil(values.extent / components) };

  const rowAxis = spread(together, 'threads', perThread);
  const first = product(grid(1, groups.rows), constant(together));
  const row = sum(first, coordinate(0, together));
  const value = sum(product(grid(2, groups.values), constant(components)), coordinate(1, components));
  const at = (flats: {
    ofBatch?: TileExpression;
    row?: TileExpression;
    value?: TileExpression;
    u?: TileExpression;
    depth?: TileExpression;
  }) => {
    const outputs = iteratorsAt(
      rank,
      [
        [batch, flats.ofBatch ?? grid(0, batch.extent)],
        [rows, flats.row ?? constant(0)],
        [values, flats.value ?? constant(0)],
      ],
      constant(0),
    );
    return [...outputs, flats.u ?? constant(0), flats.depth ?? constant(0)];
  };
  /** Of rows that see nothing so far. */
  const lowest = node.partial?.lowest ?? hidden;
  const lowered = (scalar: Scalar, iterators: readonly TileExpression[], reduced?: TileExpression) =>
    lowerScalar(scalar, {
      tensors: context.tensors,
      iterators,
      ...(reduced === undefined ? {} : { reduced }),
    });

  const panels =
    separated === undefined || choice.form !== 'blocked'
      ? undefined
      : panelsOf(
          {
            ...{ name: node.result.name, batches: batch.extent, columns: node.extent, depth },
            ends: { batches: batch.end, columns: node.end },
            width: vector,
            value: (ofBatch, u, within) => lowered(separated.ofStream, at({ ofBatch, u, depth: within })),
          },
          context,
        );
  const lookedUp = lookedUpBound(node, rows, together, groups.rows, context);
  const end = endExpression(node.end, node.extent);
  const seen =
    lookedUp === undefined
      ? seenPositions(streamedOf(node), { rows, at, first, together }, context).to
      : load(lookedUp.result.id, 'i32', grid(1, groups.rows), { low: 0, high: node.extent });
  const bound = minimum(end, seen);
  const outputs = at({ row, value });
  const isRow = below(row, constant(rows.extent));
  const partial =
    node.partial === undefined
      ? []
      : partStores(
          node.partial,
          rowAxis,
          [coordinate(0, together)],
          rowAxes.map((axis) => outputs[axis]!),
          // Of the workgroups that share rows, the one with the first values.
          both(isRow, groups.values > 1 ? below(grid(2, groups.values), constant(1)) : undefined),
        );
  // Of a row that sees something, the total is at least the exp(0) of its largest logit, or NaN.
  const finished = (sums: TileExpression): TileExpression => {
    const total = element('total', 'f32', [coordinate(0, together)]);
    if (node.partial !== undefined) return sums;
    const mean = apply('div', 'f32', sums, total);
    const seesNothing = apply('eq', 'bool', total, constant(0, 'f32'));
    return node.visible === undefined ? mean : masked(seesNothing, constant(0, 'f32'), mean);
  };
  const gridEnds = [gridEnd(batch.end, 1), gridEnd(rows.end, together), gridEnd(values.end, components)];
  const before = lookedUp === undefined ? [] : context.node(lookedUp);
  if (separated !== undefined && panels !== undefined) {
    const blocked = blockedKernel(
      {
        ...{ node, rowAxis, block, components, depth, bound, lowest, width: vector },
        groups: { batch: batch.extent, ...groups },
        gridEnds,
        ofRow: (d) => lowered(separated.ofRow, at({ row, depth: d })),
        ofStream: (panel, d, place) => panels.element(grid(0, batch.extent), panel, d, place),
        logit: (u, score) => lowered(node.logit, at({ row, u }), score),
        isVisible: (u) =>
          both(
            node.visible === undefined ? undefined : lowered(node.visible, at({ row, u })),
            below(u, constant(node.extent)),
          ),
        value: (u, component) => lowered(node.value, at({ value: component, u })),
        finish: (columns, component, sums) =>
          store(
            node.result,
            [rowAxis, columns],
            flatten(at({ row, value: component }).slice(0, rank), node.result.shape),
            finished(sums),
            both(isRow, below(component, constant(values.extent))),
          ),
        after: partial,
      },
      context,
    );
    return [...before, panels.pack, blocked];
  }
  const keys: TileAxis = spread(block, 'whole', block % 4 === 0 ? 4 : 1);
  const dealt: TileAxis = spread(block, lanes ? 'lanes' : 'whole');
  const wholeValues: TileAxis = whole(components);
  const own = [coordinate(0, together)];
  const pair = [coordinate(0, together), coordinate(1, block)];

  const stream = (start: TileExpression): TileStatement[] => {
    const u = (axis: number) => sum(start, coordinate(axis, block));
    const isReal = (place: TileExpression) => below(place, constant(node.extent));
    const logit = lowered(node.logit, at({ row, u: u(1) }), element('score', 'f32', pair));
    const visible = node.visible === undefined ? undefined : lowered(node.visible, at({ row, u: u(1) }));
    const mask = both(visible, isReal(u(1)));
    return [
      ...scoreTiles(node, separated, {
        ...{ rowAxis, keys, dealt, together, block, row, u, isReal, at, lowered },
      }),
      define(register('logit', 'f32', [rowAxis, keys]), masked(mask, logit, constant(lowest, 'f32'))),
      reduceTiles('max', ['logit'], ['block_top']),
      define(
        register('top', 'f32', [rowAxis]),
        apply('max', 'f32', element('block_top', 'f32', own), element('so_far', 'f32', own)),
      ),
      define(
        register('keep', 'f32', [rowAxis]),
        apply('exp', 'f32', apply('sub', 'f32', element('so_far', 'f32', own), element('top', 'f32', own))),
      ),
      define(
        register('p', 'f32', [rowAxis, keys]),
        masked(
          mask,
          apply('exp', 'f32', apply('sub', 'f32', element('logit', 'f32', pair), element('top', 'f32', own))),
          constant(0, 'f32'),
        ),
      ),
      reduceTiles('sum', ['p'], ['block_total']),
      update(
        'total',
        apply(
          'add',
          'f32',
          apply('mul', 'f32', element('total', 'f32', own), element('keep', 'f32', own)),
          element('block_total', 'f32', own),
        ),
      ),
      update(
        'sum',
        apply(
          'mul',
          'f32',
          element('sum', 'f32', [coordinate(0, together), coordinate(1, components)]),
          element('keep', 'f32', own),
        ),
      ),
      define(
        register('values', 'f32', [dealt, wholeValues]),
        masked(
          below(u(0), endExpression(node.end, node.extent)),
          lowered(node.value, at({ value, u: u(0) })),
          constant(0, 'f32'),
        ),
      ),
      multiplyAccumulate('sum', 'p', 'values', 'kn'),
      update('so_far', element('top', 'f32', own)),
    ];
  };

  const result = element('sum', 'f32', [coordinate(0, together), coordinate(1, components)]);
  const attend = context.kernel({
    name: `attend_${node.result.name}`,
    grid: [batch.extent, groups.rows, groups.values],
    gridEnds,
    threads: { rows: 1, columns: threads },
    body: [
      define(register('so_far', 'f32', [rowAxis]), constant(lowest, 'f32')),
      define(register('total', 'f32', [rowAxis]), constant(0, 'f32')),
      define(register('sum', 'f32', [rowAxis, wholeValues]), constant(0, 'f32')),
      ...(separated === undefined || depth > mostHeld
        ? []
        : [
            define(
              register('of_row', 'f32', [rowAxis, whole(depth)]),
              lowered(separated.ofRow, at({ row, depth: coordinate(1, depth) })),
            ),
          ]),
      loop(
        'u',
        {
          from: constant(0),
          to: bound,
          step: block,
          range: { low: 0, high: Math.floor((node.extent - 1) / block) * block },
          multipleOf: block,
        },
        stream,
      ),
      store(
        node.result,
        [rowAxis, wholeValues],
        flatten(outputs.slice(0, rank), node.result.shape),
        finished(result),
        both(isRow, below(value, constant(values.extent))),
      ),
      ...partial,
    ],
  });
  return [...before, attend];
}

interface Streaming {
  readonly rowAxis: TileAxis;
  readonly keys: TileAxis;
  readonly dealt: TileAxis;
  readonly together: number;
  readonly block: number;
  readonly row: TileExpression;
  readonly u: (axis: number) => TileExpression;
  readonly isReal: (place: TileExpression) => TileExpression | undefined;
  readonly at: (flats: {
    row?: TileExpression;
    u?: TileExpression;
    depth?: TileExpression;
  }) => readonly TileExpression[];
  readonly lowered: (scalar: Scalar, iterators: readonly TileExpression[]) => TileExpression;
}

/** Defines the tile `score` of a block: by a product of tiles, or position by position. */
function scoreTiles(node: SoftmaxSumNode, separated: Score | undefined, parts: Streaming): TileStatement[] {
  const { rowAxis, keys, dealt, together, block, row, u, isReal, at, lowered } = parts;
  const score = register('score', 'f32', [rowAxis, keys]);
  const depth = node.scoreExtents[0] ?? 1;
  if (separated !== undefined) {
    const held = heldOf(depth);
    const ofStream = (first: TileExpression) =>
      define(
        register('of_stream', 'f32', [dealt, whole(held)]),
        masked(
          isReal(u(0)),
          lowered(separated.ofStream, at({ u: u(0), depth: sum(first, coordinate(1, held)) })),
          constant(0, 'f32'),
        ),
      );
    const ofRow = (first: TileExpression) =>
      define(
        register('of_row', 'f32', [rowAxis, whole(held)]),
        lowered(separated.ofRow, at({ row, depth: sum(first, coordinate(1, held)) })),
      );
    const multiplied = multiplyAccumulate('score', 'of_row', 'of_stream', 'nk');
    const bounds = {
      ...{ from: constant(0), to: constant(depth), step: held, multipleOf: held },
      range: { low: 0, high: depth - held },
    };
    return [
      define(score, constant(0, 'f32')),
      ...(held === depth
        ? [ofStream(constant(0)), multiplied]
        : [loop('d', bounds, (first) => [ofRow(first), ofStream(first), multiplied])]),
    ];
  }
  if (node.scoreExtents.length === 0) return [define(score, lowered(node.scoreBody, at({ row, u: u(1) })))];
  const before = element('score', 'f32', [coordinate(0, together), coordinate(1, block)]);
  const nest = (indices: readonly TileExpression[]): TileStatement[] => {
    const extent = node.scoreExtents[indices.length];
    if (extent === undefined) {
      const iterators = [...at({ row, u: u(1) }).slice(0, node.result.shape.length + 1), ...indices];
      return [update('score', apply('add', 'f32', before, lowered(node.scoreBody, iterators)))];
    }
    const bounds = { from: constant(0), to: constant(extent), step: 1, range: { low: 0, high: extent - 1 } };
    return [loop(`r${indices.length}`, bounds, (variable) => nest([...indices, variable]))];
  };
  return node.scoreExtents.includes(0)
    ? [define(score, constant(0, 'f32'))]
    : [define(score, constant(0, 'f32')), ...nest([])];
}

/** The top and the total of a part of a softmax. */
function partStores(
  { top, total }: PartialSoftmax,
  rowAxis: TileAxis,
  own: readonly TileExpression[],
  rows: readonly TileExpression[],
  mask: TileExpression | undefined,
): TileStatement[] {
  return [
    store(top, [rowAxis], flatten(rows, top.shape), element('so_far', 'f32', own), mask),
    store(total, [rowAxis], flatten(rows, total.shape), element('total', 'f32', own), mask),
  ];
}
