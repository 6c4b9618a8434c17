/**
 * NVIDIA's assembler takes every kernel of the small programs, for each target, without a word of warning, and
 * keeps all that a thread has in registers. Without it nothing is tested, which in CI is a failure.
 */
import { describe, expect, test } from 'vitest';
import { moduleText } from '../backends/cuda-ptx/emit/emit.ts';
import type { PtxKernel } from '../backends/cuda-ptx/emit/kernel.ts';
import { assemble, findPtxas, PtxasRefusal } from '../backends/cuda-ptx/ptxas.ts';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { instancesOf } from './instances.ts';
import { loweredEntry } from './run-entry.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

const ptxas = findPtxas(process.env);
const isThere = ptxas !== undefined;

test('ptxas is there', ({ skip }) => {
  if (!isThere && process.env.CI === undefined) skip('no ptxas on the PATH: install the CUDA toolkit');
  expect(isThere).toBe(true);
});

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
      const assembly = await assemble(ptxas!, target, moduleText(target, kernels));
      expect(assembly.warnings).toEqual([]);
      expect(assembly.kernels).toHaveLength(kernels.length);
      expect(assembly.kernels.filter(({ spillStores, spillLoads }) => spillStores + spillLoads > 0)).toEqual(
        [],
      );
    }
  });

  test.each(ptxTargets.flatMap((target) => [64, 128, 256].map((width) => ({ target, width }))))(
    'long attention, $width wide, for $target',
    async ({ target, width }) => {
      const entry = 'causal_groups';
      const sizes = new Map(Object.entries({ S: 4096, G: 4, R: 4, A: width, B: width }));
      const instance = { entry, sizes, inputDtypes: new Map() };
      const lowered = loweredEntry(checkSmallProgram('unit-attention.ricci'), instance);
      const { module } = compilePtx(lowered, instance, target);
      expect(module).toContain(target === 'sm_90a' ? 'wgmma.mma_async' : 'mma.sync');
      const { kernels, warnings } = await assemble(ptxas!, target, module);
      expect(warnings).toEqual([]);
      expect(kernels.filter(({ spillStores, spillLoads }) => spillStores + spillLoads > 0)).toEqual([]);
    },
  );

  test('what is no PTX is told', async () => {
    const wrong = assemble(ptxas!, 'sm_80', '.version 7.0\n.target sm_80\nadd');
    await expect(wrong).rejects.toThrow(/^ptxas module\.ptx, line 3; fatal {3}: Parsing error near 'add'/);
    await expect(wrong).rejects.toBeInstanceOf(PtxasRefusal);
  });

  test('a spill and a number that is ignored are told', async () => {
    const { kernels, warnings } = await assemble(ptxas!, 'sm_90a', crowded);
    const spilled = new Map(kernels.map(({ kernel, spillStores }) => [kernel, spillStores]));
    expect(spilled.get('crowded')).toBeGreaterThan(0);
    expect(spilled.get('ignored')).toBe(0);
    expect(warnings).toEqual([expect.stringMatching(/\(C7508\).*'setmaxnreg' ignored/)]);
  });
});

/** One keeps more values than it may have registers, one changes their number without `.maxntid`. */
const crowded = [
  '.version 8.0\n.target sm_90a\n.address_size 64',
  '.visible .entry crowded(.param .u64 at) .maxnreg 24 {',
  '.reg .b64 %a; .reg .b32 %r<64>;',
  'ld.param.u64 %a, [at];',
  ...Array.from({ length: 64 }, (_, at) => `ld.volatile.global.u32 %r${at}, [%a+${4 * at}];`),
  ...Array.from({ length: 64 }, (_, at) => `st.volatile.global.u32 [%a+${4 * at}], %r${63 - at};`),
  'ret; }',
  '.visible .entry ignored() { setmaxnreg.dec.sync.aligned.u32 24; ret; }',
].join('\n');
