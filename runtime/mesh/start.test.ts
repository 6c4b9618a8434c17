import { expect, test } from 'vitest';
import type { World } from './communicator.ts';
import { inProcess } from './in-process.ts';
import { othersCanStart, startTogether } from './start.ts';

/** What each of four ranks does to start, and how that ends. */
async function endings(begin: (world: World) => Promise<unknown>): Promise<readonly string[]> {
  const settled = await Promise.allSettled(inProcess(4).map(begin));
  return settled.map((each) =>
    each.status === 'fulfilled' ? `${each.value}` : (each.reason as Error).message,
  );
}

const start = (world: World, program: string, inputs = '') =>
  startTogether(world, { program, 'set of inputs': inputs }).then(() => 'started');

test('ranks of one program start', async () => {
  expect(await endings((world) => start(world, 'one'))).toEqual(Array(4).fill('started'));
});

test('ranks of different programs or inputs do not', async () => {
  const differing = await endings((world) => start(world, world.rank === 2 ? 'another' : 'one'));
  expect(differing).toEqual(Array(4).fill('rank 2 has another program than ranks 0, 1 and 3'));
  const inputs = await endings((world) => start(world, 'one', world.rank === 1 ? 'another' : 'one'));
  expect(inputs).toEqual(Array(4).fill('rank 1 has another set of inputs than ranks 0, 2 and 3'));
  // Having been told, none can start.
  const told = await endings((world) =>
    start(world, `${world.rank}`).catch(async () => `others: ${await othersCanStart(world)}`),
  );
  expect(told).toEqual(Array(4).fill('others: false'));
});

test('ranks of different blocks do not, where they should have the same', async () => {
  const withBlocks = (world: World, content: string) =>
    startTogether(world, { program: 'one' }, new Map([[`input x (block ${world.rank % 2})`, content]]));
  const same = await endings((world) => withBlocks(world, `${world.rank % 2}`).then(() => 'started'));
  expect(same).toEqual(Array(4).fill('started'));
  const differing = await endings((world) => withBlocks(world, world.rank === 3 ? 'another' : 'one'));
  expect(differing).toEqual(Array(4).fill('rank 3 has another input x (block 1) than rank 1'));
});

test('a rank that cannot start ends the job of those that wait for it', async () => {
  const ended = await endings(async (world) => {
    if (world.rank !== 2) return start(world, 'one');
    expect(await othersCanStart(world)).toBe(true);
    return world.abort('no such file');
  });
  expect(ended).toEqual(Array(4).fill('rank 2 gave up: no such file'));
});

test('where none can start, all know', async () => {
  expect(await endings(othersCanStart)).toEqual(Array(4).fill('false'));
});
