/** A whole model of the standard library against the same computation written out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allNodes } from '../graph/uses.ts';
import {
  at,
  evaluateForTest,
  expectClose,
  lowerText,
  range,
  sum,
  type TestTensor,
  testNumbers,
} from './testing.ts';

const text = readFileSync(join(import.meta.dirname, '../../stdlib/mixtral.ricci'), 'utf8');
const [vocabulary, d, f, experts, g, r, p, layers, length, chosen] = [11, 6, 5, 4, 2, 3, 2, 3, 5, 2];
const [theta, epsilon] = [100, 0.0625];
const heads = g * r;
const a = 2 * p;

const weights = {
  embed: testNumbers([vocabulary, d], 1),
  'layers.attention_norm': testNumbers([layers, d], 2),
  'layers.attention.q': testNumbers([layers, heads * a, d], 3),
  'layers.attention.k': testNumbers([layers, g * a, d], 4),
  'layers.attention.v': testNumbers([layers, g * a, d], 5),
  'layers.attention.o': testNumbers([layers, d, heads * a], 6),
  'layers.ffn_norm': testNumbers([layers, d], 7),
  'layers.router': testNumbers([layers, experts, d], 8),
  'layers.experts.gate': testNumbers([layers, experts, f, d], 9),
  'layers.experts.up': testNumbers([layers, experts, f, d], 10),
  'layers.experts.down': testNumbers([layers, experts, d, f], 11),
  norm: testNumbers([d], 12),
  head: testNumbers([vocabulary, d], 13),
};
const tokens = { shape: [length], data: [3, 10, 0, 7, 3] };
const inputs: Record<string, TestTensor> = {
  tokens,
  theta: { shape: [], data: [theta] },
  epsilon: { shape: [], data: [epsilon] },
  ...Object.fromEntries(Object.entries(weights).map(([name, value]) => [`weights.${name}`, value])),
};

type Row = readonly number[];

function rmsNorm(x: Row, weight: (i: number) => number): Row {
  const scale = 1 / Math.sqrt(sum(d, (i) => x[i]! ** 2) / d + epsilon);
  return x.map((value, i) => value * scale * weight(i));
}

function softmax(scores: Row): Row {
  const top = Math.max(...scores);
  const total = sum(scores.length, (u) => Math.exp(scores[u]! - top));
  return scores.map((score) => Math.exp(score - top) / total);
}

/** One head's row turned by the angles of a position, pairs (j, j + p). */
function rotate(x: Row, position: number): Row {
  return x.map((value, i) => {
    const angle = position * theta ** (-(i % p) / p);
    return i < p
      ? value * Math.cos(angle) - x[i + p]! * Math.sin(angle)
      : value * Math.cos(angle) + x[i - p]! * Math.sin(angle);
  });
}

function attention(x: readonly Row[], layer: number): readonly Row[] {
  const project = (name: 'q' | 'k' | 'v', s: number, head: number): Row =>
    range(a).map((i) =>
      sum(d, (j) => x[s]![j]! * at(weights[`layers.attention.${name}`], layer, head * a + i, j)),
    );
  return range(length).map((s) => {
    const out = range(heads).map((head) => {
      const q = rotate(project('q', s, head), s);
      const shared = Math.floor(head / r);
      const scores = range(s + 1).map((u) => {
        const k = rotate(project('k', u, shared), u);
        return sum(a, (i) => q[i]! * k[i]!) / Math.sqrt(a);
      });
      const weight = softmax(scores);
      return range(a).map((i) => sum(s + 1, (u) => weight[u]! * project('v', u, shared)[i]!));
    });
    return range(d).map((j) =>
      sum(heads * a, (h) => out[Math.floor(h / a)]![h % a]! * at(weights['layers.attention.o'], layer, j, h)),
    );
  });
}

function expert(x: Row, layer: number, e: number): Row {
  const product = (name: 'gate' | 'up', i: number) =>
    sum(d, (j) => x[j]! * at(weights[`layers.experts.${name}`], layer, e, i, j));
  const h = range(f).map(
    (i) => (product('gate', i) / (1 + Math.exp(-product('gate', i)))) * product('up', i),
  );
  return range(d).map((j) => sum(f, (i) => h[i]! * at(weights['layers.experts.down'], layer, e, j, i)));
}

function mixture(x: Row, layer: number): Row {
  const logits = range(experts).map((e) => sum(d, (j) => x[j]! * at(weights['layers.router'], layer, e, j)));
  const pick = range(experts)
    .sort((left, right) => logits[right]! - logits[left]!)
    .slice(0, chosen);
  const weight = softmax(pick.map((e) => logits[e]!));
  return range(d).map((j) => sum(chosen, (k) => weight[k]! * expert(x, layer, pick[k]!)[j]!));
}

test('Mixtral', () => {
  const graph = lowerText(text, 'model', inputs, { sizes: { G: g, R: r, P: p, K: chosen } });
  let x: readonly Row[] = tokens.data.map((token) => range(d).map((j) => at(weights.embed, token, j)));
  for (const layer of range(layers)) {
    const normed = x.map((row) => rmsNorm(row, (i) => at(weights['layers.attention_norm'], layer, i)));
    const attended = attention(normed, layer);
    const h = x.map((row, s) => row.map((value, j) => value + attended[s]![j]!));
    x = h.map((row) => {
      const mixed = mixture(
        rmsNorm(row, (i) => at(weights['layers.ffn_norm'], layer, i)),
        layer,
      );
      return row.map((value, j) => value + mixed[j]!);
    });
  }
  const wanted = x.flatMap((row) => {
    const normed = rmsNorm(row, (i) => at(weights.norm, i));
    return range(vocabulary).map((v) => sum(d, (j) => normed[j]! * at(weights.head, v, j)));
  });
  expectClose(evaluateForTest(graph, inputs).out, { shape: [length, vocabulary], data: wanted }, 1e-6);
  // One loop over the layers, whose weights are read in place.
  expect(allNodes(graph).filter((node) => node.kind === 'loop')).toHaveLength(1);
  expect(allNodes(graph).length).toBeLessThan(50);
});
