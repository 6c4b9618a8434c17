/** The mesh axes over which a program places something itself. */
import type { PropertyInfo, TypedProgram } from '../../dsl/types/typed.ts';

/** Those of types and collectives, anywhere in the program and the property; not those only declared. */
export function placedAxes(
  { functions, axes }: TypedProgram,
  property: Pick<PropertyInfo, 'function'>,
): ReadonlySet<string> {
  const placed = new Set<string>();
  if (axes.length === 0) return placed;
  const seen = new Set<unknown>();
  const pending: unknown[] = [property.function, ...functions.values()];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== 'object' || next === null || seen.has(next)) continue;
    seen.add(next);
    for (const [key, value] of Object.entries(next)) {
      if (key === 'axis' && typeof value === 'string') placed.add(value);
      else if (key === 'axes' && Array.isArray(value)) for (const axis of value) placed.add(axis);
      else if (value !== undefined) pending.push(value);
    }
  }
  return placed;
}
