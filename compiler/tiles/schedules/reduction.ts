/**
 * Reductions, by where neighbours in memory are:
 *   - down columns: each invocation has four neighbouring results and walks along the reduced axes;
 *   - along rows: each row of invocations has one result (four, where results are narrower than a word) and
 *     reads neighbours, its columns taking turns and meeting in a tree. On a software adapter a row is one
 *     invocation.
 * A long reduction with few results is split in two first (`split-reduction.ts`).
 */
import { type Dtype, dtypeFacts } from '../../../dsl/types/dtype.ts';
import type { Arithmetic, ComputeNode, Scalar } from '../../graph/graph.ts';
import { mapScalar, scalarType } from '../../graph/scalar.ts';
import { combine, identityOf, identityValue, isBetter, isPositional, nowhere } from '../combiners.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { type AxisGroup, groupIterators, neighbouringLoads } from '../merge-axes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, loop, reduceTiles, register, spread, store, update } from '../tile-builder.ts';
import {
  apply,
  below,
  both,
  constant,
  coordinate,
  element,
  flatten,
  grid,
  masked,
  product,
  sum,
  type TileExpression,
  unflatten,
} from '../tile-expression.ts';
import type { ThreadShape, TileAxis, TileStatement } from '../tile-program.ts';
import { elementCount, type ScheduleContext } from './context.ts';
import { mergedGroups, scheduleMap } from './map.ts';
import { splitReduction } from './split-reduction.ts';

export type ReductionNode = ComputeNode & { readonly reduce: NonNullable<ComputeNode['reduce']> };

export function scheduleReduction(node: ReductionNode, context: ScheduleContext): readonly ScheduledStep[] {
  if (elementCount(node.result) === 0) return [];
  if (node.reduce.extents.includes(0)) return scheduleMap(emptyReduction(node), context);
  const split = splitReduction(node, context);
  if (split !== undefined) return split;
  return [context.kernel(reductionKernel(analyse(node, context), context))];
}

/** A reduction over nothing is its identity. */
function emptyReduction(node: ReductionNode): ComputeNode {
  const { combiner, finish } = node.reduce;
  const dtype = isPositional(combiner) ? 'i32' : scalarType(node.body);
  const value: Scalar = {
    op: 'constant',
    dtype,
    value: isPositional(combiner) ? 0 : identityValue(combiner, dtype),
  };
  const body =
    finish === undefined ? value : mapScalar(finish, (part) => (part.op === 'reduced' ? value : part));
  return { ...node, body, reduce: undefined };
}

// ── analysis ───────────────────────────────────────────────────────────────────────────────────────────────

interface Reduction {
  readonly node: ReductionNode;
  /** Arithmetic type of the body. */
  readonly dtype: Arithmetic;
  readonly outputs: readonly AxisGroup[];
  readonly reduced: readonly AxisGroup[];
  readonly count: number;
  readonly direction: 'columns' | 'rows';
}

function analyse(node: ReductionNode, context: ScheduleContext): Reduction {
  const { shape } = node.result;
  const extents = [...shape, ...node.reduce.extents];
  const { finish } = node.reduce;
  const outputs = mergedGroups(
    finish === undefined ? [node.body] : [node.body, finish],
    extents,
    0,
    shape.length,
    context,
  );
  const reduced = mergedGroups([node.body], extents, shape.length, extents.length, context);
  return {
    node,
    dtype: scalarType(node.body),
    outputs,
    reduced,
    count: elementCount(node.result),
    direction: directionOf(node, extents, outputs, reduced, context),
  };
}

/** Along whichever axis more loads have neighbours, of those that vary along both. */
function directionOf(
  node: ReductionNode,
  extents: readonly number[],
  outputs: readonly AxisGroup[],
  reduced: readonly AxisGroup[],
  context: ScheduleContext,
): 'columns' | 'rows' {
  const [column, row] = [outputs.at(-1), reduced.at(-1)];
  if (column === undefined || row === undefined || column.extent % 4 !== 0) return 'rows';
  const { along, across } = neighbouringLoads(
    node.body,
    extents,
    column.carrier,
    row.carrier,
    context.tensors,
  );
  return along > across ? 'columns' : 'rows';
}

// ── kernels ────────────────────────────────────────────────────────────────────────────────────────────────

interface Layout {
  readonly threads: ThreadShape;
  /** Axes of the accumulator: results, then (along rows) the neighbours that an invocation reads. */
  readonly axes: readonly TileAxis[];
  /** Results of a workgroup. */
  readonly tile: number;
}

function reductionKernel(reduction: Reduction, context: ScheduleContext) {
  const { node, outputs, count } = reduction;
  const layout =
    reduction.direction === 'columns' ? columnLayout(reduction, context) : rowLayout(reduction, context);
  const groups = Math.ceil(count / layout.tile);
  const resultAxis = layout.axes[0]!;
  const flat = sum(product(grid(0, groups), constant(layout.tile)), coordinate(0, layout.tile));
  const results = groupIterators(
    outputs,
    unflatten(
      flat,
      outputs.map((group) => group.extent),
    ),
  );
  const value = (reduced: readonly TileExpression[]) =>
    lowerScalar(node.body, { tensors: context.tensors, iterators: [...results, ...reduced] });
  const { result } = node;
  const reducedDtype = isPositional(node.reduce.combiner) ? 'i32' : reduction.dtype;
  const last = element('result', reducedDtype, [coordinate(0, layout.tile)]);
  const finished =
    node.reduce.finish === undefined
      ? last
      : lowerScalar(node.reduce.finish, { tensors: context.tensors, iterators: results, reduced: last });
  return {
    name: `reduce_${result.name}`,
    grid: [groups],
    threads: layout.threads,
    body: [
      ...accumulation(reduction, layout, value),
      store(result, [resultAxis], flat, finished, below(flat, constant(count))),
    ],
  };
}

function columnLayout({ count }: Reduction, { device }: ScheduleContext): Layout {
  const invocations = Math.min(device.software ? 16 : 64, Math.max(4, 2 ** Math.ceil(Math.log2(count / 4))));
  const tile = invocations * 4;
  const axes = [spread(tile, 'threads', 4), spread(1, 'whole')];
  return { threads: { rows: 1, columns: invocations }, axes, tile };
}

function rowLayout(reduction: Reduction, context: ScheduleContext): Layout {
  return context.device.software ? softwareRows(reduction, context) : workgroupRows(reduction, context);
}

/** How many neighbours an invocation reads at a time along a reduced axis. */
function vectorOf(extent: number, most: number): number {
  for (let vector = most; vector > 1; vector /= 2) if (vector !== 2 && extent % vector === 0) return vector;
  return 1;
}

/**
 * A workgroup of one subgroup (of one invocation, where they are of no fixed size) has several results at
 * once: what they share is loaded once.
 */
function softwareRows({ count, reduced, node }: Reduction, { device }: ScheduleContext): Layout {
  const inner = reduced.at(-1)?.extent ?? 1;
  const subgroup = device.subgroupSize ?? 1;
  const columns = isPositional(node.reduce.combiner) || inner < 4 * subgroup ? 1 : subgroup;
  const vector = vectorOf(inner / columns, 4);
  if (columns === 1) {
    const rows = Math.min(count > 4096 ? 64 : 16, 2 ** Math.ceil(Math.log2(Math.ceil(count / 4))));
    const axes = [spread(rows * 4, 'rows', 4), spread(vector, 'whole', vector)];
    return { threads: { rows, columns }, axes, tile: rows * 4 };
  }
  const rows = count >= 32 ? 8 : 4;
  const axes = [spread(rows, 'whole', 4), spread(columns * vector, 'columns', vector)];
  return { threads: { rows: 1, columns }, axes, tile: rows };
}

/** Rows of invocations, each with one result (four, where an invocation has to store whole words). */
function workgroupRows({ node, count, reduced }: Reduction, { device, tensors }: ScheduleContext): Layout {
  const inner = reduced.at(-1)?.extent ?? 1;
  const vector = vectorOf(inner, 4);
  const perRow = wordsOf(tensors(node.result.id).dtype) ? 1 : 4;
  const largest = Math.min(256, device.maxInvocationsPerWorkgroup);
  const columns = Math.min(largest, Math.max(1, 2 ** Math.floor(Math.log2(inner / vector))));
  const wanted = 2 ** Math.ceil(Math.log2(Math.ceil(count / perRow)));
  const rows = Math.min(wanted, Math.max(1, largest / columns));
  const axes = [spread(rows * perRow, 'rows', perRow), spread(columns * vector, 'columns', vector)];
  return { threads: { rows, columns }, axes, tile: rows * perRow };
}

/** Whether elements of the dtype are whole words, so that an invocation may store one. */
function wordsOf(dtype: Dtype): boolean {
  return dtypeFacts[dtype].bits === 32;
}

/** Defines the tile `result`, of the layout's first axis. */
function accumulation(
  reduction: Reduction,
  layout: Layout,
  value: (reduced: readonly TileExpression[]) => TileExpression,
): TileStatement[] {
  const { node, dtype, reduced } = reduction;
  const { combiner } = node.reduce;
  const place = layout.axes.map((axis, at) => coordinate(at, axis.extent));
  const walk = (
    step: (iterators: readonly TileExpression[], mask: TileExpression | undefined) => TileStatement[],
  ) => reducedLoops(reduced, layout.axes[1]!.extent, step);
  const best = element('best', dtype, place);
  const identity = identityOf(combiner, dtype);
  if (!isPositional(combiner)) {
    return [
      define(register('best', dtype, layout.axes), identity),
      ...walk((iterators, mask) => [
        update('best', combine(combiner, best, masked(mask, value(iterators), identity), dtype)),
      ]),
      reduceTiles(combiner, ['best'], ['result']),
    ];
  }
  const where = element('where', 'i32', place);
  const candidate = element('candidate', dtype, place);
  return [
    define(register('best', dtype, layout.axes), identity),
    define(register('where', 'i32', layout.axes), constant(nowhere)),
    ...walk((iterators, mask) => {
      const position = flatten(iterators, node.reduce.extents);
      const own = { value: candidate, position };
      const isTaken = both(mask, isBetter(combiner, own, { value: best, position: where }))!;
      return [
        define(register('candidate', dtype, layout.axes), value(iterators)),
        define(register('taken', 'bool', layout.axes), isTaken),
        update('best', masked(element('taken', 'bool', place), candidate, best)),
        update('where', masked(element('taken', 'bool', place), position, where)),
      ];
    }),
    reduceTiles(combiner, ['best', 'where'], ['best_value', 'place']),
    // Where there is nothing but NaN, the first.
    define(
      register('result', 'i32', layout.axes.slice(0, 1)),
      masked(
        apply('eq', 'bool', element('place', 'i32', place.slice(0, 1)), constant(nowhere)),
        constant(0),
        element('place', 'i32', place.slice(0, 1)),
      ),
    ),
  ];
}

/** Loops over the reduced axes, the last one `width` at a time by the tile's axis 1. */
function reducedLoops(
  groups: readonly AxisGroup[],
  width: number,
  step: (iterators: readonly TileExpression[], mask: TileExpression | undefined) => TileStatement[],
): TileStatement[] {
  const nest = (indices: readonly TileExpression[]): TileStatement[] => {
    const at = indices.length;
    const group = groups[at];
    if (group === undefined) return step(groupIterators(groups, indices), undefined);
    const { extent } = group;
    const isLast = at === groups.length - 1;
    const stride = isLast ? width : 1;
    const bounds = {
      from: constant(0),
      to: constant(extent),
      step: stride,
      range: { low: 0, high: Math.floor((extent - 1) / stride) * stride },
      multipleOf: stride,
    };
    return [
      loop(`r${at}`, bounds, (variable) => {
        if (!isLast) return nest([...indices, variable]);
        const index = sum(variable, coordinate(1, width));
        return step(groupIterators(groups, [...indices, index]), below(index, constant(extent)));
      }),
    ];
  };
  return nest([]);
}
