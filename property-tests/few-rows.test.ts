/** Products of few rows in the emulator, and how many kernels a layer takes that decodes a token. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { checkByUnits, preparedByName } from './by-units.ts';
import { deviceToleranceOf, distance, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram } from './small-programs.ts';

const file = 'decoding.ricci';
const seed = fc.readConfigureGlobal().seed ?? 0;

/** Steps that are read together go into what is reduced, or leave some, or all. */
test.each(
  [
    'inputs_together T=1,D=520,F=72',
    'inputs_together T=2,D=264,F=40',
    'inputs_together T=3,D=100,F=70',
    'inputs_together T=1,D=33,F=9',
    'outputs_together T=1,D=520,F=72',
    'wide_inputs T=1,D=700,F=20',
    'wide_inputs T=7,D=260,F=13',
    'picked_experts D=72,E=5,F=36,K=2',
    'picked_experts D=40,E=3,F=18,K=3',
  ].map((name, at) => ({ name, target: ptxTargets[at % 2]! })),
)('$name for $target', async ({ name, target }) => {
  await checkByUnits(file, name, 'thin', { target, turns: allAsPtx ? 12 : 3 });
});

describe('a layer', () => {
  test.each([1, 2])('for %i tokens is ten kernels', (S) => {
    const sizes = new Map(Object.entries({ S, U: 4096, D: 4096, G: 8, R: 4, P: 64, F: 14_336 }));
    const instance = { entry: 'block', sizes, inputDtypes: new Map() };
    const { kernels } = compilePtx(loweredEntry(checkSmallProgram(file), instance), instance, 'sm_90a');
    expect(kernels.map(({ name }) => name)).toHaveLength(10);
  });

  test.each([
    [1, 'sm_80'],
    [1, 'sm_90a'],
    [5, 'sm_90a'],
    [16, 'sm_90a'],
  ] as const)('decodes %i tokens for %s', async (S, target) => {
    const { instance, lowered, inputs, written } = preparedByName(
      file,
      `block S=${S},U=40,D=128,G=2,R=2,P=8,F=160`,
    );
    const off = distance(written, await runPtx(lowered, instance, inputs, { target, copies: { seed } }));
    expect(off).toBeLessThanOrEqual(deviceToleranceOf(written));
  });
});
