import { describe, expect, test } from 'vitest';
import type { TypedProgram } from '../../dsl/types/typed.ts';
import { describeEntry, solveEntrySizes } from './entry.ts';
import { entryPlacements } from './entry-placements.ts';
import { lowerEntry } from './lower-entry.ts';
import { asEntry } from './property-entry.ts';
import { checkText, evaluateForTest, type TestTensors, testNumbers } from './testing.ts';

function entry(text: string): TypedProgram {
  const program = checkText(text);
  return asEntry(program, program.properties.get('p')!);
}

function evaluate(text: string, inputs: TestTensors, sizes: Readonly<Record<string, number>>): TestTensors {
  const program = entry(text);
  const lowered = lowerEntry(program, 'p', {
    sizes: new Map(Object.entries(sizes)),
    inputDtypes: new Map(),
  });
  if ('diagnostics' in lowered) throw new Error(lowered.diagnostics.map(({ message }) => message).join('\n'));
  return evaluateForTest(lowered.graph, inputs);
}

describe('a property as an entry', () => {
  test('gives the sides, then what is given', () => {
    const x = testNumbers([3]);
    const y = x.data.map((value) => 2 * value);
    const found = evaluate(
      'property p forall x: f32[N] let y = 2 * x given true check y ~= x + x check for n: x[n] <= 1 check x == y',
      { x },
      { N: 3 },
    );
    expect(Object.fromEntries(Object.entries(found).map(([path, { data }]) => [path, data]))).toEqual({
      'out.0': y,
      'out.1': y,
      'out.2': [1, 1, 1],
      'out.3': x.data,
      'out.4': y,
      'out.5': [1],
    });
  });

  test('gives records and tuples by their parts', () => {
    const text = `
type Pair(N) = { a: float[N], b: i32[N] }
fn swapped(w: Pair(N)) -> Pair(N) = Pair(a: for n: -w.a[n], b: w.b)
property p
  forall w: Pair(N), x: f32[E] where 2 <= E
  check swapped(w) == w
  check top_k[2](x) ~= top_k[2](x)`;
    const { outputs } = describeEntry(entry(text), 'p');
    expect(outputs.map(({ path }) => path)).toEqual([
      ...['out.0.a', 'out.0.b', 'out.1.a', 'out.1.b'],
      ...['out.2.0', 'out.2.1', 'out.3.0', 'out.3.1'],
    ]);
    const inputs = { 'w.a': testNumbers([2]), 'w.b': { shape: [2], data: [3, 4] }, x: testNumbers([4], 2) };
    const found = evaluate(text, inputs, { N: 2, E: 4 });
    expect(found['out.0.a']!.data).toEqual(inputs['w.a'].data.map((value) => -value));
    expect(found['out.1.b']!.data).toEqual([3, 4]);
    expect(found['out.2.1']).toEqual(found['out.3.1']);
  });

  test('rejects sizes beyond its ranges and facts', () => {
    const program = entry(
      'property p forall n: 2..4, x: f32[n], y: f32[M] where n <= M check x == x check y == y',
    );
    const isLegal = (n: number, M: number): boolean =>
      solveEntrySizes(program, 'p', new Map(), new Map([['n', n], ['M', M]])).kind === 'sizes'; // biome-ignore format: one thing
    expect([isLegal(2, 2), isLegal(4, 9), isLegal(1, 9), isLegal(5, 9), isLegal(3, 2)]).toEqual([
      ...[true, true, false, false, false],
    ]);
  });

  test('has its sides where they come to live', () => {
    const program = entry(
      'property p forall x: f32[S@sp] check x == all_gather(x, sp) check (sum s: x[s]) ~= 0',
    );
    const { outputs } = entryPlacements(program, 'p');
    expect([...outputs]).toEqual([
      ['out.0', { dims: [['sp']], pending: new Map() }],
      ['out.1', { dims: [[]], pending: new Map() }],
      ['out.2', { dims: [], pending: new Map([['sp', 'sum']]) }],
      ['out.3', { dims: [], pending: new Map() }],
    ]);
  });

  test('leaves the program as it was', () => {
    const program = checkText('fn p2(x: f32) -> f32 = x\nproperty p forall x: f32 check p2(x) == x');
    asEntry(program, program.properties.get('p')!);
    expect([...program.entries.keys()]).toEqual(['p2']);
  });
});
