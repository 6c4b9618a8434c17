/** Where users allow it, matrix units round: by no more than is said of each allowance. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Allowance } from '../compiler/tiles/allowances.ts';
import { type PtxTarget, ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { measured, type Trial } from './allowed.ts';

const seed = fc.readConfigureGlobal().seed ?? 0;

interface Case extends Pick<Trial, 'program' | 'choice' | 'copies' | 'processors'> {
  /** Of instructions in the text. */
  readonly units: RegExp;
}

function testAllowed(allowance: Allowance, cases: readonly (Case & { readonly target: PtxTarget })[]): void {
  test.each(cases.map((each, at) => ({ ...each, inputs: at % 2 === 0 ? 'random' : 'unkind' }) as const))(
    `${allowance}: $program for $target, $inputs inputs, $choice`,
    async ({ units, ...trial }) => {
      const allowed = await measured({ ...trial, allowed: [allowance] });
      expect(allowed.module).toMatch(units);
      expect(allowed.off).toBeLessThanOrEqual(1);
    },
  );
}

const onBoth = (each: Omit<Case, 'units'>, units: Readonly<Record<PtxTarget, RegExp>>) =>
  ptxTargets.map((target) => ({ ...each, target, units: units[target] }));

const [ofWarps, ofGroups] = [/mma\.sync\S*m16n8k8\.row\.col\.f32\.tf32/, /wgmma\S*k8\.f32\.tf32\.tf32/];
const alongSteps = { sm_80: ofWarps, sm_90a: ofGroups };
const acrossThem = { sm_80: ofWarps, sm_90a: ofWarps };

testAllowed('tf32', [
  ...onBoth({ program: 'allowed-units.ricci: of_words M=40,K=72,N=56' }, alongSteps),
  ...onBoth({ program: 'allowed-units.ricci: of_words M=33,K=51,N=70' }, alongSteps),
  ...onBoth({ program: 'allowed-units.ricci: words_across M=33,K=51,N=70' }, acrossThem),
  ...onBoth({ program: 'contractions.ricci: matmul M=37,K=40,N=48' }, acrossThem),
  ...(['late', { seed }] as const).map((copies) => ({
    program: 'allowed-units.ricci: of_words M=200,K=136,N=136',
    choice: 'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=32 stages=3',
    ...({ target: 'sm_90a', units: ofGroups, copies, processors: 2 } as const),
  })),
]);

const eights = /wgmma\S*k32\.f32\.e[45]m[23]\.e[45]m[23]/;
const wide = 'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=128 stages=2';
const tall = 'units warpRows=8 warpColumns=1 rows=32 columns=32 depth=128 stages=2 cluster=2';

testAllowed(
  'f8-sums',
  (
    [
      { program: 'of_eights M=40,K=144,N=56' },
      { program: 'of_eights M=9,K=1056,N=24' },
      { program: 'of_eights M=200,K=272,N=72', choice: wide, copies: 'late', processors: 2 },
      { program: 'scaled_eights M=70,B=3,J=128,N=72' },
      { program: 'scaled_eights M=136,B=2,J=128,N=72', choice: wide, copies: { seed }, processors: 2 },
      { program: 'scaled_eights M=40,B=5,J=32,N=33' },
      { program: 'blocks_of_eights M=40,B=3,J=128,N=2' },
      { program: 'blocks_of_eights M=264,B=2,J=128,N=1', choice: tall, copies: 'late', processors: 2 },
      { program: 'scaled_eights M=500,B=2,J=128,N=33', choice: tall, copies: { seed }, processors: 2 },
      { program: 'eights_by_position M=70,B=5,N=24' },
      { program: 'experts_of_eights T=40,E=5,F=3,B=4,J=32' },
      { program: 'experts_of_eights T=150,E=3,F=1,B=2,J=128', choice: wide, copies: 'late' },
    ] as const
  ).map((each) => ({
    ...each,
    program: `allowed-units.ricci: ${each.program}`,
    ...({ target: 'sm_90a', units: eights } as const),
  })),
);
