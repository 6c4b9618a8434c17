/** WGSL kernels compute what the evaluator does, of a hundred random programs, some of them on a mesh. */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { evaluateGraph } from '../../compiler/graph/evaluate.ts';
import { float32 } from '../../compiler/graph/float32.ts';
import { closeAdapter } from './on-adapter.ts';
import { checkRelation } from './relations.ts';
import { expectedOutputs, faultOf } from './shaken.ts';
import { cutOver, draw } from './subject.ts';
import { withDifferences } from './with-differences.ts';

const series = (fc.readConfigureGlobal().seed ?? 0) + 1;
const drawn = Array.from({ length: 115 }, (_, position) => draw(series, position, 1)).filter(
  ({ program }) => program.graph.outputs.length > 0,
);

afterAll(closeAdapter);

test('of programs on one device', async () => {
  let told = 0;
  for (const subject of drawn) {
    const verdict = await checkRelation('on an adapter', subject);
    if (typeof verdict === 'object') expect.fail(verdict.broken);
    if (verdict === 'holds') told++;
  }
  expect(told).toBeGreaterThanOrEqual(100);
});

test('of programs on a mesh', async () => {
  let told = 0;
  for (const subject of drawn.slice(0, 60)) {
    const onMesh = cutOver(subject, subject.cuts[0]!);
    const verdict = onMesh && (await checkRelation('mesh on an adapter', onMesh));
    if (typeof verdict === 'object') expect.fail(verdict.broken);
    if (verdict === 'holds') told++;
  }
  expect(told).toBeGreaterThanOrEqual(10);
});

// ── the tests themselves ───────────────────────────────────────────────────────────────────────────────────

test('another program is told apart', () => {
  const adding = drawn.flatMap(({ program: { graph, inputs } }) => {
    const other = withDifferences(graph);
    const wanted = expectedOutputs(graph, inputs);
    if (wanted === undefined) return [];
    const found = [...evaluateGraph(other, inputs, float32)].map(([path, { data }]) => {
      return [path, Float64Array.from(data as ArrayLike<number>)] as const;
    });
    return [faultOf(wanted, new Map(found)) !== undefined];
  });
  // Where floats are added at all, and what is added is not lost.
  expect(adding.filter(Boolean).length).toBeGreaterThan(12);
});

test('most results are told', () => {
  const errors = drawn.flatMap(({ program: { graph, inputs } }) => {
    const outputs = [...(expectedOutputs(graph, inputs)?.values() ?? [])];
    return outputs.flatMap(({ values, errors: own }) =>
      own.map((error, at) => error <= 1e-2 * Math.max(1, Math.abs(values[at]!)) || values[at] === error),
    );
  });
  expect(errors.filter(Boolean).length / errors.length).toBeGreaterThan(0.7);
});
