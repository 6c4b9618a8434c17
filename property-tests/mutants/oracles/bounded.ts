/**
 * Programs with a bounded size (`file: entry S<=20 at 7,13 N=5`: first that size and its values, then others)
 * compute in WebAssembly what the program of that size does, and on the evaluator.
 */
import { join } from 'node:path';
import { checkFile } from '../../../driver/check.ts';
import { packageRoot } from '../../../driver/package-root.ts';
import { type BoundedTrial, faultInGraphs, faultInWasm, loweredWithin } from '../../run-bounded.ts';
import type { Oracle } from '../mutant.ts';

export const oracle: Oracle = {
  cases: [],
  check: async (name) => {
    const trial = trialNamed(name);
    const lowered = loweredWithin(trial);
    return faultInGraphs(trial, lowered) ?? (await faultInWasm(trial, lowered));
  },
};

function trialNamed(name: string): BoundedTrial {
  const [, path, entry, size, bound, lengths, rest] =
    /^(\S+): (\w+) (\w+)<=(\d+) at ([\d,]+) ?(\S*)$/.exec(name) ?? [];
  if (path === undefined || entry === undefined || size === undefined || lengths === undefined)
    throw new ReferenceError(`${name} names no trial`);
  const checked = checkFile(join(packageRoot, path));
  if (checked.kind === 'rejected') throw new ReferenceError(`${path} is rejected`);
  const others = (rest ?? '').split(',').filter(Boolean);
  return {
    ...{ checked, entry, size },
    bound: Number(bound),
    lengths: lengths.split(',').map(Number),
    others: new Map(
      others.map((pair): [string, number] => [pair.split('=')[0]!, Number(pair.split('=')[1])]),
    ),
  };
}
