/**
 * Softmax-weighted sums on a core, which has caches and few registers: a workgroup has a few rows, and meets
 * the streamed axis in blocks (Dao et al. 2022). Of a block it first makes all logits, then all weights, then
 * the weighted sums of values, each in loops that fill the registers with sums as a product of matrices does.
 * What goes from one loop to the next is in memory that only the workgroup uses, small enough for the nearest
 * cache; the largest logit so far and the sums are rescaled once a block.
 */
import type { SoftmaxSumNode } from '../../graph/graph.ts';
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
} from '../tile-builder.ts';
import {
  apply,
  below,
  constant,
  coordinate,
  difference,
  element,
  flatten,
  grid,
  load,
  masked,
  minimum,
  product,
  quotient,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileAxis, TileStatement } from '../tile-program.ts';
import type { KernelParts, ScheduleContext } from './context.ts';

export interface BlockedSum {
  readonly node: SoftmaxSumNode;
  readonly groups: { readonly batch: number; readonly rows: number; readonly values: number };
  /** Where these end in a run. */
  readonly gridEnds: KernelParts['gridEnds'];
  /** Rows of a workgroup. */
  readonly rowAxis: TileAxis;
  /**
   * Positions of a block, at most: their weights for a few rows, and their values, are to stay in the nearest
   * cache.
   */
  readonly block: number;
  /** Components of values that a workgroup sums: a multiple of a panel's width. */
  readonly components: number;
  /** Columns of a panel. */
  readonly width: number;
  /** How many products are summed for a score. */
  readonly depth: number;
  /** One more than the last position that any row of the workgroup sees. */
  readonly bound: TileExpression;
  /** The logit of what is hidden. */
  readonly lowest: number;
  /** The row's factor of the score; its row is along axis 0. */
  readonly ofRow: (depth: TileExpression) => TileExpression;
  /** The other factor, of a position of a panel. */
  readonly ofStream: (panel: TileExpression, depth: TileExpression, within: TileExpression) => TileExpression;
  readonly logit: (position: TileExpression, score: TileExpression) => TileExpression;
  readonly isVisible: (position: TileExpression) => TileExpression | undefined;
  readonly value: (position: TileExpression, component: TileExpression) => TileExpression;
  /** What is done with the sums, a panel's width of them at a time. */
  readonly finish: (columns: TileAxis, component: TileExpression, sums: TileExpression) => TileStatement;
  /** What is done once, where `so_far` and `total` are known. */
  readonly after: readonly TileStatement[];
}

export function blockedKernel(parts: BlockedSum, context: ScheduleContext): ScheduledStep {
  const { node, groups, gridEnds, rowAxis, components, width, depth, bound, lowest } = parts;
  const block = Math.min(parts.block, Math.ceil(node.extent / width) * width);
  const together = rowAxis.extent;
  const workgroups = [groups.batch, groups.rows, groups.values];
  const scratch = (name: string, extent: number) => {
    const shape = [...workgroups, together, extent];
    const tensor = context.temporary(`${node.result.name}_${name}`, { dtype: 'f32', shape });
    const workgroup = workgroups.map((count, axis) => grid(axis, count));
    const place = (at: TileExpression) => flatten([...workgroup, coordinate(0, together), at], shape);
    return { tensor, place, read: (at: TileExpression) => load(tensor.id, 'f32', place(at)) };
  };
  const weights = scratch('weights', block);
  const sums = scratch('sums', components);

  const keys = spread(width, 'whole', 4);
  const one = spread(1, 'whole');
  const row = [coordinate(0, together)];
  const pair = [coordinate(0, together), coordinate(1, width)];
  const float = (name: 'max' | 'add' | 'sub' | 'mul', left: TileExpression, right: TileExpression) =>
    apply(name, 'f32', left, right);
  const exp = (exponent: TileExpression) => apply('exp', 'f32', exponent);
  const zero = constant(0, 'f32');
  const hidden = constant(lowest, 'f32');
  const [top, soFar, keep] = ['top', 'so_far', 'keep'].map((name) => element(name, 'f32', row)) as [
    TileExpression,
    TileExpression,
    TileExpression,
  ];
  const byWidth = (to: TileExpression, most: number) => ({
    ...{ from: constant(0), to, step: width, multipleOf: width },
    range: { low: 0, high: most - width },
  });
  const oneByOne = (to: TileExpression, most: number) => ({
    ...{ from: constant(0), to, step: 1 },
    range: { low: 0, high: most - 1 },
  });

  /** Of the components that the workgroup sums, those from `first`, as many as a panel is wide. */
  const componentsAt = (first: TileExpression) =>
    sum(product(grid(2, groups.values), constant(components)), first, coordinate(1, width));

  const stream = (start: TileExpression): TileStatement[] => {
    const count = minimum(constant(block), difference(bound, start));
    const at = (first: TileExpression) => sum(first, coordinate(1, width));
    return [
      define(register('tops', 'f32', [rowAxis, keys]), hidden),
      loop('scored', byWidth(count, block), (first) => {
        const position = sum(start, at(first));
        const panel = quotient(sum(start, first), width);
        const logit = parts.logit(position, element('score', 'f32', pair));
        return [
          define(register('score', 'f32', [rowAxis, keys]), zero),
          loop('d', oneByOne(constant(depth), depth), (d) => [
            define(register('of_row', 'f32', [rowAxis, one]), parts.ofRow(d)),
            define(register('of_stream', 'f32', [one, keys]), parts.ofStream(panel, d, coordinate(1, width))),
            multiplyAccumulate('score', 'of_row', 'of_stream', 'kn'),
          ]),
          define(register('logit', 'f32', [rowAxis, keys]), masked(parts.isVisible(position), logit, hidden)),
          store(weights.tensor, [rowAxis, keys], weights.place(at(first)), element('logit', 'f32', pair)),
          update('tops', float('max', element('logit', 'f32', pair), element('tops', 'f32', pair))),
        ];
      }),
      reduceTiles('max', ['tops'], ['block_top']),
      define(register('top', 'f32', [rowAxis]), float('max', element('block_top', 'f32', row), soFar)),
      define(register('keep', 'f32', [rowAxis]), exp(float('sub', soFar, top))),
      update('totals', float('mul', element('totals', 'f32', pair), keep)),
      loop('weighed', byWidth(count, block), (first) => {
        const weight = exp(float('sub', weights.read(at(first)), top));
        return [
          define(
            register('weight', 'f32', [rowAxis, keys]),
            masked(parts.isVisible(sum(start, at(first))), weight, zero),
          ),
          store(weights.tensor, [rowAxis, keys], weights.place(at(first)), element('weight', 'f32', pair)),
          update('totals', float('add', element('totals', 'f32', pair), element('weight', 'f32', pair))),
        ];
      }),
      loop('summed', byWidth(constant(components), components), (first) => {
        const isLater = below(constant(0), start);
        return [
          define(
            register('sum', 'f32', [rowAxis, keys]),
            masked(isLater, float('mul', sums.read(at(first)), keep), zero),
          ),
          loop('k', oneByOne(count, block), (k) => [
            define(register('own', 'f32', [rowAxis, one]), weights.read(k)),
            define(register('values', 'f32', [one, keys]), parts.value(sum(start, k), componentsAt(first))),
            multiplyAccumulate('sum', 'own', 'values', 'kn'),
          ]),
          store(sums.tensor, [rowAxis, keys], sums.place(at(first)), element('sum', 'f32', pair)),
        ];
      }),
      update('so_far', top),
    ];
  };

  const last = Math.floor((node.extent - 1) / block) * block;
  const seesSome = below(constant(0), bound);
  return context.kernel({
    name: `attend_${node.result.name}`,
    grid: workgroups,
    gridEnds,
    threads: { rows: 1, columns: 1 },
    body: [
      define(register('so_far', 'f32', [rowAxis]), hidden),
      define(register('totals', 'f32', [rowAxis, keys]), zero),
      loop(
        'u',
        { from: constant(0), to: bound, step: block, range: { low: 0, high: last }, multipleOf: block },
        stream,
      ),
      reduceTiles('sum', ['totals'], ['total']),
      loop('finished', byWidth(constant(components), components), (first) => {
        const found = masked(seesSome, sums.read(sum(first, coordinate(1, width))), zero);
        return [parts.finish(keys, componentsAt(first), found)];
      }),
      ...parts.after,
    ],
  });
}
