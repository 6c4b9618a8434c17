/**
 * Every small program and every function of the standard library, models included, as PTX, in the emulator: what it
 * computes is what was written, and it reads nothing that is not there, nor what others write at the same time.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { graphCost } from '../compiler/graph/cost.ts';
import { describeEntry } from '../compiler/lower/entry.ts';
import { ptxTargets } from '../compiler/tiles/ptx-target.ts';
import { type Checked, checkFile } from '../driver/check.ts';
import type { Instance, Lowered } from '../driver/lower.ts';
import { standardLibrary } from '../driver/module-loader.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { instancesOf } from './instances.ts';
import { deviceToleranceOf, distance, evaluateEntry, loweredEntry } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

interface Case {
  readonly instance: Instance;
  readonly lowered: Lowered;
}

/** An entry at the sizes that cost no more than so many operations. */
function casesOf(checked: Checked, entry: string, mostWork: number): readonly Case[] {
  return instancesOf(checked.program, entry).flatMap((sizes) => {
    const instance = { entry, sizes, inputDtypes: new Map() };
    const lowered = loweredEntry(checked, instance);
    return graphCost(lowered.graph).flops <= mostWork ? [{ instance, lowered }] : [];
  });
}

/** One of them, another in each entry, or all. */
function chosenOf(cases: readonly Case[], place: number): readonly Case[] {
  const one = cases[place % cases.length];
  return allAsPtx || one === undefined ? cases : [one];
}

async function compare(checked: Checked, { instance, lowered }: Case, place: number): Promise<void> {
  const { entry, sizes } = instance;
  const inputs = new Map(
    describeEntry(checked.program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 7)]),
  );
  const { written } = evaluateEntry(checked, entry, sizes, 7);
  const chosen = allAsPtx ? ptxTargets : [ptxTargets[place % ptxTargets.length]!];
  for (const target of chosen) {
    const off = distance(written, await runPtx(lowered, instance, inputs, { target }));
    expect(off, `${target}, ${JSON.stringify([...sizes])}`).toBeLessThanOrEqual(deviceToleranceOf(written));
  }
}

const numbered = (entries: readonly string[]) => entries.map((entry, place) => ({ entry, place }));

describe.each(programFiles)('%s', (file) => {
  const checked = checkSmallProgram(file);
  test.each(numbered(exportedEntries(checked)))('$entry', async ({ entry, place }) => {
    for (const each of chosenOf(casesOf(checked, entry, allAsPtx ? 2e6 : 4e4), place))
      await compare(checked, each, place);
  });
});

describe.each(readdirSync(standardLibrary).filter((name) => name.endsWith('.ricci')))('stdlib/%s', (file) => {
  const checked = checkFile(join(standardLibrary, file));
  if (checked.kind === 'rejected') throw new Error(`${file} is rejected`);
  const models = exportedEntries(checked);
  // Few are what the small programs call too.
  test.each(numbered([...checked.program.entries.keys()]))('$entry', async ({ entry, place }) => {
    const isModel = models.includes(entry);
    const cases = casesOf(checked, entry, allAsPtx ? 2e6 : isModel ? 1e6 : 2e4);
    if (allAsPtx || isModel || place % 8 === 0)
      for (const each of chosenOf(cases, place)) await compare(checked, each, place);
  });
});
