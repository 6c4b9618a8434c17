/**
 * Every attention of the library against one written out, which differs by what a query sees and by a cap.
 */
import { expect, test } from 'vitest';
import {
  at,
  expectClose,
  range,
  runText,
  sum,
  type TestTensor,
  tabulate,
  testNumbers,
} from '../../compiler/lower/testing.ts';
import { dot, rowOf, softmax } from './plain.ts';

const [length, groups, repeats, width] = [7, 2, 3, 4];
const heads = groups * repeats;
const q = testNumbers([length, heads, width], 1);
const k = testNumbers([length, groups, width], 2);
const v = testNumbers([length, groups, width], 3);
const document = { shape: [length], data: [0, 0, 1, 1, 1, 2, 2] };
const start = { shape: [], data: [2] };

interface Kind {
  readonly call: string;
  /** Whether query s sees key u. */
  readonly sees: (s: number, u: number) => boolean;
  readonly cap?: number;
}

const kinds: readonly Kind[] = [
  { call: 'full(q, k, v)', sees: () => true },
  { call: 'causal(q, k, v)', sees: (s, u) => u <= s },
  { call: 'windowed[3](q, k, v)', sees: (s, u) => u <= s && s - u < 3 },
  { call: 'causal_capped(q, k, v, 0.5)', sees: (s, u) => u <= s, cap: 0.5 },
  {
    call: 'documents(q, k, v, document)',
    sees: (s, u) => u <= s && document.data[u] === document.data[s],
  },
  { call: 'cached(q, k, v, start)', sees: (s, u) => u <= s + 2 },
];

function plain({ sees, cap }: Kind): TestTensor {
  return tabulate([length, heads, width], (s, h, a) => {
    const group = Math.floor(h / repeats);
    const keys = range(length).filter((u) => sees(s, u));
    const scores = keys.map((u) => dot(rowOf(q, s, h), rowOf(k, u, group)) / Math.sqrt(width));
    const weights = softmax(cap === undefined ? scores : scores.map((score) => cap * Math.tanh(score / cap)));
    return sum(keys.length, (place) => weights[place]! * at(v, keys[place]!, group, a));
  });
}

const parameters = `q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A], document: i32[S], start: i32`;

test.each(kinds)('$call', (kind) => {
  const text = `import attention
    export fn f(${parameters}) -> f32[S, G * R, A] = attention.${kind.call}`;
  const found = runText(text, 'f', { q, k, v, document, start }, { sizes: { G: groups, R: repeats } });
  expectClose(found.out, plain(kind), 1e-6);
});

test('a query that sees nothing gives zeros', () => {
  const text = `import attention
    export fn f(q: f32[A], k: f32[U, A]) -> f32[A] = attention.attend(q, k, k, for u: false)`;
  const found = runText(text, 'f', { q: testNumbers([width], 4), k: testNumbers([length, width], 5) });
  expect(found.out?.data).toEqual(range(width).map(() => 0));
});

test('in pieces, in any order of the pieces', () => {
  const text = `import flash
    export fn f(q: f32[S, G * R, A], k: f32[3, S, G, A], v: f32[3, S, G, A]) -> f32[S, G * R, A] {
      let one = flash.step(flash.start(q), q, k[1], v[1], from: 1, at: 1)
      let two = flash.step(one, q, k[2], v[2], from: 2, at: 1)
      flash.finish(flash.step(two, q, k[0], v[0], from: 0, at: 1))
    }`;
  const keys = testNumbers([3, length, groups, width], 6);
  const values = testNumbers([3, length, groups, width], 7);
  const found = runText(text, 'f', { q, k: keys, v: values }, { sizes: { G: groups, R: repeats } });
  /** Queries of block 1 see all of block 0, the keys up to their own of block 1, and nothing of block 2. */
  const wanted = tabulate([length, heads, width], (s, h, a) => {
    const group = Math.floor(h / repeats);
    const seen = range(2 * length).filter((u) => u <= length + s);
    const place = (u: number): [number, number, number] => [Math.floor(u / length), u % length, group];
    const weights = softmax(
      seen.map((u) => dot(rowOf(q, s, h), rowOf(keys, ...place(u))) / Math.sqrt(width)),
    );
    return sum(seen.length, (u) => weights[u]! * at(values, ...place(seen[u]!), a));
  });
  expectClose(found.out, wanted, 1e-6);
});
