import { expect, test } from 'vitest';
import { beginWait, endWait, latestWait, overdueWaits, type Waits } from './waits.ts';

const patience = { notice: 60, last: 150 };
const step = (group: string, number: number) => ({ group, step: number, what: 'barrier' });

test('a wait is told of each time its patience has passed, and a last time', () => {
  const waits: Waits = new Map();
  beginWait(waits, step('world', 3), patience, 1000);
  const tellings = Array.from({ length: 160 }, (_, second) =>
    overdueWaits(waits, patience, 1000 * (1 + second)),
  ).flat();
  expect(tellings.map(({ seconds, last }) => [seconds, last])).toEqual([
    [60, false],
    [120, false],
    ...Array.from({ length: 10 }, (_, more) => [150 + more, true]),
  ]);
});

test('the latest wait is the one that began last and has not ended', () => {
  const waits: Waits = new Map();
  for (const each of [step('world', 0), step('sp', 0), step('world', 1)]) beginWait(waits, each, patience, 0);
  expect(latestWait(waits)).toEqual(step('world', 1));
  // What ends late is an earlier step than the one that is waited in.
  endWait(waits, step('world', 0));
  expect(latestWait(waits)).toEqual(step('world', 1));
  endWait(waits, step('world', 1));
  expect(latestWait(waits)).toEqual(step('sp', 0));
});
