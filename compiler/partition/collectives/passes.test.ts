/** Every pass over collectives keeps what the devices of a mesh compute together, and sends no more. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { samePlacement } from '../../../dsl/placement/placement.ts';
import type { Algebra, TensorValue } from '../../graph/algebra.ts';
import { float32 } from '../../graph/float32.ts';
import { printGraph } from '../../graph/print.ts';
import { type RandomProgram, randomPrograms } from '../../graph/random-graph.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { type DeviceProgram, localize } from '../localize.ts';
import type { PlacedGraph } from '../place.ts';
import { exactAlgebra } from '../random-partition.ts';
import { type CollectiveOptions, exactOptions } from './options.ts';
import { localizeOptimized, optimizePlaced, placedPasses } from './passes.ts';
import { blocksOf, randomDetours } from './random-detours.ts';

/** Most of them can be cut in several ways. */
const sizes = [4, 2, 6, 12, 3, 4, 1, 2, 0];
const tapes = fc.array(fc.noBias(fc.nat(2 ** 16)), { minLength: 80, maxLength: 260, size: 'max' });

type Outputs = ReadonlyMap<string, TensorValue<number>>;

/** The first element that is not the same to the bit. */
function difference(wanted: Outputs, found: Outputs): string | undefined {
  for (const [path, { data }] of wanted) {
    const other = found.get(path)!.data;
    const at = Array.from({ length: data.length }, (_, position) => position).findIndex(
      (position) => !Object.is(data[position], other[position]),
    );
    if (at >= 0) return `${path}, element ${at}: ${data[at]} became ${other[at]}`;
  }
  return undefined;
}

function run(program: RandomProgram, device: DeviceProgram, algebra: Algebra<number>) {
  const { outputs, sent } = evaluateOnMesh(device, blocksOf(program, device), algebra);
  return { outputs, sent: [...sent.values()].reduce((sum, bytes) => sum + bytes, 0) };
}

function shown(before: PlacedGraph, after: DeviceProgram): string {
  const mesh = before.mesh.axes.map(({ name, size }) => `${name}=${size}`).join(' ');
  return `${mesh}\n${printGraph(before.graph)}\nbecame\n${printGraph(after.graph)}`;
}

const names = placedPasses.map(({ name }) => name);
const skips = fc.oneof(fc.constant([]), fc.subarray(names)).map((list) => new Set<string>(list));

test('with any of the passes the devices compute the same, to the bit, and send no more', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), tapes, skips, (program, tape, skip) => {
      const placed = randomDetours(program, tape);
      if (placed === undefined) return;
      const rejected: string[] = [];
      const options = { ...exactOptions, skip };
      const after = localizeOptimized(placed, options, (...why) => rejected.push(why.join(': ')));
      const [wanted, found] = [localize(placed), after].map((device) => run(program, device, float32));
      expect(difference(wanted!.outputs, found!.outputs), shown(placed, after)).toBeUndefined();
      expect(found!.sent, shown(placed, after)).toBeLessThanOrEqual(wanted!.sent);
      expect(rejected, shown(placed, after)).toEqual([]);
    }),
    { numRuns: 25 },
  );
});

test('sums in another order are the same where sums are exact', () => {
  fc.assert(
    fc.property(randomPrograms(sizes), tapes, skips, (program, tape, skip) => {
      const placed = randomDetours(program, tape);
      if (placed === undefined) return;
      const algebra = exactAlgebra();
      const rejected: string[] = [];
      const options: CollectiveOptions = { ...exactOptions, skip, reassociates: true };
      const after = localizeOptimized(placed, options, (...why) => rejected.push(why.join(': ')));
      const [wanted, found] = [localize(placed), after].map((device) => run(program, device, algebra));
      if (!algebra.isExact()) return;
      expect(difference(wanted!.outputs, found!.outputs), shown(placed, after)).toBeUndefined();
      expect(found!.sent).toBeLessThanOrEqual(wanted!.sent);
      expect(rejected, shown(placed, after)).toEqual([]);
    }),
    { numRuns: 15 },
  );
});

// ── the tests themselves ───────────────────────────────────────────────────────────────────────────────────

const sampled = fc
  .sample(fc.tuple(randomPrograms(sizes), tapes), { numRuns: 200, seed: 4 })
  .flatMap(([program, tape]) => {
    const placed = randomDetours(program, tape);
    return placed === undefined ? [] : [{ program, placed }];
  });

test.each(placedPasses.map((pass) => [pass.name, pass] as const))('%s finds something to do', (_, pass) => {
  const options = { ...exactOptions, reassociates: true };
  const changed = sampled.filter(({ placed }) => {
    const after = optimizePlaced(placed, options, () => undefined, [pass]);
    return printGraph(after.graph) !== printGraph(placed.graph);
  });
  console.log(pass.name, changed.length);
  expect(changed.length).toBeGreaterThanOrEqual(3);
});

test('what had its place keeps it', () => {
  for (const { placed } of sampled.slice(0, 40)) {
    const after = optimizePlaced(placed, exactOptions);
    for (const [path, placement] of placed.outputs)
      expect(samePlacement(placement, after.outputs.get(path)!)).toBe(true);
  }
});
