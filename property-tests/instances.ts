/**
 * Sizes to run an entry at: small, odd and empty ones, kept when they satisfy what the entry asks of them.
 */
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';

/** Zero, one, primes, powers of two, products. */
const pools: readonly (readonly number[])[] = [
  [5, 7, 3, 11, 2, 13],
  [8, 4, 12, 6, 16, 2],
  [1],
  [0, 3, 5, 2],
  [3, 0, 4],
  [17, 5, 9, 33],
];

/** At most one set of sizes a pool, each parameter taking its turn in the pool. */
export function instancesOf(program: TypedProgram, entry: string): readonly ReadonlyMap<string, number>[] {
  const names = program.entries.get(entry)?.sizes ?? [];
  const found = new Map<string, ReadonlyMap<string, number>>();
  for (const pool of pools) {
    const given = new Map(names.map((name, place) => [name, pool[place % pool.length] ?? 1]));
    for (const axis of program.axes) given.delete(axis);
    const solved = solveEntrySizes(program, entry, new Map(), given);
    if (solved.kind === 'sizes' && hasInputs(program, entry, solved.sizes))
      found.set(JSON.stringify([...solved.sizes]), solved.sizes);
  }
  return [...found.values()];
}

/** There is no index into a dimension of size 0: an entry that wants one cannot be run. */
export function hasInputs(program: TypedProgram, entry: string, sizes: ReadonlyMap<string, number>): boolean {
  return describeEntry(program, entry).inputs.every(
    ({ element, dims }) =>
      element.kind !== 'ix' ||
      evaluateSize(element.range, sizes) !== 0 ||
      dims.some((size) => evaluateSize(size, sizes) === 0),
  );
}
