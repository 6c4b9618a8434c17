/**
 * A program that is compiled for all values of a size up to a bound computes at each what the program of that
 * size does, whatever lies behind the ends.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphCost } from '../compiler/graph/cost.ts';
import { allNodes } from '../compiler/graph/uses.ts';
import { type Checked, checkFile } from '../driver/check.ts';
import { packageRoot } from '../driver/package-root.ts';
import { isUserError } from '../runtime/errors.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { runsAsPtx } from './all-as-ptx.ts';
import { instancesOf } from './instances.ts';
import {
  type BoundedTrial,
  faultAsPtx,
  faultInGraphs,
  faultInWasm,
  faultOnDevice,
  loweredWithin,
} from './run-bounded.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

const bound = 20;
/** Operations at the bound: the evaluator takes long for more. */
const mostWork = 2e5;

/** One of the entry's sizes bounded, another one in each entry. */
function trialOf(checked: Checked, entry: string, place: number): BoundedTrial | undefined {
  const [base] = instancesOf(checked.program, entry);
  const names = checked.program.entries.get(entry)?.sizes ?? [];
  const size = names[place % names.length];
  if (base === undefined || size === undefined) return undefined;
  const others = new Map([...base].filter(([name]) => name !== size));
  return { checked, entry, others, size, bound, lengths: [[1, 7, 0, 13][place % 4]!] };
}

/** Undefined where it is not one program for all values. */
function loweredOrRefused(trial: BoundedTrial) {
  try {
    return loweredWithin(trial);
  } catch (error) {
    if (isUserError(error)) return undefined;
    throw error;
  }
}

let places = 0;
let refused = 0;
describe.each(programFiles)('%s', (file) => {
  const checked = checkSmallProgram(file);
  const entries = exportedEntries(checked).map((entry) => ({ entry, place: places++ }));
  // A half of them: what there is to get wrong is in several.
  test.each(entries.filter(({ place }) => place % 2 === 0))('$entry', async ({ entry, place }) => {
    const trial = trialOf(checked, entry, place >> 1);
    const lowered = trial && loweredOrRefused(trial);
    if (trial === undefined) return;
    if (lowered === undefined) {
      refused++;
      return;
    }
    if (graphCost(lowered.graph).flops > mostWork) return;
    expect(await faultInWasm(trial, lowered)).toBeUndefined();
    if (runsAsPtx(place, 10)) expect(await faultAsPtx(trial, lowered)).toBeUndefined();
    if (place % 6 === 0) expect(faultInGraphs(trial, lowered)).toBeUndefined();
  });
});

test('most sizes can be bounded', () => {
  expect(refused).toBeLessThan(places / 20);
});

/** Large enough for panels, for tiles of experts and for blocks of keys. */
const large: readonly (readonly [entry: string, others: Record<string, number>, size: string])[] = [
  ['matmul', { K: 32, N: 40 }, 'M'],
  ['matmul', { M: 33, N: 40 }, 'K'],
  ['matmul', { M: 20, K: 17 }, 'N'],
  ['causal', { H: 2, A: 8 }, 'S'],
  ['experts', { D: 16, F: 20, E: 3 }, 'T'],
];

function largeTrial(entry: string, others: Record<string, number>, size: string): BoundedTrial {
  const checked = checkFile(join(packageRoot, 'bench', 'cases.ricci'));
  if (checked.kind === 'rejected') throw new Error('cases.ricci is rejected');
  const lengths = [13, 48, 1, 30];
  return { checked, entry, others: new Map(Object.entries(others)), size, bound: 48, lengths };
}

describe('kernels that end in tiles', () => {
  let device: OpenedDevice;
  beforeAll(async () => {
    device = await openDevice(await openAdapter());
  });
  afterAll(() => device.destroy());

  test.each(large)('%s %o up to %s', async (entry, others, size) => {
    const trial = largeTrial(entry, others, size);
    const lowered = loweredWithin(trial);
    expect(await faultInWasm(trial, lowered)).toBeUndefined();
    expect(await faultOnDevice(trial, lowered, device)).toBeUndefined();
    expect(await faultAsPtx(trial, lowered)).toBeUndefined();
  });

  test.each([
    ['sums_so_far', { N: 2 }, 'M', 9000, [3000, 1]],
    ['sums_so_far', { M: 40 }, 'N', 90, [70]],
    ['sorted', { N: 2 }, 'M', 600, [400]],
    ['sorted', { M: 300 }, 'N', 5, [3]],
    ['best_of_all', { K: 20 }, 'M', 600, [300]],
  ] as const)('along rows: %s %o, and %s up to %i', async (entry, others, size, bound, lengths) => {
    const checked = checkSmallProgram('order.ricci');
    const own = { checked, entry, others: new Map<string, number>(Object.entries(others)) };
    const trial: BoundedTrial = { ...own, size, bound, lengths };
    const lowered = loweredWithin(trial);
    expect(await faultOnDevice(trial, lowered, device)).toBeUndefined();
    expect(await faultAsPtx(trial, lowered)).toBeUndefined();
  });
});

test.each([
  [{ B: 2, D: 4, V: 1030 }, 'T', 9, [5, 1]],
  [{ B: 2, D: 4, T: 3 }, 'V', 1050, [1030, 2]],
  [{ B: 2, T: 3, V: 1030 }, 'D', 9, [5]],
] as const)('logits that are not stored: %o, and %s up to %i', async (others, size, bound, lengths) => {
  const checked = checkSmallProgram('softmax.ricci');
  const own = { checked, entry: 'vocabulary', others: new Map<string, number>(Object.entries(others)) };
  const trial: BoundedTrial = { ...own, size, bound, lengths };
  const lowered = loweredWithin(trial);
  expect([...allNodes(lowered.optimized)].map(({ kind }) => kind)).toContain('softmaxSum');
  expect(await faultInWasm(trial, lowered)).toBeUndefined();
});
