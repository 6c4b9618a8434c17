/**
 * Loads before barriers: what a kernel stores after reductions often needs more than they do, a scale of each
 * column. It is read before the first of them, so that it is under way while invocations wait for each other.
 */
import { allStatements, define, register } from '../tile-builder.ts';
import { arithmeticOf, type Load, operandsOf, type TileExpression } from '../tile-expression.ts';
import type { TileStatement } from '../tile-program.ts';

/** A body whose stores outside of loops find what they load in registers: as writers know it. */
export function loadingAhead(body: readonly TileStatement[]): readonly TileStatement[] {
  const first = body.findIndex(({ kind }) => kind === 'reduce');
  if (first < 0) return body;
  const written = new Set(
    allStatements(body).flatMap((each) => (each.kind === 'store' ? [each.tensor] : [])),
  );
  const ahead = body.slice(first).flatMap((statement) =>
    statement.kind === 'store'
      ? loadsOf(statement.value)
          .filter(({ tensor }) => !written.has(tensor))
          .map((load) => ({ load, axes: statement.axes }))
      : [],
  );
  const defined = ahead.map(({ load, axes }, at) =>
    define(register(`ahead${at}`, arithmeticOf(load), axes), load),
  );
  return [...body.slice(0, first), ...defined, ...body.slice(first)];
}

/** Those that need nothing that is computed before. */
function loadsOf(value: TileExpression): readonly Load[] {
  const found = new Set<Load>();
  /** Whether it is known from the beginning. */
  const visit = (expression: TileExpression): boolean => {
    const isKnown = operandsOf(expression).map(visit).every(Boolean) && expression.op !== 'element';
    if (expression.op === 'load' && isKnown) found.add(expression);
    return isKnown;
  };
  visit(value);
  return [...found];
}
