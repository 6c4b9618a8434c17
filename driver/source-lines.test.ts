/** Kernels tell which line of the program they are from. */
import { expect, test } from 'vitest';
import { compilePtx } from './compile.ts';
import { lower } from './lower.ts';
import { sourceLines } from './source-lines.ts';
import { checkText } from './testing.ts';

const text = `fn halved(x: f32[N]) -> f32[N] = for i: x[i] / 2

export fn both(x: f32[N, M]) -> (f32[N], f32[M]) {
  let a = for n: sum m: x[n, m]
  let b = for m: max n:
    x[n, m]
  (halved(a), b)
}
`;

test('by the expression that makes what a kernel stores', () => {
  const checked = checkText(text);
  const sizes = new Map([
    ['N', 40],
    ['M', 50],
  ]);
  const instance = { entry: 'both', sizes, inputDtypes: new Map() };
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected') throw new Error(lowered.diagnostics[0]!.message);
  const { module } = compilePtx(lowered, instance, 'sm_80');
  const files = new Map([...module.matchAll(/\.file (\d+) "([^"]+)"/g)].map(([, at, name]) => [at, name]));
  const lines = [...module.matchAll(/\.loc (\d+) (\d+) \d+/g)].map(([, at, line]) => [files.get(at), line]);
  // What `halved` gives is stored as a result only.
  expect(new Set(lines.map(String))).toEqual(new Set(['test.ricci,5', 'test.ricci,7']));
});

test('in the same order wherever the files are', () => {
  const from = (...paths: readonly string[]) => {
    const optimized = { name: 'main', inputs: [], nodes: [], outputs: [] };
    return sourceLines({ optimized, sources: new Map(paths.map((path) => [path, ''])) }).files;
  };
  const files = ['layer.ricci', 'prelude.ricci'];
  expect(from('/tmp/layer.ricci', '/home/ricci/prelude.ricci')).toEqual(files);
  expect(from('/home/layer.ricci', '/usr/ricci/prelude.ricci')).toEqual(files);
});
