/** Sizes of small programs by name: `file: entry` for all of them, or `file: entry N=3,M=4`. */
import type { Checked } from '../../driver/compile.ts';
import { instancesOf } from '../instances.ts';
import { checkSmallProgram } from '../small-programs.ts';

export interface NamedInstances {
  readonly checked: Checked;
  readonly entry: string;
  readonly instances: readonly ReadonlyMap<string, number>[];
}

export function namedInstances(name: string): NamedInstances {
  const [file, entry, given] = name.split(/:? /) as [string, string, string | undefined];
  const checked = checkSmallProgram(file);
  return {
    ...{ checked, entry },
    instances: given === undefined ? instancesOf(checked.program, entry) : [sizesFrom(given)],
  };
}

function sizesFrom(text: string): ReadonlyMap<string, number> {
  const pairs = text.split(',').map((pair) => pair.split('=') as [string, string]);
  return new Map(pairs.map(([name, size]) => [name, Number(size)]));
}
