/**
 * Prefix reductions along rows. Short rows of which there are many are walked along by an invocation each;
 * others are scanned by rows of threads (`scanned-prefix.ts`). Either reads and writes an element once.
 *
 * Long rows of which there are few are cut into pieces, for the whole device to take part: reduce, then scan.
 * All pieces but the last are reduced, the results scanned (as a node like any other, cut again if they are
 * many), and each piece is walked along or scanned, beginning with what is before it. Elements are read twice
 * and written once, by three kernels. It is what can be had without a promise that workgroups which others
 * wait for run at all, which WebGPU does not give, and by which one kernel would read them once (Merrill and
 * Garland, "Single-pass Parallel Prefix Scan with Decoupled Look-back", 2016).
 */
import { extentScalar } from '../../graph/extent.ts';
import type { ComputeNode, PrefixNode, Tensor } from '../../graph/graph.ts';
import { apply, constant as fixed, integer, iterator, load as loaded } from '../../graph/scalar.ts';
import type { ChoiceOf } from '../choices/choice.ts';
import { combine, identityOf, identityValue } from '../combiners.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, loop, register, spread, store, update } from '../tile-builder.ts';
import {
  arithmeticOfDtype,
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
} from '../tile-expression.ts';
import type { ScheduleContext } from './context.ts';
import { sharesWords, widened } from './narrow-result.ts';
import { gridOfRuns, type PrefixForm, type PrefixProblem, runCount, runOf } from './prefix-problem.ts';
import { schedulePrefixScan } from './scanned-prefix.ts';

export function schedulePrefix(
  problem: PrefixProblem,
  choice: ChoiceOf<PrefixForm>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  switch (choice.form) {
    case 'walk':
      return walkRuns(problem, choice, context);
    case 'scan':
      return schedulePrefixScan(problem, choice, context);
    case 'pieces':
      return inPieces(problem, choice, context);
  }
}

// ── by an invocation ───────────────────────────────────────────────────────────────────────────────────────

function walkRuns(
  problem: PrefixProblem,
  { threadColumns }: ChoiceOf<'walk'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node } = problem;
  const { result, combiner } = node;
  if (sharesWords(result))
    return widened(result, context, (wide) =>
      walkRuns({ ...problem, node: { ...node, result: wide } }, { form: 'walk', threadColumns }, context),
    );
  const source = context.tensors(node.source);
  const axis = spread(threadColumns, 'threads');
  const { grid: extents, ...ofGrid } = gridOfRuns(problem, threadColumns);
  const place = coordinate(0, threadColumns);
  const at = sum(product(grid(0, extents[0]), constant(threadColumns)), place);
  const isRun = below(at, constant(runCount(problem)));
  const { offset, extent, end, isReal, hasRoom, start } = runOf(problem, at);
  const dtype = arithmeticOfDtype(result.dtype);
  const identity = identityOf(combiner, dtype);
  const soFar = element('so_far', dtype, [place]);
  return [
    context.kernel({
      name: `prefix_${result.name}`,
      grid: extents,
      ...ofGrid,
      threads: { rows: 1, columns: threadColumns },
      body: [
        define(register('so_far', dtype, [axis]), masked(isRun, start, identity)),
        loop('i', { from: constant(0), to: end, step: 1, range: { low: 0, high: extent - 1 } }, (along) => {
          const which = sum(offset, along);
          const next = load(source.id, source.dtype, which);
          return [
            update('so_far', combine(combiner, soFar, masked(isReal(along), next, identity), dtype)),
            store(result, [axis], which, soFar, both(isRun, hasRoom(along))),
          ];
        }),
      ],
    }),
  ];
}

// ── in pieces ──────────────────────────────────────────────────────────────────────────────────────────────

function inPieces(
  problem: PrefixProblem,
  { chunk }: ChoiceOf<'pieces'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node, length } = problem;
  const count = Math.ceil(length / chunk);
  const { name, shape, ends } = node.result;
  const outer = shape.slice(0, -1);
  const type = {
    dtype: arithmeticOfDtype(node.result.dtype),
    shape: [...outer, count - 1],
    ...(ends && { ends: outer.map((_, axis) => ends[axis]) }),
  };
  const totals = context.temporary(`${name}_totals`, type);
  const starts = context.temporary(`${name}_starts`, type);
  return [
    ...context.node(totalsOf(node, totals, chunk, context)),
    ...context.node({ ...node, source: totals.id, result: starts }),
    ...context.problem({ ...problem, pieces: { chunk, count, starts } }),
  ];
}

/** What each piece but the last comes to. */
function totalsOf(node: PrefixNode, totals: Tensor, chunk: number, context: ScheduleContext): ComputeNode {
  const source = context.tensors(node.source);
  const rank = source.shape.length;
  const row = Array.from({ length: rank - 1 }, (_, axis) => iterator(axis));
  const place = apply('add', apply('mul', iterator(rank - 1), integer(chunk)), iterator(rank));
  const value = loaded(source, [...row, place]);
  const { dtype } = totals;
  const end = node.result.ends?.at(-1);
  const identity = fixed(arithmeticOfDtype(dtype), identityValue(node.combiner, arithmeticOfDtype(dtype)));
  return {
    kind: 'compute',
    result: totals,
    body: end === undefined ? value : apply('select', apply('lt', place, extentScalar(end)), value, identity),
    reduce: { combiner: node.combiner, extents: [chunk], finish: undefined },
    grouped: undefined,
  };
}
