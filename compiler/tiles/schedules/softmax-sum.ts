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
import type { ComputeNode, PartialSoftmax, Scalar, SoftmaxSumNode, Tensor } from '../../graph/graph.ts';
import {
  apply as applied,
  integer,
  iterator,
  iteratorsOf,
  loadsOf,
  subexpressions,
  substituteIterators,
} from '../../graph/scalar.ts';
import { factorsOf, product as productOf } from '../../optimize/contraction.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import type { SoftmaxForm } from '../choices/softmax-sum.ts';
import type { DeviceProfile } from '../device-profile.ts';
import { endExpression, endsOf, gridEnd } from '../ends.ts';
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
  difference,
  element,
  grid,
  load,
  masked,
  minimum,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import { type AxisClass, axisClass, iteratorsAt } from './axis-class.ts';
import { blockedKernel } from './blocked-softmax-sum.ts';
import { elementCount, type ScheduleContext } from './context.ts';
import type { ContractionProblem } from './contraction.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { panelsOf } from './panels.ts';
import { logitsProblem, scheduleTiledSum } from './tiled-softmax-sum.ts';

/**
 * The lowest finite f32: no finite logit is below it, and exp(hidden − x) is 0, where that of −∞ − (−∞) would
 * be NaN.
 */
export const hidden = -(2 - 2 ** -23) * 2 ** 127;

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
  const { node, logits } = problem;
  if (choice.form === 'tiles') return scheduleTiledSum(node, logits!, choice, context);
  if (!sharesWords(node.result)) return streamingKernels(problem, choice, context);
  return widened(node.result, context, (wide) =>
    streamingKernels({ ...problem, node: { ...node, result: wide } }, choice, context),
  );
}

/** A softmax over nothing. */
export function zeros({ result }: SoftmaxSumNode): ComputeNode {
  const body: Scalar = { op: 'constant', dtype: 'f32', value: 0 };
  return { kind: 'compute', result, body, reduce: undefined, grouped: undefined };
}

export interface Score {
  /** Varies with the row; undefined when the score is no product that comes apart. */
  readonly ofRow: Scalar;
  readonly ofStream: Scalar;
}

/** The score's factors, when each varies either with the row alone or with the streamed axis. */
function separate(node: SoftmaxSumNode): Score | undefined {
  const streamed = node.result.shape.length;
  const isOfStream = (factor: Scalar) => iteratorsOf(factor).has(streamed);
  const factors = factorsOf(node.scoreBody);
  const ofRow = factors.filter((factor) => !isOfStream(factor));
  const ofStream = factors.filter(isOfStream);
  if (ofRow.length === 0 || ofStream.length === 0 || node.scoreExtents.length !== 1) return undefined;
  return { ofRow: productOf(ofRow), ofStream: productOf(ofStream) };
}

export interface SoftmaxProblem {
  readonly kind: 'softmaxSum';
  readonly node: SoftmaxSumNode;
  /** Undefined where the score is computed position by position. */
  readonly separated: Score | undefined;
  /** Of the row axes those that keys and values vary with, and those along which they are shared. */
  readonly batch: AxisClass;
  readonly rows: AxisClass;
  readonly values: AxisClass;
  /** Of the score. */
  readonly depth: number;
  /** The logits as a product, where there are no values but the weights. */
  readonly logits: ContractionProblem | undefined;
}

export function softmaxProblem(node: SoftmaxSumNode, context: ScheduleContext): SoftmaxProblem {
  const extents = [...node.result.shape, node.extent, ...node.scoreExtents];
  const ends = endsOf(node);
  const scalars = [node.scoreBody, node.logit, node.value, ...(node.visible ? [node.visible] : [])];
  const depth = node.scoreExtents[0] ?? 1;
  const separated = depth % 4 === 0 ? separate(node) : undefined;
  const ofStreams = separated === undefined ? [node.scoreBody, node.value] : [separated.ofStream, node.value];
  const rowAxes = rowAxesOf(node);
  // Rows of one workgroup meet the same keys and values, so axes that those vary with are the grid's.
  const isShared = (axis: number) => !ofStreams.some((scalar) => iteratorsOf(scalar).has(axis));
  return {
    kind: 'softmaxSum',
    node,
    separated,
    batch: axisClass(
      rowAxes.filter((axis) => !isShared(axis)),
      extents,
      scalars,
      context,
      ends,
    ),
    rows: axisClass(rowAxes.filter(isShared), extents, scalars, context, ends),
    values: axisClass(node.valueAxes, extents, [node.value], context, ends),
    depth,
    logits: logitsProblem(node, context),
  };
}

function rowAxesOf({ result, valueAxes }: SoftmaxSumNode): readonly number[] {
  return result.shape.map((_, axis) => axis).filter((axis) => !valueAxes.includes(axis));
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
      ? lastVisible(node, rows, at, first, together, context)
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
            lowerOffset(node.result, at({ row, value: component })),
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
        lowerOffset(node.result, outputs),
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
    store(top, [rowAxis], lowerOffset(top, rows), element('so_far', 'f32', own), mask),
    store(total, [rowAxis], lowerOffset(total, rows), element('total', 'f32', own), mask),
  ];
}

/** The flat offset of an element of the tensor. */
function lowerOffset(tensor: Tensor, outputs: readonly TileExpression[]): TileExpression {
  const { shape } = tensor;
  let stride = elementCount(tensor);
  return sum(
    ...shape.map((extent, axis) => {
      stride /= extent;
      return product(outputs[axis]!, constant(stride));
    }),
  );
}

/**
 * One more than the last position that any row of the workgroup sees, as far as conjuncts `start + u <=
 * f(row)` of `visible` tell, for an f that grows with the row: its value at the workgroup's last row. Below
 * 0 where nothing is seen.
 */
function lastVisible(
  node: SoftmaxSumNode,
  rows: AxisClass,
  at: (flats: { row: TileExpression }) => readonly TileExpression[],
  first: TileExpression,
  together: number,
  context: ScheduleContext,
): TileExpression {
  const everything = constant(node.extent);
  if (node.visible === undefined || rows.axes.length === 0) return everything;
  const streamed = node.result.shape.length;
  const last = minimum(sum(first, constant(together - 1)), constant(rows.extent - 1));
  const [growing] = rows.axes;
  return conjuncts(node.visible).reduce((bound, conjunct) => {
    if (conjunct.op !== 'apply' || (conjunct.function !== 'le' && conjunct.function !== 'lt')) return bound;
    const [left, right] = conjunct.operands as [Scalar, Scalar];
    const start = startOf(left, streamed, rows.axes);
    if (start === undefined || !growsWith(right, growing!, rows.axes)) return bound;
    const [limit, begin] = [right, start].map((scalar) =>
      lowerScalar(scalar, { tensors: context.tensors, iterators: at({ row: last }) }),
    ) as [TileExpression, TileExpression];
    const end = conjunct.function === 'le' ? sum(limit, constant(1)) : limit;
    return minimum(bound, difference(end, begin));
  }, everything);
}

/**
 * Where positions are looked up, as those of a sequence in zigzag order are: what `lastVisible` tells, for
 * each workgroup's rows, found by looking at all that it might see. That takes a comparison for each
 * position, where its score takes as many multiplications as a head is wide.
 */
export function lookedUpBound(
  { extent, result, visible }: SoftmaxSumNode,
  rows: Pick<AxisClass, 'axes' | 'extent'>,
  together: number,
  groups: number,
  context: Pick<ScheduleContext, 'temporary'>,
): ComputeNode | undefined {
  const streamed = result.shape.length;
  if (visible === undefined || groups === 0) return undefined;
  const isLookedUp = loadsOf(visible).some(({ subscripts }) =>
    subscripts.some((part) => iteratorsOf(part).has(streamed)),
  );
  const known = new Set([...rows.axes, streamed]);
  const isOfRows = [...iteratorsOf(visible)].every((axis) => known.has(axis));
  if (!isLookedUp || !isOfRows || subexpressions(visible).some(({ op }) => op === 'reduced'))
    return undefined;
  const [group, thread, position] = [iterator(0), iterator(1), iterator(2)];
  const wanted = applied('add', applied('mul', group, integer(together)), thread);
  const row = applied('min', wanted, integer(rows.extent - 1));
  const iterators = new Map<number, Scalar>([[streamed, position]]);
  let stride = rows.extent;
  for (const axis of rows.axes) {
    stride /= result.shape[axis]!;
    const major = applied('floordiv', row, integer(stride));
    iterators.set(axis, applied('mod', major, integer(result.shape[axis]!)));
  }
  const isSeen = substituteIterators(visible, (axis) => iterators.get(axis)!);
  return {
    kind: 'compute',
    result: context.temporary(`${result.name}_bound`, { dtype: 'i32', shape: [groups] }),
    body: applied('select', isSeen, applied('add', position, integer(1)), integer(0)),
    reduce: { combiner: 'max', extents: [together, extent], finish: undefined },
    grouped: undefined,
  };
}

/**
 * What is added to the streamed position, the same for all rows; undefined where the scalar is no such sum.
 */
function startOf(scalar: Scalar, streamed: number, rowAxes: readonly number[]): Scalar | undefined {
  if (scalar.op === 'iterator') return scalar.axis === streamed ? integer(0) : undefined;
  if (scalar.op !== 'apply' || scalar.function !== 'add') return undefined;
  const [left, right] = scalar.operands as [Scalar, Scalar];
  const varying = new Set([...rowAxes, streamed]);
  const isSame = (part: Scalar) => isSameForAll(part, (axis) => !varying.has(axis));
  if (isSame(left)) return withStart(left, startOf(right, streamed, rowAxes));
  return isSame(right) ? withStart(right, startOf(left, streamed, rowAxes)) : undefined;
}

function withStart(part: Scalar, rest: Scalar | undefined): Scalar | undefined {
  return rest && applied('add', part, rest);
}

function conjuncts(condition: Scalar): readonly Scalar[] {
  return condition.op === 'apply' && condition.function === 'and'
    ? condition.operands.flatMap(conjuncts)
    : [condition];
}

/** A sum of the slowest row axis, constants and values that are the same for all rows. */
function growsWith(scalar: Scalar, axis: number, rowAxes: readonly number[]): boolean {
  if (scalar.op === 'iterator') return scalar.axis === axis || !rowAxes.includes(scalar.axis);
  if (scalar.op === 'apply' && scalar.function === 'add')
    return scalar.operands.every((operand) => growsWith(operand, axis, rowAxes));
  return isSameForAll(scalar);
}

/** Computed from constants, steps of loops, the device's coordinates, scalar tensors and some axes alone. */
function isSameForAll(scalar: Scalar, isSameAlong: (axis: number) => boolean = () => false): boolean {
  const isSame = (part: Scalar) => isSameForAll(part, isSameAlong);
  switch (scalar.op) {
    case 'constant':
    case 'counter':
    case 'coordinate':
    case 'size':
      return true;
    case 'load':
      return scalar.subscripts.length === 0;
    case 'apply':
      return scalar.operands.every(isSame);
    case 'convert':
    case 'round':
      return isSame(scalar.operand);
    case 'iterator':
      return isSameAlong(scalar.axis);
    case 'reduced':
      return false;
  }
}
