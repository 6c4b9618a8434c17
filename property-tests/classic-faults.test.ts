/**
 * The faults that are made again and again in such programs, each planted in a copy of the standard library: a
 * property beside it finds it, and the counterexample is a short file, which fails by itself until the fault is
 * taken out.
 */
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Checked, checkFile } from '../driver/check.ts';
import { standardLibrary } from '../driver/module-loader.ts';
import { counterexampleFile } from './engine/counterexample-file.ts';
import { judgeOf } from './engine/judge.ts';
import type { PropertyReport } from './engine/report.ts';
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
    foundBy: 'cut_experts_are_whole_ones',
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

interface Copy {
  /** Of the module in it that is to have the fault. */
  readonly path: string;
  readonly whole: string;
  readonly faulty: string;
}

/** A copy of the library, whose modules import each other. */
function copyFor({ name, module, before, after }: Fault): Copy {
  const copy = join(folder, name.replaceAll(' ', '-'));
  cpSync(standardLibrary, copy, { recursive: true });
  for (const file of readdirSync(copy).filter((each) => each.endsWith('.ricci'))) {
    const text = readFileSync(join(copy, file), 'utf8');
    writeFileSync(join(copy, file), text.replaceAll(/^import (\w+)$/gm, 'import "./$1.ricci"'));
  }
  const path = join(copy, `${module}.ricci`);
  const whole = readFileSync(path, 'utf8');
  const parts = whole.split(before);
  expect(parts, `the text that the fault changes stands in ${module} once`).toHaveLength(2);
  return { path, whole, faulty: parts.join(after) };
}

function checkedAt(path: string): Checked {
  const outcome = checkFile(path);
  if (outcome.kind === 'checked') return outcome;
  throw new Error(outcome.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

function tested(checked: Checked, name: string, runs: number): Promise<PropertyReport> {
  const property = checked.program.properties.get(name)!;
  return runProperty(judgeOf(checked, property, {}), {
    ...{ runs, seed: 1, path: undefined, exhaust: 64, targets: ['reference'], onCase: () => {} },
  });
}

/** All lines but the comment, which says where the file is from. */
function linesOf(text: string): number {
  const lines = text.trimEnd().split('\n');
  return lines.filter((line) => !line.startsWith('///')).length;
}

const mostLines = 12;

describe.each(faults)('$name', (fault) => {
  test('is found, and what is found is a file of few lines that fails until the fault is taken out', async () => {
    const { path, whole, faulty } = copyFor(fault);
    writeFileSync(path, faulty);
    const checked = checkedAt(path);
    const { outcome } = await tested(checked, fault.foundBy, 100);
    expect(outcome.kind).toBe('failed');
    if (outcome.kind !== 'failed') return;
    const { counterexample } = outcome;
    // A check is false: it is not that the program stops.
    expect(counterexample.check).toBeDefined();

    const property = checked.program.properties.get(fault.foundBy)!;
    const replay = `ricci test ${fault.module}.ricci --seed ${counterexample.seed} --path ${counterexample.path}`;
    const failure = { file: path, checked, property, outcome: outcome.kind, counterexample, replay };
    const beside = join(path, '../counterexamples');
    const text = await counterexampleFile(failure, beside, {});
    if (text === undefined) throw new Error('it cannot be written');
    expect(text).toContain(`/// ${replay}\n`);
    expect(linesOf(text)).toBeLessThanOrEqual(mostLines);

    mkdirSync(beside);
    const file = join(beside, `${fault.foundBy}.ricci`);
    writeFileSync(file, text);
    const alone = await tested(checkedAt(file), fault.foundBy, 100);
    expect(alone).toMatchObject({ outcome: { kind: 'failed' }, coverage: { exhausted: 'cases' } });
    writeFileSync(path, whole);
    const mended = await tested(checkedAt(file), fault.foundBy, 100);
    expect(mended).toMatchObject({ outcome: { kind: 'passed' }, coverage: { exhausted: 'cases' } });
  });
});
