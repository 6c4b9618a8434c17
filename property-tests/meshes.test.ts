/**
 * Small programs that are placed on a mesh mean the same on each: the program of one device, on all devices, on the
 * evaluator, in WebAssembly, as WGSL and as PTX, computes what the whole program does, and sends what is predicted.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { float64 } from '../compiler/graph/float64.ts';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { type CostModel, defaultCostModel } from '../compiler/partition/auto/cost-model.ts';
import { evaluateOnMesh } from '../compiler/partition/evaluate-mesh.ts';
import { wasmDevice } from '../compiler/tiles/device-profile.ts';
import type { Checked } from '../driver/check.ts';
import { compileFor, compilePtx, compileWasm } from '../driver/compile.ts';
import { type Instance, type Lowered, lower } from '../driver/lower.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import { isUserError } from '../runtime/errors.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import { type TensorData, tensorValues } from '../runtime/weights/tensor-data.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { hasInputs } from './instances.ts';
import { distance } from './run-entry.ts';
import { type MeshRun, runMeshAsPtx, runMeshInWasm, runMeshOnWebGpu } from './run-on-mesh.ts';
import { checkSmallProgram, exportedEntries } from './small-programs.ts';

let opened: OpenedDevice;
beforeAll(async () => {
  opened = await openDevice(await openAdapter());
});
afterAll(() => opened.destroy());

/** Sums of bf16 are rounded once a device: one ulp. Otherwise as for programs of one device. */
const toleranceOf = (tensors: ReadonlyMap<string, TensorData>) =>
  [...tensors.values()].some(({ dtype }) => dtype === 'bf16') ? 2 ** -7 : 2e-5;

/** Devices along the axes of a program, in the order in which it declares them. */
const meshSizes: readonly (readonly number[])[] = [
  [1, 1, 1, 1],
  [2, 1, 2, 1],
  [2, 3, 1, 2],
  [3, 2, 2, 1],
  [6, 2, 3, 1],
];

/** Each size parameter in turn; what axes cut comes apart. */
const pools: readonly (readonly number[])[] = [
  [12, 6, 12],
  [6, 24, 2],
  [0, 12],
];

function meshesOf({ program }: Checked): readonly Mesh[] {
  return meshSizes.map((sizes) => ({
    axes: program.axes.map((name, at) => ({ name, size: sizes[at] ?? 1 })),
  }));
}

/** Attention takes the square of its sequence in time: few heads, and narrow ones. */
const attentionPools: readonly (readonly number[])[] = [
  [12, 6, 1, 2],
  [6, 6, 2, 1, 3],
];

/** Many kernels each: few sizes. */
const dispatchPools: readonly (readonly number[])[] = [
  [12, 6, 12],
  [0, 3, 12],
];

/** Loops in loops. */
const pipelinePools: readonly (readonly number[])[] = [
  [6, 6],
  [1, 12, 6],
];

/** Some are not divided by what the compiler may cut them over. */
const automaticPools: readonly (readonly number[])[] = [
  [12, 6, 12, 2],
  [6, 7, 6, 2],
  [0, 12, 6],
];

/** Where the compiler places: devices so slow that even what is small is divided. */
const costs: CostModel = {
  ...defaultCostModel,
  flopsPerSecond: 1e3,
  bytesPerSecond: 1e4,
  link: { bytesPerSecond: 1e6, latencySeconds: 1e-7 },
};

function sizesOn(
  { program }: Checked,
  entry: string,
  mesh: Mesh,
  from: readonly (readonly number[])[] = pools,
): readonly ReadonlyMap<string, number>[] {
  const names = program.entries.get(entry)!.sizes.filter((name) => !program.axes.includes(name));
  return from.flatMap((pool) => {
    const own = names.map((name, at) => [name, pool[at % pool.length]!] as const);
    const axes = mesh.axes.map(({ name, size }) => [name, size] as const);
    const solved = solveEntrySizes(program, entry, new Map(), new Map([...own, ...axes]));
    return solved.kind === 'sizes' && hasInputs(program, entry, solved.sizes) ? [solved.sizes] : [];
  });
}

interface Prepared {
  readonly lowered: Lowered;
  readonly instance: Instance;
  readonly inputs: ReadonlyMap<string, TensorData>;
  readonly written: ReadonlyMap<string, TensorData>;
  readonly onReference: ReadonlyMap<string, TensorData>;
  /** By the busiest device. */
  readonly predictedBytes: number;
}

/** undefined where the entry does not run on this mesh. */
function prepare(
  checked: Checked,
  entry: string,
  sizes: ReadonlyMap<string, number>,
  mesh: Mesh,
): Prepared | undefined {
  const instance = { entry, sizes, inputDtypes: new Map(), mesh, costs };
  const own = new Map([...sizes].filter(([name]) => !checked.program.axes.includes(name)));
  const alone = lower(checked, { entry, sizes: own, inputDtypes: new Map() });
  if (alone.kind === 'rejected') return undefined;
  const lowered = (() => {
    try {
      return lower(checked, instance);
    } catch (error) {
      if (isUserError(error)) return undefined;
      throw error;
    }
  })();
  if (lowered === undefined || lowered.kind === 'rejected') return undefined;
  const wanted = describeEntry(checked.program, entry).inputs;
  const inputs = new Map(wanted.map((each) => [each.path, randomInput(each, sizes, 3)]));
  const values = [...inputs].map(([path, tensor]) => {
    const { dtype, shape } = tensor;
    return [path, { dtype, shape, data: tensorValues(tensor) }] as const;
  });
  const { sent } = evaluateOnMesh({ ...lowered.device!, graph: lowered.optimized }, new Map(values), float64);
  return {
    lowered,
    instance,
    inputs,
    written: runReference(alone.graph, inputs),
    onReference: runReferenceOnMesh(lowered.device!, inputs),
    predictedBytes: [...sent.values()].reduce((sum, bytes) => sum + bytes, 0),
  };
}

function onWebGpu({ lowered, instance, inputs }: Prepared): Promise<MeshRun> {
  return runMeshOnWebGpu(compileFor(lowered, instance, opened.profile).package, inputs, opened);
}

function inWasm({ lowered, instance, inputs }: Prepared): Promise<MeshRun> {
  return runMeshInWasm(compileWasm(lowered, instance, wasmDevice).package, inputs);
}

function inEmulator({ lowered, instance, inputs }: Prepared): Promise<MeshRun> {
  return runMeshAsPtx(compilePtx(lowered, instance, 'sm_80').package, inputs);
}

/** What says something of the mesh that it runs on, and what is left to the partitioner. */
const onOneDevice: ReadonlySet<string> = new Set(['shifted', 'axis_as_size', 'left_to_the_compiler']);

const thorough: ReadonlySet<string> = new Set(['placed.ricci', 'sharded.ricci']);

describe.each([
  ['placed.ricci', pools],
  ['sharded.ricci', pools],
  ['sequence.ricci', attentionPools],
  ['dispatch.ricci', dispatchPools],
  ['pipeline.ricci', pipelinePools],
  ['automatic.ricci', automaticPools],
])('%s', (file, from) => {
  const checked = checkSmallProgram(file);
  // What has tests of its own elsewhere is run on the two meshes of most axes.
  const meshes = thorough.has(file) ? meshesOf(checked) : meshesOf(checked).slice(2, 4);
  const entries = exportedEntries(checked).filter((entry) => !onOneDevice.has(entry));
  test.each(entries.map((entry, place) => ({ entry, place })))('$entry', async ({ entry, place }) => {
    let ran = 0;
    for (const mesh of meshes)
      for (const sizes of sizesOn(checked, entry, mesh, from)) {
        const prepared = prepare(checked, entry, sizes, mesh);
        if (prepared === undefined) continue;
        ran++;
        const at = JSON.stringify([...sizes]);
        const { written, onReference, predictedBytes } = prepared;
        expect(distance(written, onReference), `reference, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
        // Every third one: compiling takes longest.
        if (ran % 3 !== 0) continue;
        const { outputs, traffic } = await inWasm(prepared);
        expect(distance(written, outputs), `wasm, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
        // And a driver longer still. The first mesh may be of one device.
        if (ran === 3) {
          const { outputs: onAdapter } = await onWebGpu(prepared);
          expect(distance(written, onAdapter), `wgsl, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
        }
        if (allAsPtx || (ran === 3 && place % 4 === 0)) {
          const { outputs: asPtx } = await inEmulator(prepared);
          expect(distance(written, asPtx), `ptx, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
        }
        // A sum of elements that do not come apart equally is shared out as well as can be.
        const sent = Math.max(...traffic.sentBytes);
        expect(Math.abs(sent - predictedBytes), `bytes, ${at}`).toBeLessThanOrEqual(8 * traffic.exchanges);
      }
    expect(ran).toBeGreaterThan(1);
  });
});

test('a sum that is not taken is noticed', async () => {
  const checked = checkSmallProgram('sharded.ricci');
  const mesh: Mesh = { axes: [{ name: 'tp', size: 2 }] };
  const [sizes] = sizesOn(checked, 'two_ways', mesh);
  const prepared = prepare(checked, 'two_ways', sizes!, mesh)!;
  const { manifest, ...compiled } = compileWasm(prepared.lowered, prepared.instance, wasmDevice).package;
  const steps = manifest.steps.map((step) =>
    step.kind === 'exchange' ? { ...step, verb: 'broadcast' as const } : step,
  );
  const mutant = { ...compiled, manifest: { ...manifest, steps } };
  const { outputs } = await runMeshInWasm(mutant, prepared.inputs);
  expect(distance(prepared.written, outputs)).toBeGreaterThan(1e-2);
});
