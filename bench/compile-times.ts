/**
 * How long the compiler itself takes: from text, in a process that has done so before, and the first time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DeviceProfile } from '../compiler/tiles/device-profile.ts';
import { checkFile } from '../driver/check.ts';
import { compileFor } from '../driver/compile.ts';
import { readCheckpoint } from '../driver/hugging-face.ts';
import { lower } from '../driver/lower.ts';
import { moduleLoader, standardLibrary } from '../driver/module-loader.ts';
import { makeCheckpoint } from '../examples/mixtral/make-checkpoint.ts';
import { accepted } from './accepted.ts';
import { medianTime, type Timing } from './timing.ts';

export interface CompileTime extends Timing {
  readonly what: string;
  /** Seconds of the first time, with the process new to this work. */
  readonly first: number;
}

/**
 * In this order, in a process that has compiled nothing: the first times are then what a command waits for.
 */
export async function measureCompiling(profile: DeviceProfile): Promise<readonly CompileTime[]> {
  const modules = moduleLoader.standardNames.map((name) => join(standardLibrary, `${name}.ricci`));
  const checkAll = () => modules.map((path) => accepted(checkFile(path)));
  const compileMixtral = mixtral(profile);
  return [
    await measure(`check the standard library (${modules.length} modules)`, checkAll),
    await measure('compile the Mixtral example, from text to WGSL and plan', compileMixtral),
  ];
}

async function measure(what: string, work: () => unknown): Promise<CompileTime> {
  const start = performance.now();
  work();
  const first = (performance.now() - start) / 1000;
  return { what, first, ...(await medianTime(async () => work())) };
}

/** The example's own checkpoint says the sizes and element types. */
function mixtral(profile: DeviceProfile): () => unknown {
  const folder = mkdtempSync(join(tmpdir(), 'ricci-bench-'));
  try {
    makeCheckpoint(folder, new TextEncoder().encode('any text will do'));
    const { module, entry, sizes, weights } = readCheckpoint(folder);
    const instance = {
      entry,
      sizes: new Map([...sizes, ['S', 64]]),
      inputDtypes: new Map([...weights].map(([path, { dtype }]) => [path, dtype])),
    };
    const source = join(standardLibrary, `${module}.ricci`);
    return () => {
      const checked = accepted(checkFile(source));
      return compileFor(accepted(lower(checked, instance)), instance, profile);
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
