/** What the hub says when ranks end. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Ending } from './endings.ts';
import { newHub } from './hub.ts';
import type { Word } from './messages.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function hubOf(ranks: number) {
  const told: { readonly rank: number; readonly word: Word }[] = [];
  const hub = newHub(
    ranks,
    (rank) => `rank ${rank}`,
    (rank, word) => told.push({ rank, word }),
  );
  hub.hear(0, { kind: 'group', group: { id: 'world', label: 'world', members: [...Array(ranks).keys()] } });
  return { hub, told };
}

function verdict(
  endings: readonly { readonly rank: number; readonly ending: Ending; readonly at: number }[],
) {
  const { hub, told } = hubOf(3);
  for (const { rank, ...end } of endings) hub.hear(rank, { kind: 'ended', ...end });
  vi.runAllTimers();
  expect(told.map(({ rank }) => rank)).toEqual([0, 1, 2]);
  expect(hub.isOver()).toBe(true);
  const [first] = told;
  return first?.word.kind === 'failed' ? first.word.text : undefined;
}

test('the first that ended is named, though another is heard of first', () => {
  const death: Ending = { by: 'death' };
  expect(
    verdict([
      { rank: 0, ending: { by: 'signal', signal: 6 }, at: 12 },
      { rank: 2, ending: { by: 'signal', signal: 9 }, at: 10 },
      { rank: 1, ending: death, at: 11 },
    ]),
  ).toBe('rank 2 died (signal 9)');
  expect(verdict([{ rank: 1, ending: death, at: 11 }])).toBe(
    'rank 1 died (killed, or crashed in native code)',
  );
});

test('what the launcher ends is not the cause', () => {
  const terminated: Ending = { by: 'signal', signal: 15 };
  expect(
    verdict([
      { rank: 0, ending: terminated, at: 10 },
      { rank: 2, ending: { by: 'exit', status: 3 }, at: 11 },
    ]),
  ).toBe('rank 2 exited with status 3 without closing its communicator');
  expect(
    verdict([
      { rank: 0, ending: { by: 'signal', signal: 9 }, at: 10 },
      { rank: 1, ending: { by: 'signal', signal: 11 }, at: 11 },
    ]),
  ).toBe('rank 1 died (signal 11)');
  expect(verdict([{ rank: 0, ending: terminated, at: 10 }])).toBe('rank 0 died (signal 15)');
});

test('who has ended says nothing of it, and nobody says that the user pressed Ctrl-C', () => {
  for (const [signal, silent] of [
    [9, 1],
    [2, 'all'],
  ] as const) {
    const { hub, told } = hubOf(2);
    hub.hear(1, { kind: 'ended', ending: { by: 'signal', signal }, at: 10 });
    vi.runAllTimers();
    expect(told.map(({ word }) => word)).toEqual(Array(2).fill(expect.objectContaining({ silent })));
  }
});

test('a connection that closes is the end of a rank, unless it has left', () => {
  const { hub, told } = hubOf(2);
  hub.hear(1, { kind: 'left' });
  hub.lost(1);
  vi.runAllTimers();
  expect(told).toEqual([]);
  hub.hear(0, { kind: 'left' });
  expect(hub.isOver()).toBe(true);
  const other = hubOf(2);
  other.hub.lost(1);
  vi.runAllTimers();
  expect(other.told).toHaveLength(2);
});

test('a mismatch is told all, and nothing after it', () => {
  const { hub, told } = hubOf(2);
  const call = (rank: number, what: string) =>
    hub.hear(rank, { kind: 'steps', begun: [{ group: 'world', step: 0, what }] });
  call(0, 'barrier');
  call(1, 'shift(by 1) of 4 f32');
  hub.hear(1, { kind: 'abort', reason: 'of it' });
  const text = 'rank 0 calls barrier, but rank 1 calls shift(by 1) of 4 f32 over world (step 0)';
  expect(told.map(({ word }) => word)).toEqual(Array(2).fill({ kind: 'failed', text }));
});

test('who waits too long is told for whom; the last time, all are', () => {
  const { hub, told } = hubOf(2);
  const step = { group: 'world', step: 0, what: 'barrier' };
  hub.hear(1, { kind: 'steps', begun: [step] });
  hub.hear(1, { kind: 'overdue', step, seconds: 60, last: false });
  const text = (seconds: number) =>
    `rank 1 has waited ${seconds} s in barrier over world (step 0) for rank 0 (nothing called yet)`;
  expect(told).toEqual([{ rank: 1, word: { kind: 'notice', text: text(60) } }]);
  hub.hear(1, { kind: 'overdue', step, seconds: 600, last: true });
  expect(told.slice(1).map(({ word }) => word)).toEqual(Array(2).fill({ kind: 'failed', text: text(600) }));
});
