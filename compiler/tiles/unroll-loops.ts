/**
 * Loops that only read memory and take up what they read: several turns are written out together, so that
 * their reads are under way at the same time. Assemblers for GPUs do not do that by themselves (`ptxas` 13),
 * and with one read of each invocation at a time memory waits for invocations.
 */
import { dtypeFacts } from '../../dsl/types/dtype.ts';
import type { DeviceProfile } from './device-profile.ts';
import { expressionMapper, mapStatement } from './map-expression.ts';
import type { ScheduledStep } from './scheduled.ts';
import { loop, sharersOf, tileNamed } from './tile-builder.ts';
import {
  constant,
  type Load,
  loadsIn,
  subexpressionsOf,
  sum,
  type TileExpression,
} from './tile-expression.ts';
import type { StatementOf, TileProgram, TileStatement } from './tile-program.ts';

type Loop = StatementOf<'loop'>;

/** Turns that are written out together at most, if there are so many. */
const turns = [4, 2];
/** Words that an invocation may have under way. */
const mostWords = 96;

export function unrollLoops(
  steps: readonly ScheduledStep[],
  { keptElements }: DeviceProfile,
): readonly ScheduledStep[] {
  if (keptElements === undefined) return steps;
  return steps.map((step) =>
    step.kind === 'kernel'
      ? { ...step, program: { ...step.program, body: unrolled(step.program.body, step.program) } }
      : step,
  );
}

function unrolled(body: readonly TileStatement[], program: TileProgram): readonly TileStatement[] {
  return body.flatMap((statement): readonly TileStatement[] => {
    if (statement.kind === 'when') return [{ ...statement, body: unrolled(statement.body, program) }];
    if (statement.kind !== 'loop') return [statement];
    const together = turnsTogether(statement, program);
    return together === 1
      ? [{ ...statement, body: unrolled(statement.body, program) }]
      : inTurns(statement, together);
  });
}

/** How many turns of a loop; 1 where it does something else, or how often it turns is known in a run only. */
function turnsTogether({ from, to, step, body }: Loop, program: TileProgram): number {
  if (from.op !== 'constant' || to.op !== 'constant') return 1;
  let words = 0;
  for (const statement of body) {
    const tile = statement.kind === 'update' ? tileNamed(program, statement.tile) : undefined;
    if (statement.kind !== 'update' || tile?.space !== 'register') return 1;
    const fragment = tile.axes.map(({ extent, over }) => extent / sharersOf(over, program.threads));
    for (const load of loadsIn(statement.value)) words += wordsOf(load, fragment);
  }
  const count = Math.ceil((to.value - from.value) / step);
  return words === 0 ? 1 : (turns.find((each) => each <= count && each * words <= mostWords) ?? 1);
}

/** Those that are read together, then the rest one by one. */
function inTurns(statement: Loop, together: number): readonly TileStatement[] {
  const { variable, step, body } = statement;
  const [from, to] = [statement.from, statement.to].map((bound) =>
    bound.op === 'constant' ? bound.value : 0,
  ) as [number, number];
  const whole = from + Math.floor((to - from) / step / together) * together * step;
  const bounds = (first: number, end: number, by: number) => ({
    ...{ from: constant(first), to: constant(end), step: by, multipleOf: first % by === 0 ? by : 1 },
    range: { low: first, high: first + Math.floor((end - first - 1) / by) * by },
  });
  const at = (place: TileExpression) => {
    const map = expressionMapper((each) => (each.op === 'variable' && each.name === variable ? place : each));
    return body.map((each) => mapStatement(each, map, (name) => name));
  };
  const many = loop(variable, bounds(from, whole, together * step), (first) =>
    Array.from({ length: together }, (_, turn) => at(sum(first, constant(turn * step)))).flat(),
  );
  return whole >= to ? [many] : [many, loop(`${variable}_rest`, bounds(whole, to, step), at)];
}

/** What an invocation reads of it: along the axes with which its place varies. */
function wordsOf({ offset, dtype }: Load, fragment: readonly number[]): number {
  const along = fragment.filter((_, axis) => variesAlong(offset, axis));
  const elements = along.reduce((total, extent) => total * extent, 1);
  return Math.max(1, (elements * dtypeFacts[dtype].bits) / 32);
}

function variesAlong(expression: TileExpression, axis: number): boolean {
  return [...subexpressionsOf(expression)].some((each) => each.op === 'coordinate' && each.axis === axis);
}
