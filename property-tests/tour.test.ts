/** The tour's programs mean what the tour says of them: every scheme of attention is the plain one. */
import { expect, test } from 'vitest';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { lower } from '../driver/lower.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import type { TensorData } from '../runtime/weights/tensor-data.ts';
import { distance } from './run-entry.ts';
import { checkSmallProgram } from './small-programs.ts';

const checked = checkSmallProgram('tour-attention.ricci');
const given = new Map([['S', 6], ['G', 2], ['R', 3], ['A', 4]]); // biome-ignore format: one thing
/** Results are bf16, and pieces that merge add in another order: one ulp. */
const tolerance = 2 ** -7;

function run(entry: string, seed: number): ReadonlyMap<string, TensorData> {
  const solved = solveEntrySizes(checked.program, entry, new Map(), given);
  if (solved.kind === 'rejected') throw new Error(solved.diagnostics.map(({ message }) => message).join());
  const { sizes } = solved;
  const inputs = describeEntry(checked.program, entry).inputs.map(
    (input) => [input.path, randomInput(input, sizes, seed)] as const,
  );
  const lowered = lower(checked, { entry, sizes, inputDtypes: new Map() });
  if (lowered.kind === 'rejected') throw new Error(`${entry} is not lowered`);
  return runReference(lowered.graph, new Map(inputs));
}

test.each(['ulysses', 'ring', 'two_d', 'parallel'])('%s is causal attention', (scheme) => {
  expect(distance(run('causal', 3), run(scheme, 3))).toBeLessThanOrEqual(tolerance);
});

test('other inputs give another result', () => {
  expect(distance(run('causal', 3), run('ring', 4))).toBeGreaterThan(tolerance);
});
