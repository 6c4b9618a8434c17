/**
 * Programs in which nothing is placed, placed by the compiler: on each mesh the devices together compute what
 * one does. The models and examples run on many meshes, on the evaluator, in WebAssembly and as WGSL; every
 * other small program on some, on the evaluator.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { allNodes } from '../compiler/graph/uses.ts';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { type CostModel, defaultCostModel } from '../compiler/partition/auto/cost-model.ts';
import { wasmDevice } from '../compiler/tiles/device-profile.ts';
import { type Checked, checkFile } from '../driver/check.ts';
import type { FoundTarget } from '../driver/choose-target.ts';
import { compileFor, compileWasm } from '../driver/compile.ts';
import { type Instance, type Lowered, lower } from '../driver/lower.ts';
import { moduleLoader } from '../driver/module-loader.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import { showGraph } from '../driver/show.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import { checkProgram } from '../dsl/types/check.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { type TensorData, tensorFromValues } from '../runtime/weights/tensor-data.ts';
import { hasInputs } from './instances.ts';
import { distance, type Tensors } from './run-entry.ts';
import { type MeshRun, runMeshInWasm, runMeshOnWebGpu } from './run-on-mesh.ts';
import { exportedEntries, programFiles, programPath } from './small-programs.ts';

let opened: OpenedDevice;
beforeAll(async () => {
  opened = await openDevice(await openAdapter());
});
afterAll(() => opened.destroy());

/** Devices so slow that even what is small is divided. */
const costs: CostModel = {
  ...defaultCostModel,
  flopsPerSecond: 1e3,
  bytesPerSecond: 1e4,
  link: { bytesPerSecond: 1e6, latencySeconds: 1e-7 },
};

/** Devices along each axis: one, two and three axes, some of one device, in more than one order. */
const manyMeshes: readonly (readonly number[])[] = [
  [1],
  [2],
  [3],
  [4],
  [1, 2],
  [2, 2],
  [2, 3],
  [3, 2],
  [4, 2],
  [1, 3, 1],
  [2, 2, 2],
  [2, 1, 3],
];
const someMeshes: typeof manyMeshes = [[3, 2]];

/**
 * The first axes are those that the program has, if it has any. In the other order devices have other numbers,
 * and neighbours are neighbours along another axis.
 */
function meshOf(
  { program }: Checked,
  sizes: readonly number[],
  order: 'declared' | 'reversed' = 'declared',
): Mesh {
  const others = ['x', 'y', 'z'].filter((name) => !program.axes.includes(name));
  const names = [...program.axes, ...others];
  const axes = sizes.map((size, at) => ({ name: names[at]!, size }));
  return { axes: order === 'declared' ? axes : axes.reverse() };
}

/** Of experts and heads; the others come from a pool. */
const chosen: Readonly<Record<string, number>> = { K: 2, E: 12, G: 12, R: 2, P: 2 };

function sizesOn(
  { program }: Checked,
  entry: string,
  mesh: Mesh,
  pool: readonly number[],
  named = chosen,
): ReadonlyMap<string, number> | undefined {
  const names = program.entries.get(entry)!.sizes.filter((name) => !program.axes.includes(name));
  const own = names.map((name, at) => [name, named[name] ?? pool[at % pool.length]!] as const);
  const axes = mesh.axes.flatMap(({ name, size }) =>
    program.axes.includes(name) ? [[name, size] as const] : [],
  );
  const solved = solveEntrySizes(program, entry, new Map(), new Map([...own, ...axes]));
  return solved.kind === 'sizes' && hasInputs(program, entry, solved.sizes) ? solved.sizes : undefined;
}

/** The base of rotations and what is added to variances are above zero. */
function inputsFor({ program }: Checked, entry: string, sizes: ReadonlyMap<string, number>) {
  return new Map(
    describeEntry(program, entry).inputs.map((each): readonly [string, TensorData] => {
      const positive = { theta: 50, epsilon: 1e-5 }[each.path];
      if (positive === undefined) return [each.path, randomInput(each, sizes, 3)];
      return [each.path, tensorFromValues('f32', [], Float64Array.of(positive))];
    }),
  );
}

/** Sums of bf16 are rounded once a device: one ulp. Otherwise as for programs of one device. */
const toleranceOf = (tensors: ReadonlyMap<string, TensorData>) =>
  [...tensors.values()].some(({ dtype }) => dtype === 'bf16') ? 2 ** -7 : 2e-5;

/** What the partitioner made is a program that checks; what is in the view of one device cannot be written out. */
function checkWrittenOut(parts: Lowered): void {
  if (allNodes(parts.placed!.graph).some(({ kind }) => kind === 'block' || kind === 'exchange')) return;
  const text = showGraph.source(parts);
  const { diagnostics } = checkProgram({ path: 'placed.ricci', text }, moduleLoader);
  expect(
    diagnostics.map(({ code, message }) => `${code} ${message}`),
    text,
  ).toEqual([]);
}

interface Case {
  readonly checked: Checked;
  readonly entry: string;
  readonly mesh: Mesh;
  readonly sizes: ReadonlyMap<string, number>;
}

const runOn: {
  readonly [T in FoundTarget]: (parts: Lowered, instance: Instance, inputs: Tensors) => Promise<MeshRun>;
} = {
  wgsl: (parts, instance, inputs) =>
    runMeshOnWebGpu(compileFor(parts, instance, opened.profile).package, inputs, opened),
  wasm: (parts, instance, inputs) => runMeshInWasm(compileWasm(parts, instance, wasmDevice).package, inputs),
};

/** Whether the devices hold different parts of anything. */
async function compare(
  { checked, entry, mesh, sizes }: Case,
  kernels: readonly FoundTarget[],
): Promise<boolean> {
  const instance: Instance = { entry, sizes, inputDtypes: new Map(), mesh, auto: true, costs };
  const own = new Map([...sizes].filter(([name]) => !checked.program.axes.includes(name)));
  const whole = lower(checked, { entry, sizes: own, inputDtypes: new Map() });
  const parts = lower(checked, instance);
  if (whole.kind === 'rejected' || parts.kind === 'rejected') throw new Error(`${entry} is rejected`);
  const inputs = inputsFor(checked, entry, sizes);
  const wanted = runReference(whole.graph, inputs);
  const at = `${mesh.axes.map(({ name, size }) => `${name}=${size}`)} ${JSON.stringify([...sizes])}`;
  checkWrittenOut(parts);
  const onReference = runReferenceOnMesh(parts.device!, inputs);
  expect(distance(wanted, onReference), `reference, ${at}`).toBeLessThanOrEqual(toleranceOf(wanted));
  for (const target of kernels) {
    const { outputs } = await runOn[target](parts, instance, inputs);
    expect(distance(wanted, outputs), `${target}, ${at}`).toBeLessThanOrEqual(toleranceOf(wanted));
  }
  const { inputs: taken, outputs: given } = parts.device!;
  return [...taken.values(), ...given.values()].some(({ dims }) => dims.flat().length > 0);
}

function check(path: string): Checked {
  const outcome = checkFile(path);
  if (outcome.kind === 'checked') return outcome;
  throw new Error(outcome.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

const root = join(import.meta.dirname, '..');
const examples = readdirSync(join(root, 'examples'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ricci'))
  .map((name) => join('examples', name));
const models = [...examples, 'stdlib/llama.ricci', 'stdlib/mixtral.ricci'];

/** Of each dozen of meshes some: what takes long is to compile, and a driver takes longest. */
function kernelsAt(turn: number): readonly FoundTarget[] {
  if (turn === 7) return ['wgsl'];
  return turn === 0 || turn === 3 ? ['wasm'] : [];
}

/** What axes cut in a signature that is not left to the compiler comes apart into equal blocks. */
const evenOnly = (checked: Checked, entry: string): boolean =>
  checked.program.axes.length > 0 && !checked.program.entries.get(entry)!.auto;

describe.each(models)('%s', (file) => {
  const checked = check(join(root, file));
  const entries = exportedEntries(checked).map((entry, place) => ({ entry, place }));
  test.each(entries)('$entry', async ({ entry, place }) => {
    let divided = 0;
    // Half of them in each entry: to search for the best takes long.
    const meshes = [...manyMeshes.entries()].filter(([position]) => (position + place) % 2 === 0);
    for (const [position, devices] of meshes) {
      const mesh = meshOf(checked, devices, position % 3 === 2 ? 'reversed' : 'declared');
      // Half of the meshes do not divide the sizes, nor the heads and experts.
      const isEven = (position >> 1) % 2 === 0 || evenOnly(checked, entry);
      const sizes = isEven
        ? sizesOn(checked, entry, mesh, [12, 4, 6, 2])
        : sizesOn(checked, entry, mesh, [7, 5, 10, 3], { K: 2, E: 5, G: 3, R: 2, P: 2 });
      expect(sizes, `sizes for ${devices}`).not.toBe(undefined);
      // Others in each entry.
      const kernels = kernelsAt((position + 5 * place) % 12);
      if (await compare({ checked, entry, mesh, sizes: sizes! }, kernels)) divided++;
    }
    // All but the mesh of one device.
    expect(divided).toBe(meshes.filter(([, devices]) => devices.some((count) => count > 1)).length);
  });
});

/** What says something of the mesh that it runs on. */
const onOneDevice: ReadonlySet<string> = new Set(['shifted', 'axis_as_size']);

describe.each(programFiles)('%s', (file) => {
  const checked = check(programPath(file));
  // Every third one: to search takes long, and random programs are placed as well.
  const entries = exportedEntries(checked).filter(
    (entry, place) => place % 3 === 0 && !onOneDevice.has(entry),
  );
  test.each(entries)('%s', async (entry) => {
    for (const devices of someMeshes) {
      const mesh = meshOf(checked, devices);
      const sizes = sizesOn(checked, entry, mesh, [12, 6, 12]);
      if (sizes !== undefined) await compare({ checked, entry, mesh, sizes }, []);
    }
  });
});
