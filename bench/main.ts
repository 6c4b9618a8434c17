/**
 * The benchmark: milliseconds, GFLOP/s and the fraction of the adapter's own ceilings for a few workloads,
 * each checked against the reference evaluator in the same run; then how long the compiler takes. `npm run
 * bench -- [CASE… | usual | shapes | weights | compile] [--tuned] [--json]`, with `--tuned` by what
 * `ricci tune` kept of this device. `RESULTS.md` records what it printed.
 */
import { expandSteps } from '../compiler/plan/expand.ts';
import { compileFor } from '../driver/compile.ts';
import { knownFrom } from '../driver/tuning/cache.ts';
import { adapterIdentity } from '../driver/tuning/identity.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { type Case, namedCases } from './cases.ts';
import { type Ceilings, measureCeilings } from './ceilings.ts';
import { type CompileTime, measureCompiling } from './compile-times.ts';
import { prepare } from './prepare.ts';
import { header, line, type Row } from './table.ts';
import { medianTime } from './timing.ts';

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');
const asked = names.length === 0 ? ['usual', 'weights', 'compile'] : names;

const report = (line: string) => process.stderr.write(`${line}\n`);
const opened = await openDevice(await openAdapter({ report }));
const tuning = process.argv.includes('--tuned') ? 'auto' : 'none';
const known = knownFrom(tuning, adapterIdentity(opened), report);
say(opened.description, { device: opened.description });
// First, while nothing is compiled yet: it is also measured how long that takes in a new process.
const compiling = asked.includes('compile') ? await measureCompiling(opened.profile) : [];
const chosen = namedCases(asked);
if (chosen.length > 0) {
  const ceilings = await measureCeilings(opened);
  say(ceilingsText(ceilings), { ceilings });
  say(header());
  for (const each of chosen) {
    const row = await measure(each, ceilings);
    say(line(row), row);
  }
}
for (const time of compiling) say(compileText(time), time);
opened.destroy();

function say(text: string, record?: object): void {
  if (!json) console.log(text);
  else if (record !== undefined) console.log(JSON.stringify(record));
}

async function measure(each: Case, ceilings: Ceilings): Promise<Row> {
  const { name, flops, bytes } = each;
  const { instance, lowered, inputs, error } = prepare(each);
  const { package: compiled } = compileFor(lowered, { ...instance, ...known }, opened.profile);
  const { peakBytes } = compiled.manifest;
  const loaded = await loadPackage(compiled, opened);
  const outputs = await loaded.run(inputs);
  const time = await medianTime(() => loaded.runOnDevice());
  loaded.destroy();
  return {
    case: name,
    milliseconds: time.seconds * 1000,
    bestMilliseconds: time.best * 1000,
    processorMilliseconds: time.processor * 1000,
    gflops: flops / time.seconds / 1e9,
    ofPeak: flops / time.seconds / ceilings.flops,
    ofCopy: bytes / time.seconds / ceilings.bytes,
    dispatches: expandSteps(compiled.manifest).commands.filter(({ kind }) => kind !== 'copy').length,
    memory: loaded.peakBytes,
    planned: peakBytes,
    error: error(outputs),
    runs: time.runs,
  };
}

function ceilingsText({ flops, bytes }: Ceilings): string {
  const [arithmetic, copying] = [flops / 1e9, bytes / 1e9].map((value) => value.toFixed(1));
  return `ceilings: ${arithmetic} GFLOP/s of multiply-adds, ${copying} GB/s read and written by a copy`;
}

function compileText({ what, seconds, best, first }: CompileTime): string {
  const [warm, least, cold] = [seconds, best, first].map((value) => `${(value * 1000).toFixed(0)} ms`);
  return `${what}: ${warm} (best ${least}), in a new process ${cold}`;
}
