/**
 * NVIDIA's assembler takes every kernel of the small programs, for each target, without a word of warning, and
 * keeps all that a thread has in registers. Without it nothing is tested, which in CI is a failure.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, test } from 'vitest';
import { moduleText } from '../backends/cuda-ptx/emit/emit.ts';
import type { PtxKernel } from '../backends/cuda-ptx/emit/kernel.ts';
import { type PtxTarget, ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { instancesOf } from './instances.ts';
import { loweredEntry } from './run-entry.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

const isThere = spawnSync('ptxas', ['--version']).status === 0;

test('ptxas is there', ({ skip }) => {
  if (!isThere && process.env.CI === undefined) skip('no ptxas on the PATH: install the CUDA toolkit');
  expect(isThere).toBe(true);
});

const folder = mkdtempSync(join(tmpdir(), 'ricci-ptxas-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** What ptxas says of each kernel. */
async function assembled(name: string, text: string, target: PtxTarget): Promise<string> {
  const path = join(folder, `${name}.ptx`);
  writeFileSync(path, text);
  const { stdout, stderr } = await promisify(execFile)('ptxas', [
    ...['-v', `-arch=${target}`, path, '-o', join(folder, `${name}.cubin`)],
  ]);
  return stdout + stderr;
}

/** Those of all entries of a file, their names made different. */
function kernelsOf(file: string): readonly PtxKernel[] {
  const checked = checkSmallProgram(file);
  return exportedEntries(checked).flatMap((entry, place) => {
    const instances = instancesOf(checked.program, entry);
    const sizes = instances[place % instances.length]!;
    const instance = { entry, sizes, inputDtypes: new Map() };
    const { kernels } = compilePtx(loweredEntry(checked, instance), instance, 'sm_80');
    return kernels.map((kernel) => {
      const name = `${entry}_${kernel.name}`;
      return { ...kernel, name, entry: kernel.entry.replace(`.entry ${kernel.name}(`, `.entry ${name}(`) };
    });
  });
}

describe.runIf(isThere)('assembles', () => {
  test.each(programFiles)('%s', async (file) => {
    const kernels = kernelsOf(file);
    if (kernels.length === 0) return;
    for (const target of ptxTargets) {
      const said = await assembled(`${file}-${target}`, moduleText(target, kernels), target);
      expect(said.match(/^.*(warning|error).*$/gm) ?? []).toEqual([]);
      const spilled = [...said.matchAll(/(\d+) bytes spill stores, (\d+) bytes spill loads/g)];
      expect(spilled).toHaveLength(kernels.length);
      expect(spilled.filter(([, stores, loads]) => stores !== '0' || loads !== '0')).toEqual([]);
    }
  });

  test('what is no PTX is told', async () => {
    await expect(assembled('wrong', '.version 7.0\n.target sm_80\nadd', 'sm_80')).rejects.toThrow(/ptxas/);
  });
});
