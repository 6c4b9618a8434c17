/**
 * Runs cases for `run.py`, which asks in lines of JSON on standard input and reads answers from standard
 * output: on the GPU; `--small` does so at small sizes, `--emulator` without a GPU too. Tensors go through files
 * of their bare bytes.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describeEntry } from '../../compiler/lower/entry.ts';
import { walkSteps } from '../../compiler/plan/walk-steps.ts';
import { parseChoice } from '../../compiler/tiles/choices/choice-text.ts';
import { checkFile, compilePtx, lower } from '../../driver/compile.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { runReference } from '../../driver/run-reference.ts';
import type { Dtype } from '../../dsl/types/dtype.ts';
import { evaluateSize } from '../../dsl/types/size.ts';
import { distance } from '../../property-tests/run-entry.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import { openCuda } from '../../runtime/cuda/devices.ts';
import { type DriverDevice, openGpu } from '../../runtime/cuda/driver/open.ts';
import { emulatorDevice } from '../../runtime/cuda/emulator-device.ts';
import { isUserError } from '../../runtime/errors.ts';
import type { LaunchDevice, OwnLaunch } from '../../runtime/launch-device.ts';
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

/** Sets of tensors that together are larger than the cache, so that none is found there. */
const [leastCopies, mostCopies] = [2, 16];
/** A timed piece of work has about so many seconds, and there are so many of them. */
const [pieceSeconds, pieces] = [0.02, 21];

const isEmulated = process.argv.includes('--emulator');
const isSmall = isEmulated || process.argv.includes('--small');
const gpu: DriverDevice | undefined = isEmulated ? undefined : await openGpu();
const device: CudaDevice = gpu ?? emulatorDevice();
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
  const advice = chosen === undefined ? undefined : () => chosen;
  const { entry, roundsFactors = false } = each;
  const instance = { entry, sizes, inputDtypes: new Map(), advice, roundsFactors };
  const begin = performance.now();
  const lowered = accepted(lower(checked, instance));
  const { package: compiled } = compilePtx(lowered, instance, device.target);
  const compiledAt = performance.now();
  const copies = gpu === undefined ? 1 : copiesOf(each.bytes, gpu.gpu.l2Bytes);
  const places = Array.from({ length: copies }, () => () => 0);
  const { devices, destroy } = openCuda(compiled, places, device);
  const loadedAt = performance.now();
  try {
    const { slots, steps, outputs: wanted, kernels } = compiled.manifest;
    const launches: OwnLaunch[] = [];
    // A package for one device has no exchanges.
    const finalBuffer = walkSteps(steps, slots.length, (launch) => launches.push(launch as OwnLaunch));
    const inputs = files === undefined ? randomInputs(each) : storedInputs(each, files);
    const [first] = devices as [LaunchDevice];
    for (const { slot } of wanted) poison(first, finalBuffer[slot]!, slots[slot]!.bytes);
    for (const one of devices) one.write(inputs);
    for (const launch of launches) first.perform(launch);
    const outputs = await first.read(finalBuffer);
    return {
      ...{ name, copies, launches: launches.length, kernels: kernels.map((kernel) => kernel.name) },
      compileMilliseconds: compiledAt - begin,
      loadMilliseconds: loadedAt - compiledAt,
      seconds: gpu === undefined ? undefined : await timed(gpu, devices, launches),
      outputs: folder === undefined ? undefined : writtenTo(folder, outputs),
      distance: files === undefined ? distance(runReference(lowered.graph, inputs), outputs) : undefined,
    };
  } finally {
    destroy();
  }
}

function copiesOf(bytes: number, l2Bytes: number): number {
  return Math.min(mostCopies, Math.max(leastCopies, Math.ceil((2 * l2Bytes) / bytes)));
}

/** NaN in all floats: what a kernel leaves out is seen. */
function poison(one: LaunchDevice, buffer: number, bytes: number): void {
  const { room, done } = one.arriving(buffer, bytes);
  room.fill(0xff);
  done();
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

/**
 * Seconds of one run, by the clock of the GPU: medians and the least, of runs on one set of tensors after
 * another, given as one graph.
 */
async function timed(
  on: DriverDevice,
  devices: readonly LaunchDevice[],
  launches: readonly OwnLaunch[],
): Promise<{ readonly median: number; readonly least: number; readonly runs: number }> {
  const runAll = () => {
    for (const one of devices) for (const launch of launches) one.perform(launch);
  };
  // What a device makes the first time, such as tensor maps, cannot be recorded.
  runAll();
  await on.synchronize();
  const graph = on.capture(runAll);
  try {
    // Twice, so that the second is of a GPU that is awake.
    await on.time(graph.launch);
    const once = await on.time(graph.launch);
    const turns = Math.max(1, Math.ceil(pieceSeconds / once));
    const times: number[] = [];
    for (let piece = 0; piece < pieces; piece++) {
      const seconds = await on.time(() => {
        for (let turn = 0; turn < turns; turn++) graph.launch();
      });
      times.push(seconds / (turns * devices.length));
    }
    times.sort((left, right) => left - right);
    return { median: times[pieces >> 1]!, least: times[0]!, runs: pieces * turns * devices.length };
  } finally {
    graph.destroy();
  }
}
