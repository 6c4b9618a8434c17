/** Compiling in other processes: of the program as it is built, against the stub of the driver. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type * as CompileAhead from './compile-ahead.ts';
import { compilingAhead } from './compile-ahead.ts';
import { buildStub, missingForStub, modulePtx, type Stub } from './testing.ts';

const built = join(import.meta.dirname, '../../../dist/runtime/cuda/driver/compile-ahead.js');

describe.runIf(missingForStub() === undefined && existsSync(built))('against a stub', () => {
  let stub: Stub;
  beforeAll(() => {
    stub = buildStub();
  });
  afterAll(() => stub.remove());

  test('what is asked for is done, whatever the driver says of it', async () => {
    const { compilingAhead: start }: typeof CompileAhead = await import(built);
    const ahead = start(2, { ...process.env, RICCI_CUDA_LIBRARY: stub.path })!;
    await Promise.all([modulePtx, 'no PTX', modulePtx, modulePtx].map(ahead.compile));
    ahead.close();
    await ahead.compile(modulePtx);
  });

  test('without a driver nobody waits', async () => {
    const { compilingAhead: start }: typeof CompileAhead = await import(built);
    const ahead = start(1, { ...process.env, RICCI_CUDA_LIBRARY: 'none' })!;
    await ahead.compile(modulePtx);
    ahead.close();
  });
});

test('where nothing is gained no process is started', () => {
  expect(compilingAhead(2, {})).toBeUndefined();
});
