/** Applies a set of rules to an expression, from the leaves up, until none applies. */
import type { Scalar } from '../../graph/graph.ts';
import { operands, withOperands } from '../../graph/scalar.ts';
import { foldConstant } from '../rules/fold.ts';
import { applyRule } from '../rules/match.ts';
import type { Pattern, Rule, RuleContext } from '../rules/rule.ts';

/** Rewrites of one expression at its root before it is left as it is: ends rules that undo each other. */
const mostRewrites = 100;

export type Rewriter = (scalar: Scalar) => Scalar;

/** The rules by what they can match at the root. */
export interface RuleIndex {
  readonly byHead: ReadonlyMap<string, readonly Rule[]>;
  readonly everywhere: readonly Rule[];
}

export function indexRules(rules: readonly Rule[]): RuleIndex {
  const byHead = new Map<string, Rule[]>();
  const everywhere: Rule[] = [];
  for (const rule of rules) {
    const head = headOfPattern(rule.from);
    if (head === undefined) everywhere.push(rule);
    else byHead.set(head, [...(byHead.get(head) ?? []), rule]);
  }
  return { byHead, everywhere };
}

function headOfPattern(pattern: Pattern): string | undefined {
  switch (pattern.match) {
    case 'apply':
      return pattern.function;
    case 'convert':
    case 'round':
      return pattern.match;
    default:
      return undefined;
  }
}

function head(scalar: Scalar): string {
  return scalar.op === 'apply' ? scalar.function : scalar.op;
}

function rewriteRoot(scalar: Scalar, rules: RuleIndex, context: RuleContext): Scalar | undefined {
  const folded = foldConstant(scalar);
  if (folded !== undefined) return context.interner.intern(folded);
  for (const candidates of [rules.byHead.get(head(scalar)) ?? [], rules.everywhere])
    for (const rule of candidates) {
      const replaced = applyRule(rule, scalar, context);
      if (replaced === undefined) continue;
      const interned = context.interner.intern(replaced);
      if (interned !== scalar) return interned;
    }
  return undefined;
}

/** A rewriter that remembers what it did: give it all expressions of one node. Results are interned. */
export function createRewriter(rules: RuleIndex, context: RuleContext): Rewriter {
  const normal = new Map<Scalar, Scalar>();
  return (expression) => {
    const root = context.interner.intern(expression);
    /** Expressions under work, each waiting for those above it; `next`: what it was rewritten to. */
    const stack: { readonly scalar: Scalar; next: Scalar | undefined; readonly rewrites: number }[] = [
      { scalar: root, next: undefined, rewrites: 0 },
    ];
    while (stack.length > 0) {
      const task = stack.at(-1)!;
      const { scalar, rewrites } = task;
      if (task.next !== undefined) {
        normal.set(scalar, normal.get(task.next)!);
        stack.pop();
        continue;
      }
      if (normal.has(scalar)) {
        stack.pop();
        continue;
      }
      const waiting = operands(scalar).filter((operand) => !normal.has(operand));
      if (waiting.length > 0) {
        // New operands count on: rules that grow an expression for ever end too.
        for (const operand of waiting) stack.push({ scalar: operand, next: undefined, rewrites });
        continue;
      }
      const inner = operands(scalar).map((operand) => normal.get(operand)!);
      const rebuilt = context.interner.intern(withOperands(scalar, inner));
      const replaced = rewrites < mostRewrites ? rewriteRoot(rebuilt, rules, context) : undefined;
      if (replaced === undefined) {
        normal.set(rebuilt, rebuilt);
        normal.set(scalar, rebuilt);
        stack.pop();
        continue;
      }
      task.next = replaced;
      stack.push({ scalar: replaced, next: undefined, rewrites: rewrites + 1 });
    }
    return normal.get(root)!;
  };
}
