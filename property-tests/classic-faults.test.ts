/**
 * The faults that are made again and again in such programs, each planted in a copy of the standard library: a
 * property beside it finds it, and says so in few lines.
 */
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Checked, checkFile } from '../driver/compile.ts';
import { standardLibrary } from '../driver/module-loader.ts';
import { judgeOf } from './engine/judge.ts';
import type { Counterexample, PropertyReport } from './engine/report.ts';
import { runProperty } from './engine/run-property.ts';

interface Fault {
  readonly name: string;
  readonly module: string;
  /** Stands in the module once. */
  readonly before: string;
  readonly after: string;
  readonly foundBy: string;
}

const faults: readonly Fault[] = [
  {
    name: 'a missing rescale in the online softmax',
    module: 'flash',
    before: 'acc.value[s, (g, r), a] * keep[s, (g, r)] +',
    after: 'acc.value[s, (g, r), a] +',
    foundBy: 'blocks_merge_to_attention',
  },
  {
    name: 'a dropped last key',
    module: 'flash',
    before: '= if visible[s, u] then exp(',
    after: '= if visible[s, u] and u + 1 < U then exp(',
    foundBy: 'blocks_merge_to_attention',
  },
  {
    name: 'a causal mask that is off by one',
    module: 'attention',
    before: 'v[:, g], for u: u <= s)',
    after: 'v[:, g], for u: u < s)',
    foundBy: 'windows_of_all_and_of_one',
  },
  {
    name: 'ties of top-k by the wrong side',
    module: 'router',
    before: `let (best, pick) = top_k[K](logits)
  (softmax(best), pick)`,
    after: `let (all, order) = sort(logits)
  (softmax(for k < K: all[E - 1 - k]), for k < K: order[E - 1 - k])`,
    foundBy: 'top_k_softmax_is_a_softmax_of_the_best',
  },
  {
    name: 'a doubled all_reduce',
    module: 'dispatch',
    before: '(all_reduce(for (s, t): y[s, t], tp), for s:',
    after: `let sums = all_reduce(for (s, t): y[s, t], tp)
  (per_device tp (sums) { all_reduce(sums, tp) }, for s:`,
    foundBy: 'each_group_has_its_own_slots',
  },
  {
    name: 'a shard that is read twice',
    module: 'sequence',
    before: 'from acc = flash.start(q) at j {',
    after: 'from acc = flash.step(flash.start(q), q, k, v, from: me(sp), at: me(sp)) at j {',
    foundBy: 'a_ring_is_attention',
  },
  {
    name: 'a router that is not normalised',
    module: 'router',
    before: `let (best, pick) = top_k[K](logits)
  (softmax(best), pick)`,
    after: 'softmax_top_k[K](logits)',
    foundBy: 'top_k_softmax_is_a_softmax_of_the_best',
  },
  {
    name: 'another order of experts after the exchange',
    module: 'dispatch',
    before: `let y[s] = collect(back[s], for t: weight[(s, t)], chosen_by[s])
  (for (s, t): y[s, t],`,
    after: `let order[s] = for (e < E / ep, p < ep): back[s, (p, e)]
  let y[s] = collect(order[s], for t: weight[(s, t)], chosen_by[s])
  (for (s, t): y[s, t],`,
    foundBy: 'without_drops_it_is_the_mixture',
  },
  {
    name: 'a sum in bf16',
    module: 'linear',
    before: '= for o: sum d: x[d] * weight[o, d]\n',
    after: `=
  for o: fold d < D from total = 0.0: {
    let next: bf16 = total + x[d] * weight[o, d]
    f32(next)
  }
`,
    foundBy: 'long_rows_are_summed_in_f32',
  },
  {
    name: 'padding that leaks',
    module: 'dispatch',
    before: 'if used[e, c] == 1 then x[token[e, c], d] else 0',
    after: 'f32(x[token[e, c], d])',
    foundBy: 'what_is_sent_was_chosen',
  },
];

const folder = mkdtempSync(join(tmpdir(), 'ricci-faults-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** The library with a fault, whose modules import each other; its place. */
function libraryWith({ name, module, before, after }: Fault): string {
  const copy = join(folder, name.replaceAll(' ', '-'));
  cpSync(standardLibrary, copy, { recursive: true });
  for (const file of readdirSync(copy).filter((each) => each.endsWith('.ricci'))) {
    const text = readFileSync(join(copy, file), 'utf8');
    writeFileSync(join(copy, file), text.replaceAll(/^import (\w+)$/gm, 'import "./$1.ricci"'));
  }
  const path = join(copy, `${module}.ricci`);
  const parts = readFileSync(path, 'utf8').split(before);
  expect(parts, `the text that the fault changes stands in ${module} once`).toHaveLength(2);
  writeFileSync(path, parts.join(after));
  return path;
}

function checkedAt(path: string): Checked {
  const outcome = checkFile(path);
  if (outcome.kind === 'checked') return outcome;
  throw new Error(outcome.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

function tested(checked: Checked, name: string, runs: number): Promise<PropertyReport> {
  const property = checked.program.properties.get(name)!;
  return runProperty(judgeOf(checked, property, undefined), {
    ...{ runs, seed: 1, path: undefined, exhaust: 64, targets: ['reference'], onCase: () => {} },
  });
}

/** What is shown of it: its sizes, and a line for each tensor. */
function linesOf({ case: { values } }: Counterexample): number {
  return 1 + values.size;
}

const mostLines = 12;

describe.each(faults)('$name', (fault) => {
  test('is found, and shown in few lines', async () => {
    const { outcome } = await tested(checkedAt(libraryWith(fault)), fault.foundBy, 100);
    expect(outcome.kind).toBe('failed');
    if (outcome.kind !== 'failed') return;
    // A check is false: it is not that the program stops.
    expect(outcome.counterexample.check).toBeDefined();
    expect(linesOf(outcome.counterexample)).toBeLessThanOrEqual(mostLines);
  });
});
