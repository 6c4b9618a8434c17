/**
 * Prefix reductions by rows of threads: each takes a run of neighbours of its row at a time, as many as its
 * threads have registers for, and scans them together; what came before them is combined with each.
 */
import type { ChoiceOf } from '../choices/choice.ts';
import { combine, identityOf } from '../combiners.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { define, loop, register, scan, spread, store, update } from '../tile-builder.ts';
import {
  arithmeticOfDtype,
  below,
  both,
  constant,
  constantValue,
  coordinate,
  element,
  grid,
  load,
  masked,
  product,
  sum,
  type TileExpression,
} from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';
import type { ScheduleContext } from './context.ts';
import { gridOfRuns, type PrefixProblem, runCount, runOf } from './prefix-problem.ts';

export function schedulePrefixScan(
  problem: PrefixProblem,
  { threadRows, threadColumns, vectors, vector }: ChoiceOf<'scan'>,
  context: ScheduleContext,
): readonly ScheduledStep[] {
  const { node } = problem;
  const { result, combiner } = node;
  const source = context.tensors(node.source);
  const { grid: extents, ...ofGrid } = gridOfRuns(problem, threadRows);
  const across = threadColumns * vector;
  const together = vectors * across;
  const [ofRows, ofVectors] = [spread(threadRows, 'rows'), spread(vectors, 'whole')];
  const axes = [ofRows, ofVectors, spread(across, 'columns', vector)];
  const run = sum(product(grid(0, extents[0]), constant(threadRows)), coordinate(0, threadRows));
  const isRun = below(run, constant(runCount(problem)));
  const { offset, extent, end, isReal, hasRoom, start } = runOf(problem, run);
  const dtype = arithmeticOfDtype(result.dtype);
  const identity = identityOf(combiner, dtype);
  const own = [coordinate(0, threadRows), coordinate(1, vectors), coordinate(2, across)] as const;
  const before = element('before', dtype, [own[0]]);
  const step = (from: TileExpression): readonly TileStatement[] => {
    const along = sum(from, product(own[1], constant(across)), own[2]);
    const place = sum(offset, along);
    const next = load(source.id, source.dtype, place);
    return [
      define(register('next', dtype, axes), masked(both(isRun, isReal(along)), next, identity)),
      scan(combiner, 'next', 'scanned', 'total'),
      store(
        result,
        axes,
        place,
        combine(combiner, before, element('scanned', dtype, own), dtype),
        both(isRun, hasRoom(along)),
      ),
      update('before', combine(combiner, before, element('total', dtype, [own[0]]), dtype)),
    ];
  };
  const isOne = extent <= together && constantValue(end) !== undefined;
  const last = Math.ceil(extent / together) - 1;
  const range = { low: 0, high: last * together };
  const bounds = { from: constant(0), to: end, step: together, range, multipleOf: together };
  return [
    context.kernel({
      name: `scan_${result.name}`,
      grid: extents,
      ...ofGrid,
      threads: { rows: threadRows, columns: threadColumns },
      body: [
        define(register('before', dtype, [ofRows]), masked(isRun, start, identity)),
        ...(isOne ? step(constant(0)).slice(0, -1) : [loop('from', bounds, step)]),
      ],
    }),
  ];
}
