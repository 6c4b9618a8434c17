/** Attention streams over the keys: no buffer has a number, or even a byte, for each pair of positions. */
import { describe, expect, test } from 'vitest';
import { leastDevice } from '../compiler/tiles/device-profile.ts';
import { checkText, compileEntry } from './testing.ts';

const length = 512;

const checked = checkText(`
import attention
import llama
import mixtral

export fn full(q: f32[S, 2, 8], k: f32[S, 1, 8], v: f32[S, 1, 8]) -> f32[S, 2, 8] = attention.full(q, k, v)
export fn causal(q: f32[S, 2, 8], k: f32[S, 1, 8], v: f32[S, 1, 8]) -> f32[S, 2, 8] = attention.causal(q, k, v)
export fn narrow(q: bf16[S, 2, 8], k: bf16[S, 1, 8], v: bf16[S, 1, 8]) -> bf16[S, 2, 8] = attention.causal(q, k, v)
export fn windowed(q: f32[S, 2, 8], k: f32[S, 1, 8], v: f32[S, 1, 8]) -> f32[S, 2, 8] = attention.windowed[9](q, k, v)
export fn capped(q: f32[S, 2, 8], k: f32[S, 1, 8], v: f32[S, 1, 8]) -> f32[S, 2, 8] =
  attention.causal_capped(q, k, v, 3.0)
export fn documents(q: f32[S, 2, 8], k: f32[S, 1, 8], v: f32[S, 1, 8], document: i32[S]) -> f32[S, 2, 8] =
  attention.documents(q, k, v, document)
export fn cached(q: f32[S, 2, 8], k: f32[S, 1, 8], v: f32[S, 1, 8], start: i32) -> f32[S, 2, 8] =
  attention.cached(q, k, v, start)
export fn written_out(q: f32[S, 8], k: f32[S, 8], v: f32[S, 8]) -> f32[S, 8] =
  for s: {
    let p = softmax(for u: sum a: q[s, a] * k[u, a], where: for u: u <= s)
    for a: sum u: p[u] * v[u, a]
  }
export fn dense_model(tokens: ix(11)[S], weights: llama.Model(11, 8, 12, 2, 3, 2, 2)) -> f32[S, 11] =
  llama.model(tokens, weights, 10000.0, 0.00001)
export fn expert_model(tokens: ix(11)[S], weights: mixtral.Model(11, 8, 16, 4, 2, 3, 2, 2)) -> f32[S, 11] =
  mixtral.model[2](tokens, weights, 10000.0, 0.00001)

export fn with_scores(q: f32[S, 8], k: f32[S, 8], v: f32[S, 8]) -> (f32[S, 8], f32[S, S]) = {
  let p[s < S, u < S] = sum a: q[s, a] * k[u, a]
  (for s, a: sum u: softmax(p[s])[u] * v[u, a], p)
}
`);

/** Of each buffer of the plan, at S = 512. */
function bufferBytes(entry: string, software: boolean): readonly number[] {
  const device = { ...leastDevice, software };
  return compileEntry(checked, entry, { S: length }, device).compiled.package.manifest.slots.map(
    ({ bytes }) => bytes,
  );
}

describe.each([
  ['a GPU', false],
  ['a software adapter', true],
])('for %s', (_, software) => {
  const entries = [...checked.program.entries.values()].filter(
    ({ name, exported }) => exported && name !== 'with_scores',
  );
  test.each(entries.map(({ name }) => name))('%s stores no matrix of positions by positions', (entry) => {
    expect(Math.max(...bufferBytes(entry, software))).toBeLessThan(length * length);
  });

  test('scores that are asked for are stored, and seen by this test', () => {
    expect(Math.max(...bufferBytes('with_scores', software))).toBeGreaterThanOrEqual(4 * length * length);
  });
});

describe('work memory', () => {
  const workBytes = (entry: string, text: string, sizes: Readonly<Record<string, number>>) =>
    compileEntry(checkText(text), entry, sizes, leastDevice)
      .compiled.package.manifest.slots.filter(({ role }) => role === 'work')
      .reduce((total, { bytes }) => total + bytes, 0);

  test('of a model does not grow with its layers', () => {
    const mixtral = (layers: number) =>
      workBytes(
        'model',
        `import mixtral
        export fn model(tokens: ix(11)[S], weights: mixtral.Model(11, 8, 16, 4, 2, 3, 2, ${layers})) -> f32[S, 11] =
          mixtral.model[2](tokens, weights, 10000.0, 0.00001)`,
        { S: length },
      );
    expect(mixtral(16)).toBe(mixtral(2));
  });

  test('of layers written one after the other is that of two of them', () => {
    const layers = Array.from(
      { length: 9 },
      (_, at) => `let x${at + 1}[t, d] = sum e: x${at}[t, e] * w[e, d]`,
    );
    const text = `export fn chain(x0: f32[T, D], w: f32[D, D]) -> f32[T, D] = {\n${layers.join('\n')}\nx9\n}`;
    expect(workBytes('chain', text, { T: 64, D: 64 })).toBe(2 * 4 * 64 * 64);
  });
});
