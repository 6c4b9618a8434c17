/** Every planted fault of the compiler is noticed, and without one nothing is. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../driver/package-root.ts';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { collectiveMutants } from './collectives.ts';
import {
  helperMutants,
  reductionMutants,
  scheduleMutants,
  tileMutants,
  wgslMutants,
  withoutFaults,
} from './kernels.ts';
import type { Mutant } from './mutant.ts';
import { optimizerMutants } from './optimizer.ts';
import { partitionerMutants } from './partitioner.ts';
import { applies, openWorld, type World } from './testing.ts';
import { combineMutants, verbMutants } from './verbs.ts';
import { panelMutants, wasmMutants, withoutWasmFaults } from './wasm.ts';

/** Of each member of a set its mutants, or the member that is the same. */
type Members = Readonly<Record<string, readonly Mutant[] | string>>;

const sets: { readonly [set: string]: Members } = {
  'passes of the optimizer': optimizerMutants,
  'passes over collectives': collectiveMutants,
  'stages of the partitioner': partitionerMutants,
  verbs: Object.fromEntries(
    Object.entries(verbMutants).map(([verb, ways]) => [verb, Object.values(ways).flat()]),
  ),
  'how verbs combine': combineMutants,
  schedules: { ...scheduleMutants, ...panelMutants },
  'tile programs': tileMutants,
  'writers of WGSL': wgslMutants,
  'writers of WebAssembly': wasmMutants,
  'at the ends of ranges': { 'helpers.ts': helperMutants, 'reduction.ts': reductionMutants },
};

let world: World;
let device: OpenedDevice;
beforeAll(async () => {
  [world, device] = await Promise.all([openWorld(), openAdapter().then(openDevice)]);
});
afterAll(async () => {
  await world.close();
  device.destroy();
});

/** What is said of the mutant; undefined: it survives. What throws is noticed too. */
async function noticed(mutant: Mutant): Promise<string | undefined> {
  const oracle = await world.oracle(mutant.caughtBy, mutant);
  try {
    return await oracle({ device, on: mutant.on });
  } catch (error) {
    return String(error);
  }
}

const all = Object.values(sets).flatMap((members) =>
  Object.values(members).flatMap((mutants) => (typeof mutants === 'string' ? [] : mutants)),
);

test('every mutant changes one place of a file', () => {
  expect(all.filter((mutant) => !applies(mutant)).map(({ file, from }) => `${file}: ${from}`)).toEqual([]);
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
  ['compiler/tiles/schedules', { ...scheduleMutants, ...panelMutants }, new Set(['context.ts'])],
  ['backends/wgsl', wgslMutants, withoutFaults],
  ['backends/wasm', wasmMutants, withoutWasmFaults],
] as const)('every file of %s has a mutant', (folder, mutants, excepted) => {
  const files = readdirSync(join(packageRoot, folder)).filter((file) => !file.endsWith('.test.ts'));
  expect(files.filter((file) => !(file in mutants) && !excepted.has(file))).toEqual([]);
});

test('nothing is noticed without a fault', async () => {
  const runs = new Map(all.map(({ caughtBy, on }) => [`${caughtBy}: ${on}`, { caughtBy, on }]));
  for (const [name, { caughtBy, on }] of runs) {
    const oracle = await world.oracle(caughtBy);
    expect.soft([name, await oracle({ device, on })]).toEqual([name, undefined]);
  }
});

for (const [set, members] of Object.entries(sets))
  describe.each(
    Object.entries(members).flatMap(([member, mutants]) =>
      typeof mutants === 'string' ? [] : [{ member, mutants }],
    ),
  )(`${set}: $member`, ({ mutants }) => {
    test.each(mutants)('$fault', async (mutant) => {
      expect(await noticed(mutant)).toBeDefined();
    });
  });
