/** Every planted fault of the compiler is noticed, and without one nothing is. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import { collectiveMutants } from './collectives.ts';
import { helperMutants, reductionMutants, scheduleMutants, wgslMutants } from './kernels.ts';
import type { Mutant } from './mutant.ts';
import { optimizerMutants } from './optimizer.ts';
import { partitionerMutants } from './partitioner.ts';
import { applies, openWorld, type World } from './testing.ts';
import { combineMutants, verbMutants } from './verbs.ts';

const sets: { readonly [set: string]: { readonly [member: string]: readonly Mutant[] | string } } = {
  'passes of the optimizer': optimizerMutants,
  'passes over collectives': collectiveMutants,
  'stages of the partitioner': partitionerMutants,
  verbs: Object.fromEntries(
    Object.entries(verbMutants).map(([verb, ways]) => [verb, Object.values(ways).flat()]),
  ),
  'how verbs combine': combineMutants,
  schedules: scheduleMutants,
  'writers of WGSL': wgslMutants,
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

/** What is noticed; undefined: the mutant survives. */
async function noticed(mutant: Mutant): Promise<string | undefined> {
  try {
    const oracle = await world.oracle(mutant.caughtBy, mutant);
    return await oracle({ device, on: mutant.on });
  } catch (error) {
    return `thrown: ${error instanceof Error ? error.message : String(error)}`;
  }
}

const all = Object.values(sets)
  .flatMap((set) => Object.values(set))
  .flatMap((mutants) => (typeof mutants === 'string' ? [] : mutants));

test('every mutant changes one place of a file', () => {
  expect(all.filter((mutant) => !applies(mutant)).map(({ file, from }) => `${file}: ${from}`)).toEqual([]);
});

test('nothing is noticed without a fault', async () => {
  const runs = new Map(all.map(({ caughtBy, on }) => [`${caughtBy} ${on}`, { caughtBy, on }]));
  for (const [name, { caughtBy, on }] of runs) {
    const oracle = await world.oracle(caughtBy);
    expect.soft([name, await oracle({ device, on })]).toEqual([name, undefined]);
  }
});

for (const [set, members] of Object.entries(sets))
  describe.each(Object.entries(members))(`${set}: %s`, (_, mutants) => {
    if (typeof mutants === 'string')
      return test(`is as ${mutants}`, () => expect(members).toHaveProperty([mutants]));
    test.each(mutants)('$fault', async (mutant) => {
      const t = Date.now();
      const said = await noticed(mutant);
      console.log(mutant.fault, '→', said?.slice(0, 100).split('\n')[0], Date.now() - t);
      expect(said).toBeDefined();
    });
    return undefined;
  });
