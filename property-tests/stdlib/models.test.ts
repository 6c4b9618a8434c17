/**
 * A Llama is a Mixtral with one expert: whole models, block by block. Mixtral itself is written out in
 * models.test.ts of lowering.
 */
import { expect, test } from 'vitest';
import {
  expectClose,
  runText,
  type TestTensor,
  type TestTensors,
  testNumbers,
} from '../../compiler/lower/testing.ts';

const [length, vocabulary, d, f, g, r, p, layers] = [4, 9, 6, 5, 2, 2, 2, 2];
const heads = g * r;

/** The same numbers in both layouts; what is in `layers` has a leading axis. */
const common: TestTensors = {
  embed: testNumbers([vocabulary, d], 1),
  norm: testNumbers([d], 2),
  head: testNumbers([vocabulary, d], 3),
  'layers.attention_norm': testNumbers([layers, d], 4),
  'layers.ffn_norm': testNumbers([layers, d], 5),
  'layers.attention.q': testNumbers([layers, heads * 2 * p, d], 6),
  'layers.attention.k': testNumbers([layers, g * 2 * p, d], 7),
  'layers.attention.v': testNumbers([layers, g * 2 * p, d], 8),
  'layers.attention.o': testNumbers([layers, d, heads * 2 * p], 9),
};
const networks: TestTensors = {
  gate: testNumbers([layers, f, d], 10),
  up: testNumbers([layers, f, d], 11),
  down: testNumbers([layers, d, f], 12),
};

function inputsOf(weights: TestTensors): TestTensors {
  const paths = Object.entries(weights).map(([path, tensor]) => [`weights.${path}`, tensor] as const);
  return {
    tokens: { shape: [length], data: [8, 0, 3, 3] },
    theta: { shape: [], data: [50] },
    epsilon: { shape: [], data: [0.0625] },
    ...Object.fromEntries(paths),
  };
}

function renamed(prefix: string, change: (tensor: TestTensor) => TestTensor): TestTensors {
  return Object.fromEntries(
    Object.entries(networks).map(([name, tensor]) => [`layers.${prefix}.${name}`, change(tensor)]),
  );
}

test('Llama is Mixtral with one expert', () => {
  const parameters = 'tokens: ix(V)[S], theta: f32, epsilon: f32';
  const llama = `import llama
    export fn f(${parameters}, weights: llama.Model(V, D, F, G, R, P, L)) -> f32[S, V] =
      llama.model(tokens, weights, theta, epsilon)`;
  const mixtral = `import mixtral
    export fn f(${parameters}, weights: mixtral.Model(V, D, F, 1, G, R, P, L)) -> f32[S, V] =
      mixtral.model[1](tokens, weights, theta, epsilon)`;
  const sizes = { G: g, R: r, P: p };
  const dense = runText(llama, 'f', inputsOf({ ...common, ...renamed('ffn', (tensor) => tensor) }), {
    sizes,
  });
  const oneExpert = ({ shape: [count, ...rest], data }: TestTensor): TestTensor => ({
    shape: [count!, 1, ...rest],
    data,
  });
  const sparse = runText(
    mixtral,
    'f',
    inputsOf({
      ...common,
      ...renamed('experts', oneExpert),
      'layers.router': testNumbers([layers, 1, d], 13),
    }),
    { sizes },
  );
  expectClose(dense.out, sparse.out!, 1e-9);
  expect(new Set(dense.out?.data).size).toBeGreaterThan(length);
});
