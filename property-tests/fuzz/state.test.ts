/** What a long search keeps. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { counterexampleText, readCounterexample } from './counterexample.ts';
import { addFinding, newState } from './state.ts';
import { draw } from './subject.ts';

const directory = mkdtempSync(join(tmpdir(), 'fuzz-state-'));
afterAll(() => rmSync(directory, { recursive: true }));

test('a finding is a file that says how to check its program again, and is read as it was', () => {
  const state = newState(9, 2);
  const position = 3;
  const { program, seed } = draw(state.series, position, state.meshes);
  const text = counterexampleText({ relation: 'optimized', subject: { program, seed } }, 'nothing');
  const finding = { relation: 'optimized', position, message: 'nothing', text, reproduces: false } as const;
  addFinding(directory, state, finding);
  addFinding(directory, state, { ...finding, position: 4 });
  expect(state.findings).toMatchObject([{ position, times: 2, file: 'optimized-9-3.ricci' }]);
  const written = readFileSync(join(directory, 'optimized-9-3.ricci'), 'utf8');
  expect(written).toContain('npm run fuzz -- --seed 9 --meshes 2 --at 3\n');
  expect(readCounterexample(written, 'written.ricci')).toEqual(readCounterexample(text, 'text.ricci'));
});
