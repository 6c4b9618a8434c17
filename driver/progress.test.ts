import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { tensorFromValues } from '../runtime/weights/tensor-data.ts';
import { checkFile } from './check.ts';
import { compileFor } from './compile.ts';
import { type Lowered, lower } from './lower.ts';
import { runReference } from './run-reference.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-progress-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const instance = { entry: 'f', sizes: new Map(), inputDtypes: new Map() };

/** Two nodes, each run in each of three steps. */
function lowered(): Lowered {
  const file = join(folder, 'm.ricci');
  writeFileSync(file, 'export fn f(x: f32[4]) -> f32[4] = fold i < 3 from h = x: cumsum(cumsum(h))');
  const checked = checkFile(file);
  const outcome = checked.kind === 'checked' ? lower(checked, instance) : checked;
  if (outcome.kind === 'rejected') throw new Error('the program has errors');
  return outcome;
}

test('the reference evaluator counts the nodes that it runs, each step of a loop', () => {
  const heard: [string, number, number][] = [];
  const inputs = new Map([['x', tensorFromValues('f32', [4], [1, 2, 3, 4])]]);
  runReference(lowered().optimized, inputs, (...each) => heard.push(each));
  expect(heard).toEqual([0, 1, 2, 3, 4, 5, 6].map((done) => ['evaluating', done, 6]));
});

test('compiling counts kernels, and so does the driver', async () => {
  const opened = await openDevice(await openAdapter());
  const stages: string[] = [];
  const { package: pkg } = compileFor(lowered(), instance, opened.profile, (stage, done, total) =>
    stages.push(`${stage} ${done}/${total}`),
  );
  expect(stages).toEqual([
    'scheduling 0/1',
    'writing kernels 0/2',
    'writing kernels 1/2',
    'planning 0/1',
    'planning 1/1',
  ]);
  const pipelines: string[] = [];
  const loaded = await loadPackage(pkg, opened, (done, total) => pipelines.push(`${done}/${total}`));
  loaded.destroy();
  opened.destroy();
  expect(pipelines).toEqual(['0/2', '1/2', '2/2']);
});
