/** The table of planted faults has all of which there should be one, and says something of the text as it is. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { packageRoot } from '../../driver/package-root.ts';
import { scheduleMutants, wgslMutants, withoutFaults } from './kernels.ts';
import { allowedMutants, ptxMutants, unitMutants, withoutPtxFaults } from './ptx.ts';
import { rowMutants } from './rows.ts';
import { graphMutants, kernelMutants, mutantsOf } from './table.ts';
import { applies } from './testing.ts';
import { formulaMutants, panelMutants, wasmMutants, withoutWasmFaults, writingMutants } from './wasm.ts';

const sets = { ...graphMutants, ...kernelMutants };

test('every mutant changes one place of a file', () => {
  const astray = mutantsOf(sets).filter((mutant) => !applies(mutant));
  expect(astray.map(({ file, from }) => `${file}: ${from}`)).toEqual([]);
});

test('everything has a mutant', () => {
  const without = Object.entries(sets).flatMap(([set, members]) =>
    Object.entries(members).flatMap(([member, mutants]) =>
      mutants.length === 0 ? [`${set}: ${member}`] : [],
    ),
  );
  expect(without).toEqual([]);
});

test.each([
  [
    'compiler/tiles/schedules',
    { ...scheduleMutants, ...panelMutants, ...rowMutants, ...unitMutants, ...allowedMutants },
    { 'context.ts': 'has types' },
  ],
  ['backends/wgsl', wgslMutants, withoutFaults],
  ['backends/wasm', wasmMutants, withoutWasmFaults],
  ['backends/cuda-ptx/emit', { ...ptxMutants, ...allowedMutants }, withoutPtxFaults],
  ['backends/formulas', formulaMutants, {}],
  ['backends/writing', writingMutants, {}],
] as const)('every file of %s has a mutant', (folder, mutants, excepted) => {
  const files = readdirSync(join(packageRoot, folder)).filter((file) => !file.endsWith('.test.ts'));
  expect(files.filter((file) => !(file in mutants) && !(file in excepted))).toEqual([]);
  expect(Object.keys(excepted).filter((file) => !files.includes(file) || file in mutants)).toEqual([]);
});
