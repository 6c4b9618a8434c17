/** The table that ships has choices that can be taken, of problems that it is measured for. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { accepted } from '../../bench/accepted.ts';
import { tunedCases } from '../../bench/gpu/tuned.ts';
import { allTensors } from '../../compiler/plan/storages.ts';
import { adviceOf } from '../../compiler/tiles/choices/advice.ts';
import { printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import { problemKey } from '../../compiler/tiles/choices/problem-key.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';
import { checkFile } from '../check.ts';
import { asStoredOn, cudaDeviceFor } from '../compile.ts';
import { lower } from '../lower.ts';
import { packageRoot } from '../package-root.ts';
import { knownFrom } from './cache.ts';
import { packageIdentity } from './identity.ts';
import { shippedProblems } from './shipped.ts';

const silent = () => undefined;

test('each choice of the table is taken for its problem', () => {
  const problems = shippedProblems(packageIdentity('sm_90a'));
  const advice = adviceOf(new Map([...problems].map(([key, { choice }]) => [key, choice])));
  const checked = accepted(checkFile(join(packageRoot, 'bench/gpu/cases.ricci')));
  const taken = new Map<string, string>();
  for (const { entry, sizes, allowed = [] } of tunedCases) {
    // A program takes a while to be scheduled.
    if ([...problems.keys()].every((key) => taken.has(key))) break;
    const instance = { entry, sizes: new Map(Object.entries(sizes)), inputDtypes: new Map() };
    const device = cudaDeviceFor('sm_90a', { allowed });
    const { graph } = asStoredOn(device, accepted(lower(checked, instance)).optimized);
    const schedule = scheduleGraph(graph, device, advice);
    const tensors = allTensors(graph, schedule);
    for (const { problem, choice } of schedule.chosen) {
      const key = problemKey(problem, (id) => tensors.get(id)!);
      taken.set(key, printChoice(choice));
    }
  }
  for (const [key, { choice }] of problems) expect(taken.get(key), key).toBe(printChoice(choice));
});

test('what ships is of its target, and none is none', () => {
  expect(shippedProblems(packageIdentity('sm_80')).size).toBe(0);
  expect(shippedProblems({ target: 'wgsl', name: 'a device' }).size).toBe(0);
  expect(knownFrom('none', packageIdentity('sm_90a'), silent)).toEqual({});
  // Nothing is kept of what is no device.
  const shipped = knownFrom('shipped', packageIdentity('sm_90a'), silent);
  expect(Object.keys(knownFrom('auto', packageIdentity('sm_90a'), silent))).toEqual(Object.keys(shipped));
});
