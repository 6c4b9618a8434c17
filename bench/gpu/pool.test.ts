/** Processes that share jobs: one that dies or hangs costs its own job, and nothing is lost or done twice. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect, test } from 'vitest';
import { type Heard, type PoolAnswer, runPool } from './pool.ts';

const folder = mkdtempSync(join(tmpdir(), 'ricci-pool-'));
afterAll(() => rmSync(folder, { recursive: true }));
const file = join(folder, 'worker.mjs');
writeFileSync(
  file,
  `process.on('message', ({ what, number }) => {
     if (what === 'die') process.exit(3);
     if (what !== 'hang') process.send({ number, isLast: what === 'fault' });
   });
   process.on('disconnect', () => process.exit(0));`,
);

interface Job {
  readonly what: 'answer' | 'die' | 'fault' | 'hang';
  readonly number: number;
}
interface Answer extends PoolAnswer {
  readonly number: number;
}

async function heardOf(whats: readonly Job['what'][], limit: number) {
  const jobs = whats.map((what, number): Job => ({ what, number }));
  const heard = new Map<number, Heard<Answer>>();
  const pool = { file: pathToFileURL(file), arguments: [], processes: 2, jobs, limit, longest: 4000 };
  const left = await runPool<Job, Answer>(pool, ({ number }, each) => {
    expect(heard.has(number)).toBe(false);
    heard.set(number, each);
  });
  return { heard, left };
}

test('each job has its answer, or why there is none', async () => {
  const whats = ['answer', 'die', 'answer', 'fault', 'hang', 'answer', 'answer'] as const;
  const { heard, left } = await heardOf(whats, 60_000);
  expect(left).toBe(0);
  const expected = {
    ...{ answer: { answer: expect.anything() }, fault: { answer: expect.anything() } },
    die: { ended: 'its process ended: 3' },
    hang: { ended: 'no answer in 4 s' },
  };
  for (const [number, what] of whats.entries()) {
    const each = heard.get(number)!;
    expect(each).toEqual(expected[what]);
    if ('answer' in each) expect(each.answer.number).toBe(number);
  }
});

test('when time is over no job is begun', async () => {
  const { heard, left } = await heardOf(['answer', 'answer', 'answer'], 0);
  expect([heard.size, left]).toEqual([0, 3]);
});
