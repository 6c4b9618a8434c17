/** No kernel of a small program races on tiles that a workgroup shares, as kernels for a GPU have them. */
import { expect, test } from 'vitest';
import { compileFor } from '../driver/compile.ts';
import { lower } from '../driver/lower.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { openDevice } from '../runtime/webgpu/device.ts';
import { instancesOf } from './instances.ts';
import { raceIn } from './races.ts';
import { checkSmallProgram, exportedEntries } from './small-programs.ts';

/** Those with products: of two factors, of scores, of the experts that are chosen. */
const files = ['contractions.ricci', 'softmax.ricci', 'experts.ricci'];

test.each(files)('%s', async (file) => {
  const device = await openDevice(await openAdapter());
  const profile = { ...device.profile, software: false };
  const checked = checkSmallProgram(file);
  let sharing = 0;
  for (const entry of exportedEntries(checked))
    for (const sizes of instancesOf(checked.program, entry)) {
      const instance = { entry, sizes, inputDtypes: new Map() };
      const lowered = lower(checked, instance);
      if (lowered.kind === 'rejected') throw new Error(`${entry} is rejected`);
      for (const [kernel, text] of compileFor(lowered, instance, profile).package.code) {
        expect([entry, kernel, raceIn(text)]).toEqual([entry, kernel, undefined]);
        if (text.includes('var<workgroup> shared_')) sharing++;
      }
    }
  expect(sharing).toBeGreaterThan(0);
  device.destroy();
});

const kernel = (...body: readonly string[]) =>
  ['var<workgroup> shared_a: array<f32, 4>;', 'fn main(', ') {', ...body, '}'].join('\n');
const [barrier, write, read] = ['workgroupBarrier();', 'shared_a[thread] = 1.0f;', 'let v = shared_a[0];'];

test.each<[string, readonly string[], string | undefined]>([
  ['a read after a write', [write, read], read],
  ['a write after a read', [read, write], write],
  ['a write that follows a read in the next step', ['for (;;) {', write, barrier, read, '}'], write],
  ['a read after a branch that may be skipped', [write, 'if (c) {', barrier, '}', read], read],
  ['nothing between barriers', ['for (;;) {', barrier, write, barrier, read, '}'], undefined],
])('%s is told', (_, body, wanted) => {
  expect(raceIn(kernel(...body))).toBe(wanted);
});
