/**
 * The benchmark: milliseconds, GFLOP/s and the fraction of the adapter's own ceilings for a few workloads, each checked
 * against the reference evaluator in the same run. `npm run bench -- [CASE…] [--json]`.
 */
import { join } from 'node:path';
import { describeEntry } from '../compiler/lower/entry.ts';
import { checkFile, compileFor, lower } from '../driver/compile.ts';
import { packageRoot } from '../driver/package-root.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { tensorValues } from '../runtime/weights/tensor-data.ts';
import { type Case, cases } from './cases.ts';
import { measureCeilings } from './ceilings.ts';
import { medianTime } from './timing.ts';

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');
const chosen = cases.filter(({ name }) => names.length === 0 || names.includes(name));

const outcome = checkFile(join(packageRoot, 'bench/cases.ricci'));
if (outcome.kind === 'rejected')
  throw new Error(outcome.diagnostics.map(({ message }) => message).join('\n'));
const checked = outcome;
const opened = await openDevice(await openAdapter({ report: (line) => process.stderr.write(`${line}\n`) }));
const ceilings = await measureCeilings(opened);

if (!json) {
  console.log(`${opened.description}`);
  console.log(
    `ceilings: ${(ceilings.flops / 1e9).toFixed(1)} GFLOP/s multiply-add, ${(ceilings.bytes / 1e9).toFixed(1)} GB/s copied`,
  );
  console.log(
    [
      'case'.padEnd(12),
      'ms'.padStart(9),
      'GFLOP/s'.padStart(9),
      'of peak'.padStart(8),
      'of copy'.padStart(8),
      'launches'.padStart(9),
      'memory MB'.padStart(10),
      'planned'.padStart(8),
      'error'.padStart(8),
    ].join(' '),
  );
}
for (const each of chosen) await measure(each);
opened.destroy();

async function measure({ name, entry, sizes, flops, bytes }: Case): Promise<void> {
  const instance = { entry, sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
  const { inputs: wanted } = describeEntry(checked.program, entry);
  const inputs = new Map(wanted.map((input) => [input.path, randomInput(input, instance.sizes, 1)]));
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected')
    throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  const { package: compiled } = compileFor(lowered, instance, opened.profile);
  const loaded = await loadPackage(compiled, opened);
  const outputs = await loaded.run(inputs);
  const time = await medianTime(() => loaded.runOnDevice());
  const dispatches = compiled.manifest.steps.filter(({ kind }) => kind === 'dispatch').length;
  const expected = runReference(lowered.graph, inputs);
  const [output] = [...outputs.values()].map(tensorValues);
  const [reference] = [...expected.values()].map(tensorValues);
  const error = relativeError(reference ?? new Float64Array(), output ?? new Float64Array());
  const row = {
    case: name,
    milliseconds: time.seconds * 1000,
    gflops: flops / time.seconds / 1e9,
    ofPeak: flops / time.seconds / ceilings.flops,
    ofCopy: bytes / time.seconds / ceilings.bytes,
    dispatches,
    memory: loaded.peakBytes,
    planned: compiled.manifest.peakBytes,
    error,
    runs: time.runs,
  };
  loaded.destroy();
  if (json) console.log(JSON.stringify({ device: opened.description, ceilings, ...row }));
  else {
    console.log(
      [
        name.padEnd(12),
        row.milliseconds.toFixed(3).padStart(9),
        row.gflops.toFixed(1).padStart(9),
        `${(row.ofPeak * 100).toFixed(0)}%`.padStart(8),
        `${(row.ofCopy * 100).toFixed(0)}%`.padStart(8),
        `${dispatches}`.padStart(9),
        (row.memory / 2 ** 20).toFixed(1).padStart(10),
        (row.planned / 2 ** 20).toFixed(1).padStart(8),
        error.toExponential(0).padStart(8),
      ].join(' '),
    );
  }
}

/** max |got − wanted| / max(|wanted|, rms(wanted)). */
function relativeError(wanted: Float64Array, got: Float64Array): number {
  const rms = Math.sqrt(wanted.reduce((sum, value) => sum + value * value, 0) / Math.max(1, wanted.length));
  return wanted.reduce(
    (worst, value, place) =>
      Math.max(worst, Math.abs(value - (got[place] ?? Number.NaN)) / Math.max(Math.abs(value), rms, 1e-30)),
    0,
  );
}
