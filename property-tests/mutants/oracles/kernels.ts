/** Small programs (`file: entry`, or `file: entry N=3,M=4`) compute on a device what the evaluator does. */
import { dtypeFacts } from '../../../dsl/types/dtype.ts';
import { instancesOf } from '../../instances.ts';
import { distance, runEntry } from '../../run-entry.ts';
import { checkSmallProgram } from '../../small-programs.ts';
import type { Oracle } from '../mutant.ts';

const tolerance = 2e-5;

export const oracle: Oracle = async ({ on, device }) => {
  for (const name of on) {
    const [file, entry, given] = name.split(/:? /) as [string, string, string | undefined];
    const checked = checkSmallProgram(file);
    const instances = given === undefined ? instancesOf(checked.program, entry) : [sizesFrom(given)];
    for (const sizes of instances) {
      const { written, wgsl } = await runEntry(checked, entry, sizes, 7, device);
      const ulps = [...written.values()].map(({ dtype }) =>
        dtypeFacts[dtype].class === 'float' && dtype !== 'f32' ? 2 ** -dtypeFacts[dtype].mantissa : 0,
      );
      const off = distance(written, wgsl);
      if (off > Math.max(tolerance, ...ulps)) return `${name} at ${JSON.stringify([...sizes])}: ${off} off`;
    }
  }
  return undefined;
};

function sizesFrom(text: string): ReadonlyMap<string, number> {
  const pairs = text.split(',').map((pair) => pair.split('=') as [string, string]);
  return new Map(pairs.map(([name, size]) => [name, Number(size)]));
}
