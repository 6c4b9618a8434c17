/**
 * Reductions, by where neighbours in memory are:
 *   - down columns: each invocation has four neighbouring results and walks along the reduced axes;
 *   - along rows: each row of invocations has one result (four, where results are narrower than a word) and
 *     reads neighbours, its columns taking turns and meeting in a tree. On a software adapter a row is one
 *     invocation.
 * A long reduction with few results is split in two first (`split-reduction.ts`).
 */
import type { Arithmetic, ComputeNode, Scalar } from '../../graph/graph.ts';
import { mapScalar, scalarType } from '../../graph/scalar.ts';
import { identityValue, isPositional } from '../combiners.ts';
import { assumingWithin, endsOf } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { type AxisGroup, groupIterators, neighbouringLoads } from '../merge-axes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { spread, store } from '../tile-builder.ts';
import { coordinate, element, unflatten } from '../tile-expression.ts';
import type { ThreadShape, TileAxis } from '../tile-program.ts';
import { accumulate } from './accumulate.ts';
import { elementCount, type ScheduleContext } from './context.ts';
import { flatResults } from './flat-results.ts';
import { mergedGroups, scheduleMap } from './map.ts';
import { sharesWords } from './narrow-result.ts';
import { rowLayout } from './row-layout.ts';
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

/** Where neighbours in memory are: among the results, or along what is reduced. */
type Direction = 'columns' | 'rows';

interface Reduction {
  readonly node: ReductionNode;
  /** Arithmetic type of the body. */
  readonly dtype: Arithmetic;
  readonly outputs: readonly AxisGroup[];
  readonly reduced: readonly AxisGroup[];
  readonly count: number;
  readonly direction: Direction;
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
  const reduced = mergedGroups([node.body], extents, shape.length, extents.length, context, endsOf(node));
  return {
    node,
    dtype: scalarType(node.body),
    outputs,
    reduced,
    count: elementCount(node.result),
    direction: directionOf(node, extents, outputs, reduced, context),
  };
}

/** Whether rows of the reduced axes are what it reads in order. */
export function readsRows(node: ReductionNode, context: ScheduleContext): boolean {
  return analyse(node, context).direction === 'rows';
}

/** Along whichever axis more loads have neighbours, of those that vary along both. */
function directionOf(
  node: ReductionNode,
  extents: readonly number[],
  outputs: readonly AxisGroup[],
  reduced: readonly AxisGroup[],
  context: ScheduleContext,
): Direction {
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
  readonly axes: readonly [TileAxis, TileAxis];
}

function reductionKernel(reduction: Reduction, context: ScheduleContext) {
  const { node, dtype, outputs, reduced } = reduction;
  const { threads, axes } =
    reduction.direction === 'columns' ? columnLayout(reduction, context) : alongRows(reduction, context);
  const tile = axes[0].extent;
  const { flat, mask, ...ofGrid } = flatResults(node.result, tile);
  const results = groupIterators(
    outputs,
    unflatten(
      flat,
      outputs.map((group) => group.extent),
    ),
  );
  const { result } = node;
  const { combiner, extents, finish } = node.reduce;
  const last = element('result', isPositional(combiner) ? 'i32' : dtype, [coordinate(0, tile)]);
  const finished =
    finish === undefined
      ? last
      : lowerScalar(finish, { tensors: context.tensors, iterators: results, reduced: last });
  return {
    name: `reduce_${result.name}`,
    ...ofGrid,
    threads,
    body: [
      ...accumulate({
        ...{ combiner, dtype, extents, axes, groups: reduced },
        value: (iterators, isWithin) =>
          lowerScalar(isWithin ? beforeEnds(node) : node.body, {
            tensors: context.tensors,
            iterators: [...results, ...iterators],
          }),
      }),
      store(result, [axes[0]], flat, finished, mask),
    ],
  };
}

/** The body where no reduced axis is behind its end. */
export function beforeEnds({ body, reduce, result }: ReductionNode): Scalar {
  const axes = reduce.extents.map((_, at) => result.shape.length + at);
  const ends = [...result.shape.map(() => undefined), ...(reduce.ends ?? [])];
  return assumingWithin(body, axes, ends);
}

function columnLayout({ count }: Reduction, { device }: ScheduleContext): Layout {
  const invocations = Math.min(device.software ? 16 : 64, Math.max(4, 2 ** Math.ceil(Math.log2(count / 4))));
  const axes = [spread(invocations * 4, 'threads', 4), spread(1, 'whole')] as const;
  return { threads: { rows: 1, columns: invocations }, axes };
}

function alongRows({ node, count, reduced }: Reduction, { device, tensors }: ScheduleContext): Layout {
  const inner = reduced.at(-1)?.extent ?? 1;
  const isNarrow = sharesWords(tensors(node.result.id));
  const isOfPlaces = isPositional(node.reduce.combiner);
  const { threads, rows, columns, vector } = rowLayout(
    { count, inner, isNarrow, isPositional: isOfPlaces },
    device,
  );
  return { threads, axes: [rows, columns(vector(inner))] };
}
