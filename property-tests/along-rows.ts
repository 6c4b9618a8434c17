/** For tests: a node along rows, by schedules drawn at random, wherever kernels run; compared to the bit. */
import fc from 'fast-check';
import { expect } from 'vitest';
import { graphOf } from '../backends/wgsl/graph-building.ts';
import { type Choose, choicesOf, pick } from '../compiler/graph/choice-tape.ts';
import type { Node, Tensor } from '../compiler/graph/graph.ts';
import type { Advice } from '../compiler/tiles/choices/advice.ts';
import type { Form } from '../compiler/tiles/choices/choice.ts';
import { printChoice } from '../compiler/tiles/choices/choice-text.ts';
import { allChoices } from '../compiler/tiles/choices/problem.ts';
import { cudaDevices, type DeviceProfile, wasmDevice } from '../compiler/tiles/device-profile.ts';
import type { PtxTarget } from '../compiler/tiles/ptx-target.ts';
import { compileFor, compileWasm } from '../driver/compile.ts';
import type { Instance } from '../driver/lower.ts';
import { runReference } from '../driver/run-reference.ts';
import { type Dtype, dtypeFacts } from '../dsl/types/dtype.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import type { OpenedDevice } from '../runtime/webgpu/device.ts';
import { loadPackage } from '../runtime/webgpu/execute.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import type { Tensors } from './run-entry.ts';
import { runPtx } from './run-ptx.ts';

export type Place = 'WebAssembly' | 'WGSL' | PtxTarget;

export interface AlongRows {
  readonly source: Tensor;
  readonly node: Node;
  readonly values: readonly number[];
}

/** Rows and their length: none, one, a few, odd ones, and such as a workgroup has to take in turns. */
export function drawnShape(choose: Choose, longest: number): readonly number[] {
  const length = pick(choose, [
    ...[0, 1, 2, 3, 4, 31, 32, 33, 64, 100, 127, 256],
    ...[1 + choose(300), 4 * (1 + choose(longest / 4)), 1 + choose(longest), 1 + choose(longest)],
  ]);
  const most = Math.max(1, Math.min(70, Math.floor((2 * longest) / Math.max(1, length))));
  return pick(choose, [[length], [1 + choose(most), length], [1 + choose(most), length], [2, 3, length]]);
}

/** Numbers that few bits hold, drawn by `value` of each. */
export function drawnValues(shape: readonly number[], value: () => number): readonly number[] {
  return Array.from({ length: shape.reduce((total, extent) => total * extent, 1) }, value);
}

export const floats: readonly Dtype[] = ['f32', 'bf16', 'f16', 'f8e4m3', 'f8e5m2'];

export function isFloat(dtype: Dtype): boolean {
  return dtypeFacts[dtype].class === 'float';
}

const seed = fc.readConfigureGlobal().seed ?? 0;

interface Turns {
  readonly where: Place;
  readonly device: OpenedDevice;
  readonly count: number;
  /** Preferred in turn, and each to be met. */
  readonly forms: readonly Form[];
}

/** So many drawn ones, each by choices that are drawn, give what the evaluator gives, to the bit. */
export async function checkAlongRows(
  key: string,
  draw: (choose: Choose) => AlongRows,
  { where, device, count, forms }: Turns,
): Promise<void> {
  const met = new Set<Form>();
  for (let turn = 0; turn < count; turn++) {
    const choose = choicesOf(seed)(`${key} ${turn}`);
    const preferred = forms[turn % forms.length]!;
    const hear = (form: Form) => met.add(form);
    const wrong = await wrongAlongRows(draw(choose), where, device, choose, preferred, hear);
    expect(wrong, `turn ${turn}`).toBeUndefined();
  }
  for (const form of forms) expect(met).toContain(form);
}

/**
 * Runs it by choices that are drawn.
 * @param preferred the form that a choice has where it can
 * @param drawn hears of their forms
 * @returns what is wrong, in words; undefined where nothing is
 */
async function wrongAlongRows(
  { source, node, values }: AlongRows,
  where: Place,
  device: OpenedDevice,
  choose: Choose,
  preferred: Form,
  drawn: (form: Form) => void,
): Promise<string | undefined> {
  const graph = graphOf('along_rows', [source], [node]);
  const inputs: Tensors = new Map([['x', tensorFromValues(source.dtype, source.shape, values)]]);
  const said: string[] = [];
  const adviceFor = (profile: DeviceProfile): Advice => {
    return (problem) => {
      const all = allChoices(problem, profile);
      const some = all.filter(({ form }) => form === preferred);
      const choice = pick(choose, some.length > 0 ? some : all);
      said.push(printChoice(choice));
      drawn(choice.form);
      return choice;
    };
  };
  const found = await runAt(graph, inputs, where, device, adviceFor);
  const expected = runReference(graph, inputs);
  for (const [path, wanted] of expected) {
    const [own, right] = [found.get(path)!, wanted].map(tensorValues) as [Float64Array, Float64Array];
    const at = right.findIndex((value, place) => !isSame(own[place]!, value));
    if (at < 0) continue;
    const what = `${source.dtype}[${source.shape}] ${where}, ${said.join('; ')}`;
    return `${what}: ${own[at]} for ${right[at]} at ${at}`;
  }
  return undefined;
}

/** Zeros are equal, and so are NaNs. */
function isSame(own: number, wanted: number): boolean {
  return own === wanted || (Number.isNaN(own) && Number.isNaN(wanted));
}

async function runAt(
  graph: ReturnType<typeof graphOf>,
  inputs: ReadonlyMap<string, TensorData>,
  where: Place,
  device: OpenedDevice,
  adviceFor: (profile: DeviceProfile) => Advice,
): Promise<Tensors> {
  const lowered = { graph, optimized: graph, below: new Map<string, number>() };
  const instanceFor = (profile: DeviceProfile): Instance => ({
    ...{ entry: graph.name, sizes: new Map(), inputDtypes: new Map(), advice: adviceFor(profile) },
  });
  switch (where) {
    case 'WebAssembly': {
      const { package: made } = compileWasm(lowered, instanceFor(wasmDevice), wasmDevice);
      const loaded = await loadWasm(made, { threads: 1 });
      try {
        return loaded.run(inputs);
      } finally {
        loaded.destroy();
      }
    }
    case 'WGSL': {
      const { package: made } = compileFor(lowered, instanceFor(device.profile), device.profile);
      const loaded = await loadPackage(made, device);
      try {
        return await loaded.run(inputs);
      } finally {
        loaded.destroy();
      }
    }
    default:
      return runPtx(lowered, instanceFor(cudaDevices[where]), inputs, { target: where });
  }
}
