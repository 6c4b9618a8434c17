/**
 * NVIDIA's assembler takes every kernel of the small programs, for each target, without a word of warning, and
 * keeps all that a thread has in registers. Without it nothing is tested, which in CI is a failure.
 */
import { describe, expect, test } from 'vitest';
import { moduleText } from '../backends/cuda-ptx/emit/emit.ts';
import type { PtxKernel } from '../backends/cuda-ptx/emit/kernel.ts';
import { type Assembly, assemble, findPtxas, PtxasRefusal } from '../backends/cuda-ptx/ptxas.ts';
import { type Allowance, foreignAllowance } from '../compiler/tiles/allowances.ts';
import { type PtxTarget, ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { instancesOf } from './instances.ts';
import { namedProgram } from './named-program.ts';
import { loweredEntry } from './run-entry.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

const ptxas = findPtxas(process.env);
const isThere = ptxas !== undefined;

test('ptxas is there', ({ skip }) => {
  if (!isThere && process.env.CI === undefined) skip('no ptxas on the PATH: install the CUDA toolkit');
  expect(isThere).toBe(true);
});

/** Those of all entries of a file, their names made different. */
function kernelsOf(file: string, target: PtxTarget): readonly PtxKernel[] {
  const checked = checkSmallProgram(file);
  return exportedEntries(checked).flatMap((entry, place) =>
    chosenOf(instancesOf(checked.program, entry), place, target).flatMap((sizes, at) => {
      const instance = { entry, sizes, inputDtypes: new Map() };
      const { kernels } = compilePtx(loweredEntry(checked, instance), instance, target);
      return kernels.map((kernel) => {
        const name = `${entry}_${at}_${kernel.name}`;
        return { ...kernel, name, entry: kernel.entry.replace(`.entry ${kernel.name}(`, `.entry ${name}(`) };
      });
    }),
  );
}

type Sizes = ReadonlyMap<string, number>;

/**
 * All; or of every other entry, for one of the targets, one and another with an extent of 0 or 1, where kernels
 * have least of what others have.
 */
function chosenOf(instances: readonly Sizes[], place: number, target: PtxTarget): readonly Sizes[] {
  if (allAsPtx) return instances;
  if (place % 4 !== 2 * ptxTargets.indexOf(target)) return [];
  const least = instances.filter((sizes) => [...sizes.values()].some((extent) => extent <= 1));
  const chosen = [instances[place % instances.length], least[place % least.length]];
  return [...new Set(chosen)].filter((sizes) => sizes !== undefined);
}

function expectTaken({ warnings, kernels }: Assembly, count: number): void {
  expect(warnings).toEqual([]);
  expect(kernels).toHaveLength(count);
}

function expectNoSpill(assembly: Assembly, count: number): void {
  expectTaken(assembly, count);
  const spilling = assembly.kernels.filter(({ spillStores, spillLoads }) => spillStores + spillLoads > 0);
  expect(spilling).toEqual([]);
}

/** Of some kernels of tiny sizes ptxas would rather spill a word than take a register more than 32. */
const expectedOfSmall = allAsPtx ? expectTaken : expectNoSpill;

/** Programs of the sizes that models have, whether their products are of matrix units, and what is allowed. */
const large: readonly (readonly [program: string, isOfUnits: boolean, allowed?: Allowance])[] = [
  ['units.ricci: plain M=4096,K=4096,N=4096', true],
  ['units.ricci: wide_result M=8192,K=2048,N=1536', true],
  ['units.ricci: left_across M=1024,K=8192,N=2048', true],
  ['units.ricci: of_eight_bits M=4096,K=4096,N=4096', true],
  ['units.ricci: kept_positive M=2048,K=4096,N=11008', true],
  ['units.ricci: experts_of_halves T=4096,D=2048,E=8,F=4096', true],
  ['units.ricci: three_products M=4096,K=4096,N=4096', true],
  ['units.ricci: wide_left M=4096,K=4096,N=4096', true],
  ['units.ricci: next_words T=4096,D=4096,V=32000', true],
  ['units.ricci: hidden_words B=4,T=1000,D=1024,V=50264', true],
  ['units.ricci: plain M=8,K=4096,N=4096', false],
  ['unit-attention.ricci: causal_groups S=4096,G=4,R=4,A=64,B=64', true],
  ['unit-gradient.ricci: causal_gradient S=8192,G=16,R=1,A=128,B=128', true],
  ['unit-gradient.ricci: sliding_gradient S=4096,H=16,A=128,B=128', true],
  ['unit-attention.ricci: causal_groups S=4096,G=4,R=4,A=128,B=128', true],
  ['unit-attention.ricci: heads_first S=4096,H=8,A=128,B=128', true],
  ['unit-attention.ricci: causal_groups S=4096,G=4,R=4,A=256,B=256', true],
  ['unit-attention.ricci: texts S=200,H=4,A=64,B=64', true],
  ['unit-attention.ricci: causal_groups S=4096,G=4,R=2,A=128,B=128', true],
  ['unit-attention.ricci: cached_keys S=1,G=8,R=4,U=8192,A=128,B=128', false],
  ['contractions.ricci: matmul M=2048,K=2048,N=2048', false],
  ['allowed-units.ricci: of_words M=4096,K=4096,N=4096', true, 'tf32'],
  ['contractions.ricci: matmul M=4096,K=4096,N=4096', true, 'tf32'],
  ['allowed-units.ricci: of_eights M=4096,K=4096,N=4096', true, 'f8-sums'],
  ['allowed-units.ricci: blocks_of_eights M=4096,B=32,J=128,N=32', true, 'f8-sums'],
  ['allowed-units.ricci: scaled_eights M=4096,B=32,J=128,N=4096', true, 'f8-sums'],
  ['allowed-units.ricci: experts_of_eights T=4096,E=8,F=32,B=16,J=128', true, 'f8-sums'],
];

describe.runIf(isThere)('assembles', () => {
  test.each(programFiles)('%s', async (file) => {
    for (const target of ptxTargets) {
      const kernels = kernelsOf(file, target);
      if (kernels.length === 0) continue;
      expectedOfSmall(await assemble(ptxas!, target, moduleText(target, kernels)), kernels.length);
    }
  });

  test.each(
    ptxTargets.flatMap((target, at) =>
      large
        .filter((_, place) => allAsPtx || target === 'sm_90a' || place % 2 === at)
        .map(([program, isOfUnits, allowance]) => ({
          ...{ target, program, isOfUnits },
          allowed: allowance === undefined ? [] : [allowance],
        }))
        .filter(({ allowed }) => foreignAllowance(allowed, target) === undefined),
    ),
  )('$program for $target', async ({ target, program, isOfUnits, allowed }) => {
    const { checked, entry, instances } = namedProgram(program);
    const instance = { entry, sizes: instances[0]!, inputDtypes: new Map(), allowed };
    const { module, kernels: all } = compilePtx(loweredEntry(checked, instance), instance, target);
    if (isOfUnits) expect(module).toMatch(target === 'sm_90a' ? /wgmma.mma_async|tf32/ : /mma.sync/);
    expectNoSpill(await assemble(ptxas!, target, module), all.length);
  });

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
