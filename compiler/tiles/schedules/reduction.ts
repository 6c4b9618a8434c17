/**
 * Reductions, by where neighbours in memory are:
 *   - down columns: each invocation has four neighbouring results and walks along the reduced axes;
 *   - along rows: each row of invocations has some results and reads neighbours, its columns
 *     taking turns and meeting in a tree.
 * A long reduction with few results may be split in two first (`split-reduction.ts`).
 */
import type { Arithmetic, ComputeNode, Scalar } from '../../graph/graph.ts';
import { mapScalar, scalarType } from '../../graph/scalar.ts';
import { elementCount } from '../../graph/tensor-type.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import type { ReductionForm } from '../choices/reduction.ts';
import { identityValue, isPositional } from '../combiners.ts';
import { assumingWithin, endsOf } from '../ends.ts';
import { lowerScalar } from '../lower-scalar.ts';
import { type AxisGroup, groupIterators, neighbouringLoads } from '../merge-axes.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { spread, store } from '../tile-builder.ts';
import { coordinate, element, unflatten } from '../tile-expression.ts';
import type { ThreadShape } from '../tile-program.ts';
import { type AccumulatorAxes, accumulate } from './accumulate.ts';
import type { ScheduleContext } from './context.ts';
import { flatResults } from './flat-results.ts';
import { mergedGroups } from './merged-groups.ts';
import { scheduleSplit } from './split-reduction.ts';

export type ReductionNode = ComputeNode & { readonly reduce: NonNullable<ComputeNode['reduce']> };

export function scheduleReduction(
  problem: ReductionProblem,
  choice: ChoiceOf<ReductionForm>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  switch (choice.form) {
    case 'rows':
      return [context.kernel(reductionKernel(problem, rowLayout(choice), context))];
    case 'columns':
      return [context.kernel(reductionKernel(problem, columnLayout(choice), context))];
    case 'split':
      return scheduleSplit(problem, choice, context);
  }
}

/** A reduction over nothing is its identity. */
export function emptyReduction(node: ReductionNode): ComputeNode {
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

export interface ReductionProblem {
  readonly kind: 'reduction';
  readonly node: ReductionNode;
  /** Arithmetic type of the body. */
  readonly dtype: Arithmetic;
  readonly outputs: readonly AxisGroup[];
  readonly reduced: readonly AxisGroup[];
  /** Of results. */
  readonly count: number;
  /** Elements that each result is reduced from. */
  readonly length: number;
  readonly direction: Direction;
}

export function reductionProblem(node: ReductionNode, context: ScheduleContext): ReductionProblem {
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
    kind: 'reduction',
    node,
    dtype: scalarType(node.body),
    outputs,
    reduced,
    count: elementCount(node.result),
    length: node.reduce.extents.reduce((product, extent) => product * extent, 1),
    direction: directionOf(node, extents, outputs, reduced, context),
  };
}

/** Whether rows of the reduced axes are what it reads in order. */
export function readsRows(node: ReductionNode, context: ScheduleContext): boolean {
  return reductionProblem(node, context).direction === 'rows';
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
  readonly axes: AccumulatorAxes;
}

function reductionKernel(
  { node, dtype, outputs, reduced }: ReductionProblem,
  { threads, axes }: Layout,
  context: ScheduleContext,
) {
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

function columnLayout({ threadColumns, results }: ChoiceOf<'columns'>): Layout {
  const axes = [spread(threadColumns * results, 'threads', results)] as const;
  return { threads: { rows: 1, columns: threadColumns }, axes };
}

function rowLayout({ threadRows, threadColumns, results, vector, vectors }: ChoiceOf<'rows'>): Layout {
  const block = Math.min(4, results);
  const rows = spread(threadRows * results, threadRows === 1 ? 'whole' : 'rows', block);
  const isAlone = threadColumns === 1;
  const columns = isAlone
    ? spread(vector * vectors, 'whole', vector)
    : spread(threadColumns * vector * vectors, 'columns', vector);
  return { threads: { rows: threadRows, columns: threadColumns }, axes: [rows, columns] };
}
