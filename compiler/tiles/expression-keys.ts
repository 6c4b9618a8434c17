/** Numbers for expressions of tile programs: the same for those that are alike. */
import { operandsOf, type TileExpression } from './tile-expression.ts';

export type ExpressionKey = (expression: TileExpression) => number;

export function expressionKeys(): ExpressionKey {
  const numbers = new Map<string, number>();
  const known = new Map<TileExpression, number>();
  const keyOf = (expression: TileExpression): number => {
    const before = known.get(expression);
    if (before !== undefined) return before;
    const text = `${headOf(expression)} ${operandsOf(expression).map(keyOf).join(' ')}`;
    const found = numbers.get(text) ?? numbers.size;
    numbers.set(text, found);
    known.set(expression, found);
    return found;
  };
  return keyOf;
}

/** All that an expression is but its operands. */
function headOf(expression: TileExpression): string {
  switch (expression.op) {
    case 'constant':
      return `constant ${expression.dtype} ${Object.is(expression.value, -0) ? '-0' : expression.value}`;
    case 'grid':
      return `grid ${expression.axis}`;
    case 'variable':
      return `variable ${expression.name}`;
    case 'coordinate':
      return `coordinate ${expression.axis} ${expression.extent}`;
    case 'counter':
      return `counter ${expression.loop}`;
    case 'device':
      return `device ${expression.axis}`;
    case 'element':
      return `element ${expression.tile}`;
    case 'load':
      return `load ${expression.tensor}`;
    case 'apply':
      return `apply ${expression.function} ${expression.dtype}`;
    case 'convert':
    case 'round':
      return `${expression.op} ${expression.dtype}`;
  }
}
