/** The gradient of every attention of the library against one written out, which differs by what a query sees. */
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
const counts = testNumbers([length, heads, width], 4);
const document = { shape: [length], data: [0, 0, 1, 1, 1, 2, 2] };

interface Kind {
  readonly name: string;
  readonly more: string;
  /** Whether query s sees key u. */
  readonly sees: (s: number, u: number) => boolean;
}

const kinds: readonly Kind[] = [
  { name: 'full', more: '', sees: () => true },
  { name: 'causal', more: '', sees: (s, u) => u <= s },
  { name: 'windowed[3]', more: '', sees: (s, u) => u <= s && s - u < 3 },
  {
    name: 'documents',
    more: ', document',
    sees: (s, u) => u <= s && document.data[u] === document.data[s],
  },
];

interface Gradients {
  readonly [path: string]: TestTensor;
}

/** Of sums of results, each times how much it counts. */
function plain({ sees }: Kind): Gradients {
  const groupOf = (h: number) => Math.floor(h / repeats);
  const scale = 1 / Math.sqrt(width);
  /** By query, head and key: the weight, and the gradient of the score. */
  const pairs = range(length).map((s) =>
    range(heads).map((h) => {
      const keys = range(length).filter((u) => sees(s, u));
      const seen = softmax(keys.map((u) => dot(rowOf(q, s, h), rowOf(k, u, groupOf(h))) * scale));
      const changes = keys.map((u) => dot(rowOf(counts, s, h), rowOf(v, u, groupOf(h))));
      const mean = sum(keys.length, (place) => seen[place]! * changes[place]!);
      return range(length).map((u) => {
        const place = keys.indexOf(u);
        const weight = place < 0 ? 0 : seen[place]!;
        return { weight, score: place < 0 ? 0 : weight * (changes[place]! - mean) };
      });
    }),
  );
  const overRows = (term: (s: number, h: number) => number, g: number) =>
    sum(length, (s) => sum(repeats, (r) => term(s, g * repeats + r)));
  return {
    'out.0': tabulate([length, heads, width], (s, h, a) =>
      sum(length, (u) => pairs[s]![h]![u]!.score * at(k, u, groupOf(h), a) * scale),
    ),
    'out.1': tabulate([length, groups, width], (u, g, a) =>
      overRows((s, h) => pairs[s]![h]![u]!.score * at(q, s, h, a) * scale, g),
    ),
    'out.2': tabulate([length, groups, width], (u, g, a) =>
      overRows((s, h) => pairs[s]![h]![u]!.weight * at(counts, s, h, a), g),
    ),
  };
}

test.each(kinds)('$name', (kind) => {
  const text = `import attention
    import attention_gradient
    export fn f(q: f32[S, G * R, A], k: f32[S, G, A], v: f32[S, G, A], counts: f32[S, G * R, A], document: i32[S])
      -> (f32[S, G * R, A], f32[S, G, A], f32[S, G, A]) {
      let visible[s < S, u < S] = ${visibleText(kind)}
      let total[s, (g, r)] = attention_gradient.log_total(q[s, (g, r)], k[:, g], visible[s])
      let out = attention.${kind.name}(q, k, v${kind.more})
      attention_gradient.${kind.name}(q, k, v, out, total, counts${kind.more})
    }`;
  const found = runText(text, 'f', { q, k, v, counts, document }, { sizes: { G: groups, R: repeats } });
  const wanted = plain(kind);
  for (const path of Object.keys(wanted)) expectClose(found[path], wanted[path]!, 1e-5);
  expect(Object.keys(found)).toHaveLength(3);
});

function visibleText({ name }: Kind): string {
  switch (name) {
    case 'full':
      return 'true';
    case 'causal':
      return 'u <= s';
    case 'documents':
      return 'u <= s and document[u] == document[s]';
    default:
      return 'u <= s and s < u + 3';
  }
}
