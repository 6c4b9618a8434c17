/**
 * Every small program as PTX, by the schedules of a GPU, in the emulator: what it computes is what was written,
 * and it reads nothing that is not there, nor what others write at the same time.
 */
import { describe, expect, test } from 'vitest';
import { graphCost } from '../compiler/graph/cost.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { instancesOf } from './instances.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

/** Operations of what is run: a kernel is compiled for every launch. */
const mostWork = 1e5;

describe.each(programFiles)('%s', (file) => {
  const checked = checkSmallProgram(file);
  const entries = exportedEntries(checked).map((entry, place) => ({ entry, place }));
  test.each(entries)('$entry', async ({ entry, place }) => {
    const instances = instancesOf(checked.program, entry).flatMap((sizes) => {
      const instance = { entry, sizes, inputDtypes: new Map() };
      const lowered = loweredEntry(checked, instance);
      return graphCost(lowered.graph).flops <= mostWork ? [{ instance, lowered }] : [];
    });
    // One of the sizes, another in each entry.
    const chosen = instances[place % instances.length];
    if (chosen === undefined) return;
    const { instance, lowered } = chosen;
    const { sizes } = instance;
    const target = ptxTargets[place % ptxTargets.length]!;
    const inputs = new Map(
      describeEntry(checked.program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 7)]),
    );
    const { written } = evaluateEntry(checked, entry, sizes, 7);
    const off = distance(written, await runPtx(lowered, instance, inputs, { target }));
    expect(off, JSON.stringify([...sizes])).toBeLessThanOrEqual(deviceToleranceOf(written));
  });
});
