/**
 * Runs cases for `run.py`, which asks in lines of JSON on standard input and reads answers from standard
 * output: on the GPU; `--small` does so at small sizes, `--emulator` without a GPU too. Tensors go through files
 * of their bare bytes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describeEntry } from '../../compiler/lower/entry.ts';
import { parseChoice } from '../../compiler/tiles/choices/choice-text.ts';
import { checkFile } from '../../driver/check.ts';
import { compilePtx } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { runReference } from '../../driver/run-reference.ts';
import { knownFrom } from '../../driver/tuning/cache.ts';
import { packageIdentity } from '../../driver/tuning/identity.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { evaluateSize } from '../../dsl/types/size.ts';
import { distance } from '../../property-tests/run-entry.ts';
import { copiesPast, type LoadedCopies, loadCopies, stopwatchOf } from '../../runtime/cuda/copies.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import { type DriverDevice, openGpu } from '../../runtime/cuda/driver/open.ts';
import { emulatorDevice } from '../../runtime/cuda/emulator-device.ts';
import { isUserError } from '../../runtime/errors.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';
import { accepted } from '../accepted.ts';
import { type GpuCase, gpuCases } from './cases.ts';

type Request =
  | { readonly what: 'cases' }
  /** With files: of the inputs, and a folder for the outputs. Without: random inputs, and the reference. */
  | {
      readonly what: 'run';
      readonly name: string;
      /** Instead of the first choice, of all problems that can be done so. */
      readonly choice?: string;
      readonly inputs?: Record<string, string>;
      readonly folder?: string;
    };

/** Of the tensors, so that outputs that are timed are not those that were checked last. */
const leastCopies = 2;
/** A timed piece of work has about so many seconds, and there are so many of them. */
const [pieceSeconds, pieces] = [0.02, 21];

const isEmulated = process.argv.includes('--emulator');
const isSmall = isEmulated || process.argv.includes('--small');
const gpu: DriverDevice | undefined = isEmulated ? undefined : await openGpu();
const device: CudaDevice = gpu ?? emulatorDevice();
/** Schedules as `ricci compile` takes them. */
const { advice: shipped } = knownFrom('shipped', packageIdentity(device.target), console.error);
const checked = accepted(checkFile(join(packageRoot, 'bench/gpu/cases.ricci')));

for await (const line of createInterface({ input: process.stdin })) {
  const answer = await answered(JSON.parse(line) as Request).catch((error: unknown) => ({
    failed: isUserError(error) ? error.message : error instanceof Error ? error.stack : String(error),
  }));
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
device.release();

function answered(request: Request): Promise<object> {
  if (request.what === 'run') return run(request);
  const cases = gpuCases.map((each) => ({ ...each, sizes: sizesOf(each), inputs: inputsOf(each) }));
  return Promise.resolve({ device: device.name, target: device.target, gpu: gpu?.gpu, cases });
}

function sizesOf({ sizes, small }: GpuCase): GpuCase['sizes'] {
  return isSmall ? small : sizes;
}

interface CaseInput {
  readonly path: string;
  readonly dtype: Dtype;
  readonly shape: readonly number[];
  /** Of indices: all are smaller. */
  readonly below?: number;
}

function inputsOf(each: GpuCase): readonly CaseInput[] {
  const sizes = new Map(Object.entries(sizesOf(each)));
  return describeEntry(checked.program, each.entry).inputs.map(({ path, element, dims }) => ({
    ...{ path, shape: dims.map((size) => evaluateSize(size, sizes)!) },
    dtype: element.kind === 'dtype' ? element.dtype : 'i32',
    ...(element.kind === 'ix' ? { below: evaluateSize(element.range, sizes)! } : {}),
  }));
}

async function run({
  name,
  choice,
  inputs: files,
  folder,
}: Extract<Request, { what: 'run' }>): Promise<object> {
  const each = gpuCases.find((other) => other.name === name);
  if (each === undefined) throw new Error(`there is no case ${name}`);
  const sizes = new Map(Object.entries(sizesOf(each)));
  const chosen = choice === undefined ? undefined : parseChoice(choice);
  if (chosen !== undefined && 'wrong' in chosen) throw new Error(chosen.wrong);
  const advice = chosen === undefined ? shipped : () => chosen;
  const { entry, allowed = [] } = each;
  const instance = { entry, sizes, inputDtypes: new Map(), advice, allowed };
  const begin = performance.now();
  const lowered = accepted(lower(checked, instance));
  const { package: compiled } = compilePtx(lowered, instance, device.target);
  const compiledAt = performance.now();
  const copies = gpu === undefined ? 1 : Math.max(leastCopies, copiesPast(gpu.gpu.l2Bytes, each.bytes));
  const loaded = loadCopies(compiled, copies, device);
  const loadedAt = performance.now();
  try {
    const { kernels } = compiled.manifest;
    const inputs = files === undefined ? randomInputs(each) : storedInputs(each, files);
    const outputs = await loaded.run(inputs);
    return {
      ...{ name, copies, launches: loaded.launches, kernels: kernels.map((kernel) => kernel.name) },
      compileMilliseconds: compiledAt - begin,
      loadMilliseconds: loadedAt - compiledAt,
      seconds: gpu === undefined ? undefined : await timed(gpu, loaded),
      outputs: folder === undefined ? undefined : writtenTo(folder, outputs),
      distance: files === undefined ? distance(runReference(lowered.graph, inputs), outputs) : undefined,
    };
  } finally {
    loaded.destroy();
  }
}

function randomInputs(each: GpuCase): ReadonlyMap<string, TensorData> {
  const sizes = new Map(Object.entries(sizesOf(each)));
  const { inputs } = describeEntry(checked.program, each.entry);
  return new Map(inputs.map((input) => [input.path, randomInput(input, sizes, 7)]));
}

function storedInputs(
  each: GpuCase,
  files: Readonly<Record<string, string>>,
): ReadonlyMap<string, TensorData> {
  return new Map(
    inputsOf(each).map(({ path, dtype, shape }) => [
      path,
      { dtype, shape, bytes: readFileSync(files[path]!) },
    ]),
  );
}

function writtenTo(folder: string, outputs: ReadonlyMap<string, TensorData>): object {
  return Object.fromEntries(
    [...outputs].map(([path, { dtype, shape, bytes }]) => {
      const file = join(folder, `${path}.out`);
      writeFileSync(file, bytes);
      return [path, { file, dtype, shape }];
    }),
  );
}

/** Seconds of one run, by the clock of the GPU: medians and the least. */
async function timed(
  on: DriverDevice,
  loaded: LoadedCopies,
): Promise<{ readonly median: number; readonly least: number; readonly runs: number }> {
  const stopwatch = await stopwatchOf(on, loaded);
  try {
    const times: number[] = [];
    for (let piece = 0; piece < pieces; piece++) times.push(await stopwatch.time(pieceSeconds));
    times.sort((left, right) => left - right);
    return {
      median: times[pieces >> 1]!,
      least: times[0]!,
      runs: pieces * stopwatch.runsIn(pieceSeconds),
    };
  } finally {
    stopwatch.destroy();
  }
}
