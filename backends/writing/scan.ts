/** What an invocation does in a scan of runs that follow each other, in whatever writer. */

export interface Shared<V> {
  /** What the invocations before this one have of a run, together. */
  readonly before: V;
  /** What all have of it. */
  readonly total: V;
}

/**
 * @param runs what the invocation has of each run, in order
 * @param share what it learns of each run from what it has of it; undefined where it has all by itself
 */
export function scanRuns<V>(
  runs: readonly (readonly V[])[],
  merge: (left: V, right: V) => V,
  share: (owns: readonly V[]) => readonly Shared<V>[] | undefined,
): { readonly values: readonly V[]; readonly total: V } {
  const scanned = runs.map((run) => inclusive(run, merge));
  const owns = scanned.map((run) => run.at(-1)!);
  const shared = share(owns);
  const values: V[] = [];
  let soFar: V | undefined;
  const after = (next: V): V => (soFar === undefined ? next : merge(soFar, next));
  for (const [at, run] of scanned.entries()) {
    const own = shared?.[at];
    const before = own === undefined ? soFar : after(own.before);
    values.push(...(before === undefined ? run : run.map((value) => merge(before, value))));
    soFar = after(own === undefined ? owns[at]! : own.total);
  }
  return { values, total: soFar! };
}

function inclusive<V>(run: readonly V[], merge: (left: V, right: V) => V): readonly V[] {
  const found: V[] = [];
  for (const value of run) {
    const last = found.at(-1);
    found.push(last === undefined ? value : merge(last, value));
  }
  return found;
}
