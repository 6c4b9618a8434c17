/**
 * Every small program means the same under any schedule that the tuner may choose, in WebAssembly and as WGSL.
 */
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { choicesOf, shuffled } from '../compiler/graph/choice-tape.ts';
import type { Form } from '../compiler/tiles/choices/choice.ts';
import { printChoice } from '../compiler/tiles/choices/choice-text.ts';
import { cudaDevices, wasmDevice } from '../compiler/tiles/device-profile.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { preparedByName } from './by-units.ts';
import { drawnAdvice } from './drawn-advice.ts';
import { instancesOf } from './instances.ts';
import { oracle as onAdapter } from './mutants/oracles/kernels.ts';
import { oracle } from './mutants/oracles/schedules.ts';
import { deviceToleranceOf, distance, evaluateEntry, runEntry, runWasm } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

let device: OpenedDevice;
beforeAll(async () => {
  device = await openDevice(await openAdapter());
});
afterAll(() => device.destroy());

const seed = fc.readConfigureGlobal().seed ?? 0;

/** Each with the first sizes that it can be run at. */
const programs = programFiles.flatMap((file) => {
  const checked = checkSmallProgram(file);
  return exportedEntries(checked).map((entry) => {
    const choose = choicesOf(seed)(`${file} ${entry}`);
    const [sizes = new Map()] = instancesOf(checked.program, entry);
    return { name: `${file}: ${entry}`, checked, entry, sizes, choose };
  });
});

function chosen(key: string, count: number) {
  return shuffled(choicesOf(seed)(key), programs).slice(0, count);
}

/** Of the programs so many in each way; where a driver compiles, fewer. */
const [inWasm, onDevice] = [240, 10];

test('in WebAssembly', async () => {
  const counts = new Map<Form, number>();
  for (const { name, checked, entry, sizes, choose } of chosen('in WebAssembly', inWasm)) {
    const drawn: string[] = [];
    const advice = drawnAdvice(choose, wasmDevice, (choice) => {
      counts.set(choice.form, (counts.get(choice.form) ?? 0) + 1);
      drawn.push(printChoice(choice));
    });
    const { written } = evaluateEntry(checked, entry, sizes, 7);
    const off = distance(written, await runWasm(checked, entry, sizes, 7, { device: wasmDevice, advice }));
    expect(off, `${name}: ${drawn.join('; ')}`).toBeLessThanOrEqual(deviceToleranceOf(written));
  }
  const often = [...counts].filter(([, count]) => count >= 5).map(([form]) => form);
  expect(often.toSorted()).toEqual(['columns', 'map', 'rows', 'stream', 'thin', 'tiles', 'walk']);
});

/** Those that need longer axes than most of the programs have. */
test.each([
  'softmax.ricci: causal S=40,G=1,R=2,A=4,B=4, blocked',
  'softmax.ricci: vocabulary B=1,T=4,D=4,V=1025, stream',
  'softmax.ricci: no_logits T=4,D=4,V=1030, tiles',
  'reductions.ricci: rows N=3,M=70, split',
  'rows.ricci: chosen T=20,E=16,K=3, rows',
  'rows.ricci: narrow_norms B=2,T=9,D=20, rows',
  'contractions.ricci: transposed_left M=5,K=71,N=9, split',
])('every choice of %s', async (name) => {
  expect(await oracle.check(name, device)).toBeUndefined();
});

/** Those of nodes that go along the same rows. */
test.each([
  'layer_norms T=9,D=600',
  'narrow_norms B=2,T=5,D=512',
  'moments T=12,D=20,E=9',
  'chosen T=20,E=300,K=4',
])('rows as PTX: %s', async (name) => {
  const { instance, lowered, inputs, written } = preparedByName('rows.ricci', name);
  const choose = choicesOf(seed)(name);
  for (let turn = 0; turn < 4; turn++) {
    const drawn: string[] = [];
    const advice = drawnAdvice(choose, cudaDevices.sm_80, (choice) => drawn.push(printChoice(choice)));
    const off = distance(
      written,
      await runPtx(lowered, { ...instance, advice }, inputs, { target: 'sm_80' }),
    );
    expect(drawn).toEqual([expect.stringMatching(/^rows /)]);
    expect(off, drawn[0]).toBeLessThanOrEqual(deviceToleranceOf(written));
  }
});

test('as WGSL', async () => {
  for (const { name, checked, entry, sizes, choose } of chosen('on a device', onDevice)) {
    const drawn: string[] = [];
    const advice = drawnAdvice(choose, device.profile, (choice) => drawn.push(printChoice(choice)));
    const { written, wgsl } = await runEntry(checked, entry, sizes, 7, device, advice);
    const off = distance(written, wgsl);
    expect(off, `${name}: ${drawn.join('; ')}`).toBeLessThanOrEqual(deviceToleranceOf(written));
  }
});

/** Those that no program is long enough for. */
test.each([
  'softmax.ricci: rows N=40,M=36',
  'softmax.ricci: full S=3,G=1,R=1,A=132,U=9',
  'softmax.ricci: vocabulary B=2,T=2,D=4,V=1100',
  'softmax.ricci: vocabulary B=2,T=2,D=4,V=1100, on a GPU',
  'contractions.ricci: transposed_left M=16,K=2090,N=16, on a GPU',
])('first choices as WGSL: %s', async (name) => {
  expect(await onAdapter.check(name, device)).toBeUndefined();
});
