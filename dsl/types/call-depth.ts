/** Bodies nest in the bodies that call them; later stages walk the whole, so the whole is bounded. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Calls } from './recursion.ts';
import type { Report } from './report.ts';

const totalLimit = 600;

/**
 * Reports the calls by which the nesting of a body and of all that it calls first passes the limit.
 * @param depths how deep each body nests by itself
 * @param calls without circles
 */
export function reportDeepCalls(depths: ReadonlyMap<string, number>, calls: Calls, report: Report): void {
  const totals = new Map<string, number>();
  for (const start of depths.keys()) {
    const pending = [start];
    for (let id = pending.at(-1); id !== undefined; id = pending.at(-1)) {
      const called = [...(calls.get(id) ?? [])];
      const unknown = called.filter(([callee]) => depths.has(callee) && !totals.has(callee));
      if (unknown.length > 0 && !totals.has(id)) {
        pending.push(...unknown.map(([callee]) => callee));
        continue;
      }
      pending.pop();
      if (!totals.has(id)) totals.set(id, total(id, called));
    }
  }

  function total(id: string, called: readonly (readonly [string, Span])[]): number {
    const own = depths.get(id) ?? 0;
    const deepest = called.reduce((depth, [callee]) => Math.max(depth, totals.get(callee) ?? 0), 0);
    const [at] = called.filter(([callee]) => totals.get(callee) === deepest).map(([, span]) => span);
    if (own + deepest > totalLimit && deepest <= totalLimit && at !== undefined) {
      report({
        code: 'E0212',
        message: `with what it calls, this is nested more than ${totalLimit} deep`,
        at,
        help: ['repeat with fold or scan, or merge functions that only call one another'],
      });
    }
    return own + deepest;
  }
}
