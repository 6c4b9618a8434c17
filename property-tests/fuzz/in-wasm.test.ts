/** Kernels in WebAssembly compute what the evaluator does, of some hundred random programs. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runsInWasm } from './in-wasm.ts';
import { checkRelation } from './relations.ts';
import { draw } from './subject.ts';
import { withDifferences } from './with-differences.ts';

const series = (fc.readConfigureGlobal().seed ?? 0) + 2;
const drawn = Array.from({ length: 300 }, (_, position) => draw(series, position, 1)).filter(
  ({ program }) => program.graph.outputs.length > 0,
);

test('of programs on one device', async () => {
  let told = 0;
  for (const subject of drawn) {
    const verdict = await checkRelation('in WebAssembly', subject);
    if (typeof verdict === 'object') expect.fail(verdict.broken);
    if (verdict === 'holds') told++;
  }
  expect(told).toBeGreaterThanOrEqual(250);
});

test('another program is told apart', async () => {
  let apart = 0;
  for (const subject of drawn.slice(0, 60)) {
    const verdict = await runsInWasm(subject, { compiled: withDifferences(subject.program.graph) });
    if (typeof verdict === 'object') apart++;
  }
  // Where floats are added at all, and what is added is not lost.
  expect(apart).toBeGreaterThan(5);
});
