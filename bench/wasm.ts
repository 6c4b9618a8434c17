/**
 * The workloads of `main.ts` in WebAssembly, on one thread and on all cores: `npm run bench:wasm -- [CASE…]
 * [--tuned] [--json]`, with `--tuned` by what `ricci tune` kept of this processor. `RESULTS.md` records what
 * it printed.
 */
import { availableParallelism, cpus } from 'node:os';
import { compileWasm } from '../driver/compile.ts';
import { knownFrom } from '../driver/tuning/cache.ts';
import { processorIdentity } from '../driver/tuning/identity.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import { type Case, namedCases } from './cases.ts';
import { prepare } from './prepare.ts';
import { medianTime } from './timing.ts';

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');
const tuning = process.argv.includes('--tuned') ? 'auto' : 'none';
const known = knownFrom(tuning, processorIdentity(), (line) => console.error(line));

interface Measured {
  readonly case: string;
  readonly threads: number;
  /** From tile programs to a module in memory that V8 has compiled. */
  readonly loadMilliseconds: number;
  readonly milliseconds: number;
  readonly bestMilliseconds: number;
  /** That the process kept cores busy. */
  readonly processorMilliseconds: number;
  /** Of the best. */
  readonly gflops: number;
  readonly error: number;
}

const widths = [14, 8, 8, 9, 9, 9, 9, 8];
const titles = ['case', 'threads', 'load ms', 'ms', 'best ms', 'cpu ms', 'GFLOP/s', 'error'];

console.error(`${cpus()[0]?.model ?? 'unknown processor'}, ${availableParallelism()} cores`);
if (!json) console.log(lineOf(titles));
for (const each of namedCases(names.length === 0 ? ['usual', 'weights'] : names))
  for (const threads of new Set([1, availableParallelism()])) {
    const measured = await measure(each, threads);
    console.log(json ? JSON.stringify(measured) : lineOf(textsOf(measured)));
  }

function lineOf(texts: readonly string[]): string {
  return texts.map((text, at) => text.padStart(widths[at]!)).join(' ');
}

function textsOf(measured: Measured): readonly string[] {
  const { loadMilliseconds, milliseconds, bestMilliseconds, processorMilliseconds, gflops, error } = measured;
  const times = [milliseconds, bestMilliseconds, processorMilliseconds].map((time) => time.toFixed(2));
  return [
    measured.case,
    String(measured.threads),
    loadMilliseconds.toFixed(0),
    ...times,
    gflops.toFixed(1),
    error.toExponential(0),
  ];
}

async function measure(each: Case, threads: number): Promise<Measured> {
  const { instance, lowered, inputs, error } = prepare(each);
  const start = performance.now();
  const loaded = await loadWasm(compileWasm(lowered, { ...instance, ...known }, wasmDeviceHere()).package, {
    threads,
  });
  const loadMilliseconds = performance.now() - start;
  const outputs = loaded.run(inputs);
  const time = await medianTime(async () => loaded.compute());
  loaded.destroy();
  return {
    ...{ case: each.name, threads, loadMilliseconds },
    milliseconds: time.seconds * 1000,
    bestMilliseconds: time.best * 1000,
    processorMilliseconds: time.processor * 1000,
    gflops: each.flops / time.best / 1e9,
    error: error(outputs),
  };
}
