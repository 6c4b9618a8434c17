/** What names of sizes, axes and records stand for inside a function's body. */
import type { Context } from './context.ts';
import type { Size } from './size.ts';
import type { TypeScope } from './type-expressions.ts';

export function typeScope(context: Context): TypeScope {
  const sizes = new Map<string, Size>();
  for (const [name, entry] of context.scope) if (entry.kind === 'size') sizes.set(name, entry.size);
  const { module, report, facts, signature } = context;
  return { module, report, facts, sizes, axes: signature.axes, declaration: signature.declaration };
}
