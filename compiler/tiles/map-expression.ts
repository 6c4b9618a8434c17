/** Expressions of tile programs with other leaves. */
import { operandsOf, type TileExpression } from './tile-expression.ts';
import type { Box, TileStatement } from './tile-program.ts';

/**
 * `rewrite` gets each distinct subexpression with its operands already rewritten, and gives what stands in its
 * place. What is shared stays shared, between all expressions that one mapper is used on.
 */
export function expressionMapper(
  rewrite: (expression: TileExpression) => TileExpression,
): (expression: TileExpression) => TileExpression {
  const known = new Map<TileExpression, TileExpression>();
  const map = (expression: TileExpression): TileExpression => {
    const before = known.get(expression);
    if (before !== undefined) return before;
    const found = rewrite(withOperands(expression, operandsOf(expression).map(map)));
    known.set(expression, found);
    return found;
  };
  return map;
}

function withOperands(expression: TileExpression, operands: readonly TileExpression[]): TileExpression {
  switch (expression.op) {
    case 'apply':
      return { ...expression, operands };
    case 'convert':
    case 'round':
      return { ...expression, operand: operands[0]! };
    case 'element':
      return { ...expression, subscripts: operands };
    case 'load':
      return { ...expression, offset: operands[0]! };
    case 'constant':
    case 'grid':
    case 'variable':
    case 'coordinate':
    case 'counter':
    case 'device':
      return expression;
  }
}

/** Statements with their expressions, and the names of tiles and loops, changed. */
export function mapStatement(
  statement: TileStatement,
  map: (expression: TileExpression) => TileExpression,
  name: (old: string) => string,
): TileStatement {
  const inside = (body: readonly TileStatement[]) => body.map((each) => mapStatement(each, map, name));
  switch (statement.kind) {
    case 'define': {
      const { tile, value, box } = statement;
      return {
        ...{ ...statement, tile: { ...tile, name: name(tile.name) }, value: map(value) },
        ...(box && { box: boxWith(box, map) }),
      };
    }
    case 'update':
      return {
        ...{ ...statement, tile: name(statement.tile), value: map(statement.value) },
        ...(statement.isNeeded && { isNeeded: map(statement.isNeeded) }),
      };
    case 'multiplyAccumulate': {
      const { into, left, right } = statement;
      return { ...statement, into: name(into), left: name(left), right: name(right) };
    }
    case 'reduce':
      return { ...statement, from: statement.from.map(name), into: statement.into.map(name) };
    case 'scan': {
      const { from, into, total } = statement;
      return { ...statement, from: name(from), into: name(into), total: name(total) };
    }
    case 'loop': {
      const { variable, from, to, body } = statement;
      return { ...statement, variable: name(variable), from: map(from), to: map(to), body: inside(body) };
    }
    case 'pipeline': {
      const { variable, from, to, feeds, body, first, last } = statement;
      const fed = feeds.map(({ tile, value, box, ...feed }) => ({
        ...feed,
        tile: { ...tile, name: name(tile.name) },
        value: map(value),
        ...(box && { box: boxWith(box, map) }),
      }));
      return {
        ...{ ...statement, variable: name(variable), from: map(from), to: map(to) },
        ...{ feeds: fed, body: inside(body) },
        ...(first && { first: inside(first) }),
        ...(last && { last: inside(last) }),
      };
    }
    case 'when':
      return { ...statement, condition: map(statement.condition), body: inside(statement.body) };
    case 'store': {
      const { offset, value, mask, box } = statement;
      const stored = { ...statement, offset: map(offset), value: map(value), mask: mask && map(mask) };
      return { ...stored, ...(box && { box: boxWith(box, map) }) };
    }
  }
}

function boxWith(box: Box, map: (expression: TileExpression) => TileExpression): Box {
  return { ...box, starts: box.starts.map(map) };
}
