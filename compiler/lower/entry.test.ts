import { expect, test } from 'vitest';
import { showSize } from '../../dsl/types/size.ts';
import { describeEntry, type EntrySizes, solveEntrySizes } from './entry.ts';
import { lowerEntry } from './lower-entry.ts';
import { checkText } from './testing.ts';

const program = checkText(`
  mesh (sp)
  type Ffn(D, F) = { gate: bf16[D, F], down: float[F, D] }
  type Model(D, F, L) = { layers: Ffn(D, F)[L], seed: key }
  export fn f[K](x: f32[S@sp, G * 2], m: Model(G * 2, F, L), pick: ix(L)[K])
    -> (f32[S@sp], bf16[G * 2, F], key)
    where K <= L, 1 <= L = (for s: sum d: x[s, d], m.layers[0].gate, m.seed)
  export fn half[N](x: f32[N]) -> f32[N / 2] where N % 2 == 0 = for i < N / 2: 1.0
  export fn handed_through(w: Ffn(D, F)) -> Ffn(D, F) = w
`);

const shapes = new Map<string, readonly number[]>([
  ['x', [3, 8]],
  ['m.layers.gate', [2, 8, 5]],
  ['pick', [1]],
]);

function solve(
  given: Readonly<Record<string, number>>,
  changed: Readonly<Record<string, readonly number[]>> = {},
): EntrySizes {
  return solveEntrySizes(
    program,
    'f',
    new Map([...shapes, ...Object.entries(changed)]),
    new Map(Object.entries(given)),
  );
}

function problems(result: EntrySizes): readonly (readonly [string, string])[] {
  return result.kind === 'rejected' ? result.diagnostics.map(({ code, help }) => [code, help[0]!]) : [];
}

test('inputs and outputs by path', () => {
  const { inputs, outputs } = describeEntry(program, 'f');
  const shown = (tensors: typeof inputs) => tensors.map(({ path, dims }) => `${path}[${dims.map(showSize)}]`);
  expect(shown(inputs)).toEqual([
    'x[S,2 * G]',
    'm.layers.gate[L,2 * G,F]',
    'm.layers.down[L,F,2 * G]',
    'm.seed[2]',
    'pick[K]',
  ]);
  expect(shown(outputs)).toEqual(['out.0[S]', 'out.1[2 * G,F]', 'out.2[2]']);
  expect(inputs.map(({ element }) => element.kind)).toEqual(['dtype', 'dtype', 'float', 'dtype', 'ix']);
});

test('sizes from the shapes of the inputs, and axes of size 1', () => {
  const solved = solve({});
  expect(solved.kind === 'sizes' && Object.fromEntries(solved.sizes)).toEqual({
    S: 3,
    G: 4,
    F: 5,
    L: 2,
    K: 1,
    sp: 1,
  });
  expect(solve({ G: 4 }).kind).toBe('sizes');
});

test('what does not fit is said', () => {
  expect(problems(solveEntrySizes(program, 'f', new Map(), new Map([['S', 2]])))).toContainEqual([
    'E0602',
    'give it: --size G=…',
  ]);
  expect(problems(solve({}, { x: [3, 7] }))[0]?.[0]).toBe('E0605');
  expect(problems(solve({}, { x: [3] }))[0]?.[0]).toBe('E0605');
  expect(problems(solve({}, { 'm.layers.gate': [2, 6, 5] }))[0]?.[0]).toBe('E0605');
  expect(problems(solve({ G: 3 }))[0]?.[0]).toBe('E0605');
  expect(problems(solve({ Z: 3 }))[0]?.[0]).toBe('E0601');
  expect(problems(solve({}, { pick: [3] }))[0]?.[0]).toBe('E0603');
});

test('a graph needs every size, and sizes that keep the facts', () => {
  const codes = (entry: string, sizes: Readonly<Record<string, number>>) => {
    const lowered = lowerEntry(program, entry, {
      sizes: new Map(Object.entries(sizes)),
      inputDtypes: new Map(),
    });
    return 'diagnostics' in lowered ? lowered.diagnostics.map(({ code }) => code) : [];
  };
  expect(codes('f', { S: 2, G: 1 })).toEqual(['E0602', 'E0602', 'E0602']);
  expect(codes('half', { N: 3 })).toContain('E0603');
  expect(codes('half', { N: 4 })).toEqual([]);
});

test('a dimension that axes do not divide is said', () => {
  const cut = checkText('mesh (a, b)\nexport fn f(x: f32[N@(a, b)]) -> f32[N@(a, b)] = for n: x[n]');
  const codes = (sizes: Readonly<Record<string, number>>) =>
    problems(solveEntrySizes(cut, 'f', new Map(), new Map(Object.entries(sizes))));
  const fault = ['E0604', 'give a size of which 4 devices have equal blocks: N = 4 or 8'];
  // Once, though both the parameter and the result are cut so.
  expect(codes({ N: 6, a: 2, b: 2 })).toEqual([fault]);
  expect(codes({ N: 8, a: 2, b: 2 })).toEqual([]);
  expect(codes({ N: 7 })).toEqual([]);
});

test('shapes and dtypes of the graph', () => {
  const sizes = new Map(Object.entries({ S: 3, G: 4, F: 5, L: 2, K: 1 }));
  const lowered = lowerEntry(program, 'f', { sizes, inputDtypes: new Map([['m.layers.down', 'f16']]) });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics[0]?.message);
  const { graph } = lowered;
  const types = graph.inputs.map(({ path, tensor }) => `${path} ${tensor.dtype}[${tensor.shape}]`);
  expect(types).toEqual([
    'x f32[3,8]',
    'm.layers.gate bf16[2,8,5]',
    'm.layers.down f16[2,5,8]',
    'm.seed u32[2]',
    'pick i32[1]',
  ]);
  const results = new Map(
    graph.nodes.flatMap((node) => (node.kind === 'compute' ? [[node.result.id, node.result]] : [])),
  );
  expect(graph.outputs.map(({ tensor }) => results.get(tensor)?.shape)).toEqual([[3], [8, 5], [2]]);
});

test('a record by its fields; a result of unsettled storage is f32', () => {
  expect(describeEntry(program, 'handed_through').outputs.map(({ path }) => path)).toEqual([
    'out.gate',
    'out.down',
  ]);
  const sizes = new Map([
    ['D', 2],
    ['F', 3],
  ]);
  const lowered = lowerEntry(program, 'handed_through', { sizes, inputDtypes: new Map([['w.down', 'f16']]) });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics[0]?.message);
  const types = lowered.graph.nodes.flatMap((node) => (node.kind === 'compute' ? [node.result.dtype] : []));
  expect(types).toEqual(['bf16', 'f32']);
});
