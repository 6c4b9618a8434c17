import { expect, test } from 'vitest';
import { createProgress } from './progress.ts';

function recorder(isTTY: boolean) {
  const written: string[] = [];
  let time = 0;
  const progress = createProgress({ isTTY, write: (text) => written.push(text) }, () => time);
  return {
    written,
    at: (now: number, stage: string, done: number, total: number) => {
      time = now;
      progress.advance(stage, done, total);
    },
    clear: progress.clear,
  };
}

test('a terminal has one line, drawn at intervals and erased at the end', () => {
  const { written, at } = recorder(true);
  at(0, 'compiling', 0, 9);
  at(10, 'compiling', 1, 9);
  at(200, 'compiling', 2, 9);
  at(201, 'compiling', 9, 9);
  expect(written).toEqual(['\r\x1b[2Kcompiling: 0 of 9', '\r\x1b[2Kcompiling: 2 of 9', '\r\x1b[2K']);
});

test('a log has a line for a long stage, once, and no escapes', () => {
  const { written, at, clear } = recorder(false);
  at(0, 'compiling', 0, 9);
  at(1500, 'compiling', 1, 9);
  at(2500, 'compiling', 2, 9);
  at(9000, 'compiling', 3, 9);
  at(9001, 'evaluating', 0, 5);
  at(9002, 'evaluating', 5, 5);
  clear();
  expect(written).toEqual(['compiling: 2 of 9\n']);
});

test('what is erased is not erased again', () => {
  const { written, at, clear } = recorder(true);
  clear();
  at(0, 'optimizing', 0, 1);
  clear();
  clear();
  expect(written).toEqual(['\r\x1b[2Koptimizing …', '\r\x1b[2K']);
});
