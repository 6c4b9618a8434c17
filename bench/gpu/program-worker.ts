/** A process of `programs.ts`: runs one program at one size after another, as it is told. */
import { describeEntry } from '../../compiler/lower/entry.ts';
import { type Checked, checkFile } from '../../driver/check.ts';
import { compileFor, compilePtx } from '../../driver/compile.ts';
import { lower } from '../../driver/lower.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { runReference } from '../../driver/run-reference.ts';
import { distance, type Tensors } from '../../property-tests/run-entry.ts';
import { openGpu } from '../../runtime/cuda/driver/open.ts';
import { emulatorDevice } from '../../runtime/cuda/emulator-device.ts';
import { loadCuda } from '../../runtime/cuda/load.ts';
import { isUserError } from '../../runtime/errors.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';
import { loadPackage } from '../../runtime/webgpu/execute.ts';
import { accepted } from '../accepted.ts';
import type { PoolAnswer } from './pool.ts';

export interface ProgramJob {
  readonly file: string;
  readonly entry: string;
  readonly sizes: readonly (readonly [string, number])[];
}

export interface ProgramAnswer extends PoolAnswer {
  /** Of its results from those of the reference; null where that is infinite. */
  readonly distance: number | null;
  readonly failed?: string;
  /** By what it was spent on. */
  readonly milliseconds: Readonly<Record<string, number>>;
}

interface Loaded {
  readonly run: (inputs: Tensors) => Promise<Tensors>;
  readonly destroy: () => void;
}

type Compiled = Parameters<typeof compilePtx>;

/** Compiles, then loads. */
interface Target {
  readonly compile: (lowered: Compiled[0], instance: Compiled[1]) => () => Promise<Loaded>;
}

async function onAdapter(): Promise<Target> {
  const opened = await openDevice(await openAdapter({ report: () => undefined }));
  return {
    compile: (lowered, instance) => {
      const { package: compiled } = compileFor(lowered, instance, opened.profile);
      return () => loadPackage(compiled, opened);
    },
  };
}

async function onCuda(): Promise<Target> {
  const device = process.argv.includes('--emulator') ? emulatorDevice() : await openGpu();
  return {
    compile: (lowered, instance) => {
      const { package: compiled } = compilePtx(lowered, instance, device.target);
      return async () => loadCuda(compiled, device);
    },
  };
}

const seed = 7;
const target = await (process.argv.includes('ptx') ? onCuda() : onAdapter());
const checked = new Map<string, Checked>();

async function answerTo({ file, entry, sizes: given }: ProgramJob): Promise<ProgramAnswer> {
  const milliseconds: Record<string, number> = {};
  let begin = performance.now();
  const spentOn = (stage: string) => {
    const now = performance.now();
    milliseconds[stage] = now - begin;
    begin = now;
  };
  try {
    const program = checked.get(file) ?? accepted(checkFile(file));
    checked.set(file, program);
    const sizes = new Map(given);
    const instance = { entry, sizes, inputDtypes: new Map() };
    const lowered = accepted(lower(program, instance));
    const load = target.compile(lowered, instance);
    spentOn('compiling');
    const loaded = await load();
    spentOn('loading');
    try {
      const described = describeEntry(program.program, entry).inputs;
      const inputs = new Map(described.map((each) => [each.path, randomInput(each, sizes, seed)]));
      const found = await loaded.run(inputs);
      spentOn('running');
      const written = runReference(lowered.graph, inputs);
      spentOn('the reference');
      const apart = distance(written, found);
      return { distance: Number.isFinite(apart) ? apart : null, milliseconds };
    } finally {
      loaded.destroy();
    }
  } catch (error) {
    const failed = error instanceof Error ? error.message : String(error);
    const isLast = isUserError(error) && (error.code === 'kernel-fault' || error.code === 'device-lost');
    return { distance: null, failed, milliseconds, isLast };
  }
}

process.on('message', (job: ProgramJob) => {
  void answerTo(job).then((answer) => process.send!(answer));
});
// What is open on the device goes with the process.
process.on('disconnect', () => process.exit(0));
