/** Functions that call themselves, directly or through others. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Report } from './report.ts';
import type { FunctionInfo } from './typed.ts';

export type Calls = ReadonlyMap<string, ReadonlyMap<string, Span>>;

/** @returns whether there are none. */
export function reportRecursion(
  functions: ReadonlyMap<string, FunctionInfo>,
  calls: Calls,
  report: Report,
): boolean {
  const done = new Set<string>();
  let isAcyclic = true;
  for (const start of functions.keys())
    visit(start, calls, done, (circle, at) => {
      isAcyclic = false;
      const names = circle.map((id) => functions.get(id)?.name ?? id);
      report({
        code: 'E0210',
        message: circle.length === 2 ? `${names[0]} calls itself` : `${names[0]} calls itself through others`,
        at,
        label: 'this call closes the circle',
        notes: [names.join(' calls ')],
        help: ['a program is a finite graph: repeat with fold or scan'],
      });
    });
  return isAcyclic;
}

/** Depth first without recursion: chains of calls may be long. */
function visit(
  start: string,
  calls: Calls,
  done: Set<string>,
  found: (circle: readonly string[], at: Span) => void,
): void {
  if (done.has(start)) return;
  const path = [{ id: start, rest: [...(calls.get(start) ?? [])] }];
  for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
    const next = top.rest.shift();
    if (next === undefined) {
      done.add(top.id);
      path.pop();
      continue;
    }
    const [id, at] = next;
    const open = path.findIndex((step) => step.id === id);
    if (open >= 0) found([...path.slice(open).map((step) => step.id), id], at);
    else if (!done.has(id)) path.push({ id, rest: [...(calls.get(id) ?? [])] });
  }
}
