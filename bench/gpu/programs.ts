/**
 * For a machine with a GPU that is lent for minutes: checks every small program on it against the reference
 * evaluator, in one process, and prints what fails: `node dist/bench/gpu/programs.js ptx`, or `wgsl` for the
 * kernels of WebGPU on its adapter. With `--emulator` PTX runs without a GPU.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describeEntry } from '../../compiler/lower/entry.ts';
import { type Checked, checkFile, compilePtx } from '../../driver/compile.ts';
import { packageRoot } from '../../driver/package-root.ts';
import { randomInput } from '../../driver/random-inputs.ts';
import { instancesOf } from '../../property-tests/instances.ts';
import {
  distance,
  evaluateEntry,
  loweredEntry,
  runEntry,
  type Tensors,
} from '../../property-tests/run-entry.ts';
import type { CudaDevice } from '../../runtime/cuda/device.ts';
import { openGpu } from '../../runtime/cuda/driver/open.ts';
import { emulatorDevice } from '../../runtime/cuda/emulator-device.ts';
import { loadCuda } from '../../runtime/cuda/load.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { openDevice } from '../../runtime/webgpu/device.ts';

/** One ulp of bf16, which a result may be apart by where it is rounded. */
const tolerance = 2 ** -7;

const seed = 7;

interface Runner {
  readonly name: string;
  /** What the reference says, and what came out. */
  readonly run: (checked: Checked, entry: string, sizes: ReadonlyMap<string, number>) => Promise<Compared>;
  readonly release: () => void;
}

interface Compared {
  readonly written: Tensors;
  readonly found: Tensors;
}

async function onAdapter(): Promise<Runner> {
  const opened = await openDevice(await openAdapter({ report: console.log }));
  return {
    name: opened.description,
    run: async (checked, entry, sizes) => {
      const { written, wgsl } = await runEntry(checked, entry, sizes, seed, opened);
      return { written, found: wgsl };
    },
    release: opened.destroy,
  };
}

function onCuda(device: CudaDevice): Runner {
  return {
    name: device.name,
    run: async (checked, entry, sizes) => {
      const instance = { entry, sizes, inputDtypes: new Map() };
      const { package: compiled } = compilePtx(loweredEntry(checked, instance), instance, device.target);
      const loaded = loadCuda(compiled, device);
      const described = describeEntry(checked.program, entry).inputs;
      const inputs = new Map(described.map((each) => [each.path, randomInput(each, sizes, seed)]));
      try {
        const found = await loaded.run(inputs);
        return { written: evaluateEntry(checked, entry, sizes, seed).written, found };
      } finally {
        loaded.destroy();
      }
    },
    release: device.release,
  };
}

const isEmulated = process.argv.includes('--emulator');
const runner = process.argv.includes('ptx')
  ? onCuda(isEmulated ? emulatorDevice() : await openGpu())
  : await onAdapter();
console.log(runner.name);
const folder = join(packageRoot, 'property-tests/programs');
let passed = 0;
let failed = 0;
let worst = 0;
for (const file of readdirSync(folder).filter((name) => name.endsWith('.ricci'))) {
  const checked = checkFile(join(folder, file));
  if (checked.kind === 'rejected') throw new Error(`${file} has errors`);
  for (const { name, exported } of checked.program.entries.values()) {
    if (!exported) continue;
    for (const sizes of instancesOf(checked.program, name)) {
      const outcome = await runner.run(checked, name, sizes).then(
        ({ written, found }) => distance(written, found),
        (error: unknown) => (error instanceof Error ? error.message : String(error)),
      );
      if (typeof outcome === 'number' && outcome <= tolerance) {
        passed++;
        worst = Math.max(worst, outcome);
      } else {
        failed++;
        console.log(`${file} ${name} ${JSON.stringify([...sizes])}: ${outcome}`);
      }
    }
  }
}
console.log(`${passed} passed, ${failed} failed; the largest distance of those that passed is ${worst}`);
runner.release();
process.exitCode = failed > 0 ? 1 : 0;
