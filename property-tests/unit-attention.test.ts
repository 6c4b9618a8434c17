/** Attention by matrix units, in every form that it may take, in the emulator. */
import { expect, test } from 'vitest';
import { printTileProgram } from '../compiler/tiles/print.ts';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { checkByUnits, loweredByName } from './by-units.ts';

const cases = [
  'full_halves S=40,U=100,H=2,A=16,B=32',
  'full_halves S=7,U=33,H=1,A=24,B=12',
  'causal_groups S=70,G=2,R=2,A=32,B=32',
  'causal_groups S=33,G=1,R=3,A=64,B=64',
  'turned_heads S=4,G=2,R=2,A=16,B=16',
  'also_summed S=20,G=2,R=2,A=16,B=16',
  'sliding S=50,G=1,R=2,A=16,B=16',
  'sliding S=70,G=1,R=1,A=32,B=64',
  // In parts, which are put together.
  'full_halves S=7,U=260,H=1,A=16,B=16',
  'texts S=45,H=2,A=16,B=24',
  'capped_groups S=40,G=1,R=1,A=16,B=48',
  'cached_keys S=5,G=2,R=4,U=90,A=16,B=16',
  'pages B=3,G=2,R=4,A=32,P=16,N=9,L=6',
  'and_product S=40,U=70,H=2,A=64,M=40,K=64,N=40',
  'heads_first S=37,H=2,A=32,B=20',
  'blind_across S=21,U=50,A=16,B=13',
  'steep S=70,U=130,A=32,B=64',
  'steep S=70,U=120,A=16,B=64',
];

/** Queries of several heads as boxes, those of the last rows cut off, and of one head. */
test.each(['causal_groups S=70,G=2,R=4,A=64,B=64', 'heads_outside S=128,G=2,R=2,A=32,B=64'])(
  '%s as boxes',
  async (name) => {
    const { instance, lowered } = loweredByName('unit-attention.ricci', name);
    const { manifest } = compilePtx(lowered, instance, 'sm_90a').package;
    expect(manifest.kernels[0]?.maps?.map(({ box }) => box.length)).toEqual([4, 3, 3]);
    await checkByUnits('unit-attention.ricci', name, 'unitStream', { target: 'sm_90a', turns: 2 });
  },
);

test('heads that are merged, and rounded as they are stored, take no kernel, and weights two parts', () => {
  const name = 'causal_groups S=4096,G=8,R=4,A=64,B=64';
  const { instance, lowered } = loweredByName('unit-attention.ricci', name);
  const { schedule, package: made } = compilePtx(lowered, instance, 'sm_90a');
  expect(made.manifest).toMatchObject({
    kernels: [expect.anything()],
    outputs: [{ path: 'out', dtype: 'bf16', shape: [4096, 32, 64] }],
  });
  const [step] = schedule.steps;
  const printed = step?.kind === 'kernel' ? printTileProgram(step.program) : '';
  expect(printed).toContain('packed weights: bf16 × 2[');
});

/** And where there are few queries, whose keys are better gone through in parts, in two. */
test.each(ptxTargets)('the logarithm of a total is of the kernel that attends, for %s', (target) => {
  const kernelsOf = (name: string) => {
    const { instance, lowered } = loweredByName('unit-attention.ricci', name);
    return compilePtx(lowered, instance, target).kernels.filter(({ entry }) => /mma/.test(entry)).length;
  };
  expect(kernelsOf('causal_and_total S=4096,G=2,R=4,A=64,B=64')).toBe(1);
  expect(kernelsOf('causal_and_total S=1024,G=1,R=1,A=64,B=64')).toBe(2);
});

test.each(cases.map((name, at) => ({ name, target: ptxTargets[at % ptxTargets.length]! })))(
  '$name for $target',
  ({ name, target }) => checkByUnits('unit-attention.ricci', name, 'unitStream', { target, turns: 2 }),
);

/** Boxes of a batch of several axes. */
test.each(['batches B=2,H=3,S=40,A=64', 'batches_across B=2,H=3,S=40,A=64'])('%s', (name) =>
  checkByUnits('unit-attention.ricci', name, 'unitStream', { target: 'sm_90a', turns: 1 }),
);
