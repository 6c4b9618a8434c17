/**
 * Packages of bounded sizes beside those compiled for one size, in WebAssembly on one thread, or on the
 * adapter: `npm run bench:symbolic -- [CASE…] [--wgsl] [--json]`. `RESULTS.md` records what it printed.
 */
import { join } from 'node:path';
import { describeEntry } from '../compiler/lower/entry.ts';
import { checkFile } from '../driver/check.ts';
import { compileFor, compileWasm } from '../driver/compile.ts';
import { type Instance, type Lowered, lower } from '../driver/lower.ts';
import { packageRoot } from '../driver/package-root.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { wasmDeviceHere } from '../runtime/wasm/features.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { type TensorData, tensorValues } from '../runtime/weights/tensor-data.ts';

interface Bounded {
  readonly name: string;
  readonly entry: string;
  readonly sizes: Readonly<Record<string, number>>;
  /** Which of them is bounded: by its value there. */
  readonly size: string;
}

const matmul = { M: 512, N: 512, K: 512 };
const cases: readonly Bounded[] = [
  { name: 'matmul rows', entry: 'matmul', sizes: matmul, size: 'M' },
  { name: 'matmul depth', entry: 'matmul', sizes: matmul, size: 'K' },
  { name: 'matmul columns', entry: 'matmul', sizes: matmul, size: 'N' },
  { name: 'softmax rows', entry: 'softmax_rows', sizes: { N: 1024, M: 1024 }, size: 'N' },
  { name: 'softmax width', entry: 'softmax_rows', sizes: { N: 1024, M: 1024 }, size: 'M' },
  { name: 'attention', entry: 'causal', sizes: { H: 8, S: 512, A: 64 }, size: 'S' },
  { name: 'experts', entry: 'experts', sizes: { T: 512, D: 256, F: 512, E: 8 }, size: 'T' },
];

/** Of the bound: what each is run at, beside an odd number between. */
const parts = [0.25, 0.5, 1];
const rounds = 15;

const names = process.argv.slice(2).filter((argument) => !argument.startsWith('-'));
const json = process.argv.includes('--json');

type Tensors = ReadonlyMap<string, TensorData>;

interface Loaded {
  readonly run: (inputs: Tensors) => Promise<Tensors>;
  /** Once more, at the size of the last run. */
  readonly again: () => Promise<void>;
  readonly destroy: () => void;
}

const load = process.argv.includes('--wgsl') ? await onAdapter() : inWasm;

async function inWasm(lowered: Lowered, instance: Instance): Promise<Loaded> {
  const { run, compute, destroy } = await loadWasm(compileWasm(lowered, instance, wasmDeviceHere()).package, {
    threads: 1,
  });
  return { run: async (inputs) => run(inputs), again: async () => compute(), destroy };
}

async function onAdapter(): Promise<typeof inWasm> {
  const opened = await openDevice(await openAdapter());
  process.once('beforeExit', opened.destroy);
  return async (lowered, instance) => {
    const compiled = compileFor(lowered, instance, opened.profile).package;
    const { run, runOnDevice, destroy } = await loadPackage(compiled, opened);
    return { run, again: runOnDevice, destroy };
  };
}

const checked = checkFile(join(packageRoot, 'bench', 'cases.ricci'));
if (checked.kind === 'rejected') throw new Error('cases.ricci is rejected');
const { program } = checked;

if (!json) console.log(lineOf(['case', 'size', 'bound', 'own ms', 'bounded ms', 'ratio', 'error']));
for (const each of cases)
  if (names.length === 0 || names.some((name) => each.name.startsWith(name)))
    for (const measured of await measure(each))
      console.log(json ? JSON.stringify(measured) : lineOf(textsOf(measured)));

interface Measured {
  readonly case: string;
  readonly size: number;
  readonly bound: number;
  /** Of the processor, the best of some rounds in which both take turns. */
  readonly ownMilliseconds: number;
  readonly boundedMilliseconds: number;
  /** Greatest difference of an element, relative to the greatest element. */
  readonly error: number;
}

async function measure({ name, entry, sizes, size }: Bounded): Promise<readonly Measured[]> {
  const bound = sizes[size]!;
  const others = new Map(Object.entries(sizes).filter(([other]) => other !== size));
  const bounded = await loaded({ entry, sizes: others, bounds: new Map([[size, bound]]) });
  const found: Measured[] = [];
  for (const length of [...parts.map((part) => bound * part), Math.floor(bound * 0.6) + 1]) {
    const own = new Map([...others, [size, length]]);
    const special = await loaded({ entry, sizes: own });
    const inputs = new Map(
      describeEntry(program, entry).inputs.map((input) => [input.path, randomInput(input, own, 1)]),
    );
    const [wanted, given] = [await special.run(inputs), await bounded.run(inputs)];
    const times = { own: Number.POSITIVE_INFINITY, bounded: Number.POSITIVE_INFINITY };
    for (let round = 0; round < rounds; round++) {
      times.own = Math.min(times.own, await processorTime(special.again));
      times.bounded = Math.min(times.bounded, await processorTime(bounded.again));
    }
    special.destroy();
    found.push({
      ...{ case: name, size: length, bound },
      ownMilliseconds: times.own,
      boundedMilliseconds: times.bounded,
      error: difference(wanted.get('out')!, given.get('out')!),
    });
  }
  bounded.destroy();
  return found;
}

async function loaded(of: {
  readonly entry: string;
  readonly sizes: ReadonlyMap<string, number>;
  readonly bounds?: ReadonlyMap<string, number>;
}) {
  const instance = { ...of, inputDtypes: new Map() };
  const lowered = lower(checked as Exclude<typeof checked, { kind: 'rejected' }>, instance);
  if (lowered.kind === 'rejected') throw new Error(`${of.entry} is rejected`);
  return load(lowered, instance);
}

async function processorTime(run: () => Promise<void>): Promise<number> {
  const before = process.cpuUsage();
  await run();
  const { user, system } = process.cpuUsage(before);
  return (user + system) / 1000;
}

function difference(wanted: TensorData, found: TensorData): number {
  if (`${wanted.shape}` !== `${found.shape}`) return Number.POSITIVE_INFINITY;
  const [left, right] = [tensorValues(wanted), tensorValues(found)];
  const greatest = left.reduce((most, value) => Math.max(most, Math.abs(value)), 0);
  return left.reduce((most, value, at) => Math.max(most, Math.abs(value - right[at]!)), 0) / greatest;
}

function textsOf({ ownMilliseconds, boundedMilliseconds, error, ...of }: Measured): readonly string[] {
  const ratio = boundedMilliseconds / ownMilliseconds;
  const times = [ownMilliseconds, boundedMilliseconds].map((time) => time.toFixed(2));
  return [of.case, `${of.size}`, `${of.bound}`, ...times, ratio.toFixed(2), error.toExponential(0)];
}

function lineOf(texts: readonly string[]): string {
  return texts.map((text, at) => (at === 0 ? text.padEnd(15) : text.padStart(11))).join('');
}
