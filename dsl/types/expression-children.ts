/** The parts of an expression, for walks that treat most kinds alike. */
import type { Expression, ExpressionKind } from '../syntax/tree.ts';

type Node<K extends ExpressionKind> = Extract<Expression, { kind: K }>;

const table: { readonly [K in ExpressionKind]: (expression: Node<K>) => readonly Expression[] } = {
  number: () => [],
  boolean: () => [],
  name: () => [],
  unary: ({ operand }) => [operand],
  binary: ({ left, right }) => [left, right],
  field: ({ base }) => [base],
  subscript: ({ base, subscripts }) => [
    base,
    ...subscripts.flatMap((subscript) => (subscript.kind === 'at' ? [subscript.value] : [])),
  ],
  call: (call) => [
    call.callee,
    ...call.arguments.flatMap((argument) => (argument.kind === 'value' ? [argument.value] : [])),
  ],
  tuple: ({ elements }) => elements,
  comprehension: ({ body }) => [body],
  reduction: ({ body }) => [body],
  if: ({ condition, then, otherwise }) => [condition, then, otherwise],
  block: ({ bindings, result }) => [...bindings.map(({ value }) => value), result],
  loop: ({ items, initial, body }) => [...(items.kind === 'rows' ? [items.sequence] : []), initial, body],
  reshard: ({ value }) => [value],
  perDevice: ({ body }) => [body],
  ring: ({ initial, body }) => [initial, body],
  error: () => [],
};

export function childExpressions(expression: Expression): readonly Expression[] {
  return (table[expression.kind] as (node: Expression) => readonly Expression[])(expression);
}

/** How deep the expression nests, 1 for a leaf; found without recursion, so for any tree. */
export function depthOf(expression: Expression): number {
  let deepest = 0;
  const pending: { expression: Expression; depth: number }[] = [{ expression, depth: 1 }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    deepest = Math.max(deepest, next.depth);
    const depth = next.depth + 1;
    for (const child of childExpressions(next.expression)) pending.push({ expression: child, depth });
  }
  return deepest;
}
