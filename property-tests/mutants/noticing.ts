/** For tests: every planted fault of some sets is noticed, and what notices it notices nothing without it. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openAdapter } from '../../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../../runtime/webgpu/device.ts';
import type { Mutant, Oracle, OracleName } from './mutant.ts';
import type { MutantSets } from './table.ts';
import { openWorld, type World } from './testing.ts';

/** Cases of an oracle that are tried without a fault where not all are. */
const mostAlone = 3;

/** All tests together try one fault of each member: `npm run mutants` tries all. */
const triesAll = process.env.MUTANTS === 'all';

export function testNoticing(sets: MutantSets): void {
  let world: World;
  let device: OpenedDevice;
  beforeAll(async () => {
    [world, device] = await Promise.all([openWorld(), openAdapter().then(openDevice)]);
  });
  afterAll(async () => {
    await world.close();
    device.destroy();
  });
  /** Cases that noticed something. */
  const noticing = new Map<OracleName, Set<string>>();

  /** undefined: it survives. */
  async function noticed(mutant: Mutant): Promise<string | undefined> {
    const oracle = await world.oracle(mutant.caughtBy, mutant);
    for (const name of new Set([...mutant.on, ...oracle.cases])) {
      const found = await saidOf(oracle, name, device);
      if (found === undefined) continue;
      const known = noticing.get(mutant.caughtBy) ?? new Set();
      noticing.set(mutant.caughtBy, known.add(name));
      return `${name}: ${found}`;
    }
    return undefined;
  }

  for (const [set, members] of Object.entries(sets))
    describe.each(
      Object.entries(members).flatMap(([member, mutants]) =>
        typeof mutants === 'string' ? [] : [{ member, mutants }],
      ),
    )(`${set}: $member`, ({ mutants }) => {
      test.each(triesAll ? mutants : mutants.slice(0, 1))('$fault', async (mutant) => {
        expect(await noticed(mutant)).toBeDefined();
      });
    });

  test('nothing is noticed without a fault', async () => {
    expect(noticing.size).toBeGreaterThan(0);
    for (const [name, cases] of noticing) {
      const oracle = await world.oracle(name);
      for (const each of triesAll ? cases : [...cases].slice(-mostAlone))
        expect.soft([name, each, await saidOf(oracle, each, device)]).toEqual([name, each, undefined]);
    }
  });
}

/** What throws is noticed too; but a text that names what is not there is no fault of a compiler. */
async function saidOf(oracle: Oracle, name: string, device: OpenedDevice): Promise<string | undefined> {
  try {
    return await oracle.check(name, device);
  } catch (error) {
    if (error instanceof ReferenceError) throw error;
    return String(error);
  }
}
