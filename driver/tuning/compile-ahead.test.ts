/** Compiling in other processes: of the program as it is built, against the stub of the driver. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildStub, missingForStub, type Stub } from '../../runtime/cuda/driver/testing.ts';
import { packagePtx } from '../compile.ts';
import type * as CompileAhead from './compile-ahead.ts';
import { compilingAhead } from './compile-ahead.ts';
import { probeOf } from './probes.ts';
import { programOf } from './program-of.ts';

const built = join(import.meta.dirname, '../../dist/driver/tuning/compile-ahead.js');
const extent = { groups: 2, threads: 32, turns: 2, vectors: 1 };
const { graph, schedule } = probeOf('loads', extent);

describe.runIf(missingForStub() === undefined && existsSync(built))('against a stub', () => {
  let stub: Stub;
  beforeAll(() => {
    stub = buildStub();
  });
  afterAll(() => stub.remove());

  test('what is made elsewhere is what would be made here', async () => {
    const { compilingAhead: start }: typeof CompileAhead = await import(built);
    const ahead = start(1, { ...process.env, RICCI_CUDA_LIBRARY: stub.path })!;
    const wrong = { ...schedule, temporaries: [] };
    const wanted = packagePtx(...programOf(graph), schedule, 'sm_90a').package;
    const compiled = [schedule, wrong, schedule].map((each) => ahead.compile(graph, each, 'sm_90a'));
    expect(await Promise.all(compiled)).toEqual([wanted, undefined, wanted]);
    ahead.close();
    expect(await ahead.compile(graph, schedule, 'sm_90a')).toBeUndefined();
  });

  test('without a driver nobody waits', async () => {
    const { compilingAhead: start }: typeof CompileAhead = await import(built);
    const ahead = start(1, { ...process.env, RICCI_CUDA_LIBRARY: 'none' })!;
    expect(await ahead.compile(graph, schedule, 'sm_90a')).toBeUndefined();
    ahead.close();
  });
});

test('where nothing is gained no process is started', () => {
  expect(compilingAhead(2, {})).toBeUndefined();
});
