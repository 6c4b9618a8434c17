/** Every small program, at sizes from 0 up, means the same in WebAssembly as on the evaluator. */
import { describe, expect, test } from 'vitest';
import { graphCost } from '../compiler/graph/cost.ts';
import { type Checked, compileWasm } from '../driver/compile.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import { instancesOf } from './instances.ts';
import { deviceToleranceOf, distance, evaluateEntry, inputsOf, loweredEntry } from './run-entry.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

/** Operations of what is run. The evaluator takes seconds for more, and finds no more in it. */
const mostWork = 1e6;

function workOf(checked: Checked, entry: string, sizes: ReadonlyMap<string, number>): number {
  return graphCost(loweredEntry(checked, { entry, sizes, inputDtypes: new Map() }).graph).flops;
}

async function runWasm(checked: Checked, entry: string, sizes: ReadonlyMap<string, number>, seed: number) {
  const instance = { entry, sizes, inputDtypes: new Map() };
  const compiled = compileWasm(loweredEntry(checked, instance), instance);
  const loaded = await loadWasm(compiled.package, { threads: 1 });
  return loaded.run(inputsOf(checked, entry, sizes, seed));
}

describe.each(programFiles)('%s', (file) => {
  const checked = checkSmallProgram(file);
  test.each(exportedEntries(checked))('%s', async (entry) => {
    const all = instancesOf(checked.program, entry);
    const instances = all.filter((sizes) => workOf(checked, entry, sizes) <= mostWork);
    expect(instances.length).toBeGreaterThan(0);
    for (const sizes of instances) {
      const { written } = evaluateEntry(checked, entry, sizes, 7);
      const found = await runWasm(checked, entry, sizes, 7);
      expect(distance(written, found), JSON.stringify([...sizes])).toBeLessThanOrEqual(
        deviceToleranceOf(written),
      );
    }
  });
});
