/** Products by matrix units, in every form that they may take, in the emulator. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Choice } from '../compiler/tiles/choices/choice.ts';
import { parseChoice } from '../compiler/tiles/choices/choice-text.ts';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { compilePtx } from '../driver/compile.ts';
import { tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { checkByUnits, preparedByName } from './by-units.ts';
import { deviceToleranceOf, distance, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram } from './small-programs.ts';

const seed = fc.readConfigureGlobal().seed ?? 0;
const file = 'units.ricci';

const cases = [
  'plain M=40,K=72,N=56',
  'plain M=33,K=50,N=70',
  'plain M=16,K=7,N=13',
  'wide_result M=70,K=96,N=40',
  'wide_result M=5,K=33,N=9',
  'left_across M=48,K=40,N=64',
  'left_across M=37,K=20,N=66',
  'both_across M=40,K=64,N=24',
  'both_across M=21,K=12,N=19',
  'batched_halves B=3,M=20,K=40,N=24',
  'of_eight_bits M=40,K=64,N=48',
  'of_eight_bits M=64,K=16,N=16',
  'looked_up M=32,K=16,N=40,V=5',
  'kept_positive M=24,K=48,N=40',
  'rounded_between M=24,K=40,N=32,P=48',
  'rounded_for_one M=24,K=40,N=32',
  'experts_of_halves T=50,D=64,E=4,F=40',
  'experts_of_halves T=9,D=24,E=5,F=16',
  'next_words T=20,D=20,V=1037',
  'hidden_words B=2,T=5,D=24,V=1032',
  'experts_of_eight_bits T=40,D=128,E=3,F=64',
  'three_products M=40,K=72,N=40',
  'wide_left M=40,K=72,N=56',
  'wide_right M=9,K=33,N=20',
  // In one kernel.
  'two_alike M=40,K=32,N=72',
];

/** Choices that are drawn for a case on one of the targets. */
const most = allAsPtx ? 8 : 2;

test.each(
  cases.flatMap((name, at) =>
    ptxTargets.map((target, place) => ({ name, target, turns: (at + place) % 2 === 0 ? most : 1 })),
  ),
)('$name for $target', async ({ name, target, turns }) => {
  await checkByUnits(file, name, 'units', { target, turns });
});

test('results that are exchanged, of columns that are no power of two', async () => {
  const { instance, lowered, inputs, written } = preparedByName(
    file,
    'experts_of_eight_bits T=140,D=64,E=2,F=184',
  );
  const choice = 'units warpRows=8 warpColumns=1 rows=16 columns=176 depth=64 stages=2';
  const advised = { ...instance, advice: () => parsedChoice(choice) };
  const off = distance(written, await runPtx(lowered, advised, inputs, { target: 'sm_90a' }));
  expect(off).toBeLessThanOrEqual(deviceToleranceOf(written));
});

test.each(ptxTargets)('logits of f32 in parts, for %s', async (target) => {
  await checkByUnits('softmax.ricci', 'vocabulary B=1,T=9,D=8,V=1030', 'units', { target, turns: 2 });
});

/** A warpgroup that brings boxes, and others that compute. */
test.each(
  [
    ['plain M=200,K=200,N=136', 'units warpRows=8 warpColumns=1 rows=16 columns=128 depth=64 stages=3'],
    ['wide_result M=72,K=328,N=100', 'units warpRows=4 warpColumns=1 rows=16 columns=64 depth=64 stages=2'],
    ['left_across M=136,K=96,N=72', 'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=32 stages=4'],
    ['both_across M=200,K=136,N=40', 'units warpRows=4 warpColumns=1 rows=32 columns=32 depth=64 stages=3'],
    [
      'batched_halves B=3,M=40,K=72,N=72',
      'units warpRows=4 warpColumns=1 rows=16 columns=64 depth=16 stages=4',
    ],
    ['next_words T=70,D=40,V=1037', 'units warpRows=4 warpColumns=1 rows=16 columns=256 depth=16 stages=3'],
    [
      'experts_of_halves T=300,D=200,E=3,F=136',
      'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3',
    ],
    [
      'experts_of_halves T=70,D=64,E=11,F=40',
      'units warpRows=4 warpColumns=1 rows=16 columns=32 depth=16 stages=2',
    ],
    [
      'experts_rounded T=70,D=72,E=3,F=136',
      'units warpRows=4 warpColumns=1 rows=32 columns=64 depth=64 stages=2',
    ],
    // As many columns as fill the last wave.
    ['left_across M=136,K=96,N=200', 'units warpRows=8 warpColumns=1 rows=16 columns=192 depth=64 stages=2'],
    [
      'experts_of_halves T=140,D=72,E=3,F=360',
      'units warpRows=8 warpColumns=1 rows=16 columns=176 depth=64 stages=3',
    ],
  ].flatMap(([name, choice], at) =>
    (['late', 'early', { seed }] as const)
      .filter((_, place) => allAsPtx || place === 0 || place === 1 + (at % 2))
      .map((copies) => ({ name: name!, choice: choice!, copies })),
  ),
)('$name, copies $copies', async ({ name, choice, copies }) => {
  const { instance, lowered, inputs, written } = preparedByName(file, name);
  const advised = { ...instance, advice: () => parsedChoice(choice) };
  expect(compilePtx(lowered, advised, 'sm_90a').module).toContain('cp.async.bulk.tensor');
  const off = distance(written, await runPtx(lowered, advised, inputs, { target: 'sm_90a', copies }));
  expect(off).toBeLessThanOrEqual(deviceToleranceOf(written));
});

/** Few processors, so that each goes on to other tiles while what it has done leaves. */
test.each(
  (
    [
      [
        'plain M=200,K=200,N=136',
        'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=3 cluster=2',
        'early',
      ],
      [
        'plain M=200,K=72,N=136',
        'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2 cluster=2',
        'late',
      ],
      [
        'gated M=136,K=136,N=200',
        'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=4 cluster=2',
        { seed },
      ],
      [
        'wide_result M=136,K=72,N=150',
        'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=4',
        'late',
      ],
      [
        'left_across M=136,K=72,N=136',
        'units warpRows=8 warpColumns=1 rows=16 columns=32 depth=32 stages=4',
        { seed },
      ],
      [
        'experts_rounded T=150,D=72,E=3,F=136',
        'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=64 stages=2 cluster=2',
        'late',
      ],
      [
        'batched_halves B=2,M=136,K=40,N=72',
        'units warpRows=4 warpColumns=1 rows=32 columns=128 depth=64 stages=4',
        'late',
      ],
      [
        'wide_left M=136,K=64,N=72',
        'units warpRows=8 warpColumns=1 rows=16 columns=64 depth=32 stages=3',
        'late',
      ],
      [
        'next_words T=136,D=24,V=1030',
        'units warpRows=8 warpColumns=1 rows=16 columns=256 depth=16 stages=4',
        { seed },
      ],
    ] as const
  ).map(([name, choice, copies]) => ({ name, choice, copies })),
)('$name by two processors, copies $copies', async ({ name, choice, copies }) => {
  const { instance, lowered, inputs, written } = preparedByName(file, name);
  const advised = { ...instance, processors: 2, advice: () => parsedChoice(choice) };
  const { kernels } = compilePtx(lowered, advised, 'sm_90a');
  const products = kernels.filter((kernel) => /^(contract|grouped)_/.test(kernel.name));
  expect(products.map(({ grid }) => grid)).toEqual([[2, 1, 1]]);
  const off = distance(written, await runPtx(lowered, advised, inputs, { target: 'sm_90a', copies }));
  expect(off).toBeLessThanOrEqual(deviceToleranceOf(written));
});

/**
 * Where f32 numbers are multiplied in parts: every number is the sum of its parts, but for the smallest of all,
 * whose last bits bf16 does not have, and infinities stay such.
 */
test.each(ptxTargets)('no bit of an f32 is lost for %s', async (target) => {
  const [rows, depth, columns] = [32, 16, 16];
  const sizes = new Map([
    ['M', rows],
    ['K', depth],
    ['N', columns],
  ]);
  const choice = parsedChoice('units warpRows=1 warpColumns=1 rows=16 columns=16 depth=16 stages=2');
  const instance = { entry: 'wide_left', sizes, inputDtypes: new Map(), advice: () => choice };
  const lowered = loweredEntry(checkSmallProgram(file), instance);
  expect(compilePtx(lowered, instance, target).module).toContain('mma.sync');
  const powers = Array.from({ length: columns }, (_, column) => 2 ** (column - 8));
  const number = fc.float().map((value) => (Math.abs(value) < 2 ** -100 ? 0 : value));
  const numbers = fc.array(number, { minLength: rows - 4, maxLength: rows - 4 });
  const largest = (2 - 2 ** -23) * 2 ** 127;
  await fc.assert(
    fc.asyncProperty(numbers, async (drawn) => {
      const values = [...drawn, Number.POSITIVE_INFINITY, largest, -largest, Number.NaN];
      const placed = values.flatMap((value, row) =>
        Array.from({ length: depth }, (_, k) => (k === row % depth ? value : 0)),
      );
      const factors = powers.flatMap((power) => Array.from({ length: depth }, () => power));
      const inputs = new Map([
        ['a', tensorFromValues('f32', [rows, depth], placed)],
        ['b', tensorFromValues('bf16', [columns, depth], factors)],
      ]);
      const found = (await runPtx(lowered, instance, inputs, { target })).get('out')!;
      const wanted = values.flatMap((value) => powers.map((power) => Math.fround(value * power) + 0));
      expect([...tensorValues(found)].map((value) => value + 0)).toEqual(wanted);
    }),
    { numRuns: 3 },
  );
});

function parsedChoice(text: string): Choice {
  const choice = parseChoice(text);
  if ('wrong' in choice) throw new Error(choice.wrong);
  return choice;
}
