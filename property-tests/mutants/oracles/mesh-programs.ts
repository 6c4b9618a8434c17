/** Small programs (`file: entry`) that are placed: optimized, on meshes of the evaluator, what one device computes. */
import { describeEntry, solveEntrySizes } from '../../../compiler/lower/entry.ts';
import { lower } from '../../../driver/compile.ts';
import { randomInput } from '../../../driver/random-inputs.ts';
import { runReference } from '../../../driver/run-reference.ts';
import { runReferenceOnMesh } from '../../../driver/run-reference-mesh.ts';
import { hasInputs } from '../../instances.ts';
import { distance } from '../../run-entry.ts';
import { checkSmallProgram } from '../../small-programs.ts';
import type { Oracle } from '../mutant.ts';

const tolerance = 2e-5;
const meshSizes = [[2, 1, 2, 1], [3, 2, 2, 1]]; // biome-ignore format: one thing
const pools = [[24, 2, 1, 2], [12, 6, 12]]; // biome-ignore format: one thing

export const oracle: Oracle = ({ on }) => {
  for (const name of on) {
    const [file, entry] = name.split(': ') as [string, string];
    const checked = checkSmallProgram(file);
    const { program } = checked;
    for (const counts of meshSizes)
      for (const pool of pools) {
        const axes = program.axes.map((axis, at) => ({ name: axis, size: counts[at] ?? 1 }));
        const names = program.entries.get(entry)!.sizes.filter((size) => !program.axes.includes(size));
        const own = names.map((size, at) => [size, pool[at % pool.length]!] as const);
        const given = new Map([...own, ...axes.map(({ name: axis, size }) => [axis, size] as const)]);
        const solved = solveEntrySizes(program, entry, new Map(), given);
        if (solved.kind !== 'sizes' || !hasInputs(program, entry, solved.sizes)) continue;
        const wanted = describeEntry(program, entry).inputs;
        const inputs = new Map(wanted.map((each) => [each.path, randomInput(each, solved.sizes, 3)]));
        const alone = lower(checked, { entry, sizes: new Map(own), inputDtypes: new Map() });
        const placed = lower(checked, { entry, sizes: solved.sizes, inputDtypes: new Map(), mesh: { axes } });
        if (alone.kind === 'rejected' || placed.kind === 'rejected') return `${name} is rejected`;
        const off = distance(
          runReference(alone.graph, inputs),
          runReferenceOnMesh({ ...placed.device!, graph: placed.optimized }, inputs),
        );
        if (off > tolerance) return `${name} at ${JSON.stringify([...solved.sizes])}: ${off} off`;
      }
  }
  return undefined;
};
