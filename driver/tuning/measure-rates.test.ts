/** Of a device that takes what the cost model says, the rates that it goes by are found again. */
import { expect, test } from 'vitest';
import { costOf } from '../../compiler/tiles/choices/cost.ts';
import { type DeviceProfile, leastDevice } from '../../compiler/tiles/device-profile.ts';
import { type Rates, ratesOf } from '../../compiler/tiles/device-rates.ts';
import { silent } from '../progress.ts';
import { measureRates } from './measure-rates.ts';
import type { Trier } from './trier.ts';

/** Milliseconds of any run, beside what kernels take. */
const always = 0.2;

async function measured(device: DeviceProfile, busy = 0) {
  let clock = 0;
  const trier: Trier = {
    device,
    load: async (_, { steps }) => {
      const runAgain = async () => {
        clock += always + busy + 1000 * costOf(steps, device) * (busy > 0 ? 0 : 1);
      };
      return { run: async () => new Map(), runAgain, time: async () => 0, destroy: () => undefined };
    },
  };
  return measureRates(trier, silent, () => clock);
}

const software = { ...leastDevice, software: true, subgroupSize: 4 };

test.each([
  ['a GPU', leastDevice],
  ['a software adapter', software],
])('%s', async (_, device) => {
  const usual = ratesOf(device);
  const slower = { ...usual, load: 3 * usual.load, barrier: 5 * usual.barrier, kernel: 4 * usual.kernel };
  for (const rates of [usual, slower]) {
    const found = await measured({ ...device, rates });
    for (const name of ['invocations', 'arithmetic', 'load', 'barrier', 'kernel'] satisfies (keyof Rates)[]) {
      expect(found![name] / rates[name], name).toBeGreaterThan(0.5);
      expect(found![name] / rates[name], name).toBeLessThan(2);
    }
  }
});

test('what a busy machine hides is not made up', async () => {
  expect(await measured(software, 5)).toBeUndefined();
});
