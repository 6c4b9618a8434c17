/**
 * Small programs that are placed on a mesh which does not divide their sizes: padded, they compute what the
 * whole program does, on the evaluator, in WebAssembly and as WGSL.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { printGraph } from '../compiler/graph/print.ts';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { optimize } from '../compiler/optimize/passes.ts';
import { evenSizes } from '../compiler/partition/even/even-sizes.ts';
import { placeEvenly } from '../compiler/partition/even/place-evenly.ts';
import { type DeviceProgram, localize } from '../compiler/partition/localize.ts';
import { place } from '../compiler/partition/place.ts';
import type { Package, PtxPackage, WasmPackage } from '../compiler/plan/package.ts';
import { parseManifest } from '../compiler/plan/parse-manifest.ts';
import { wasmDevice } from '../compiler/tiles/device-profile.ts';
import type { Checked } from '../driver/check.ts';
import { compileFor, compilePtx, compileWasm } from '../driver/compile.ts';
import { lower } from '../driver/lower.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import type { Mesh } from '../dsl/placement/placement.ts';
import { openAdapter } from '../runtime/webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../runtime/webgpu/device.ts';
import type { TensorData } from '../runtime/weights/tensor-data.ts';
import { allAsPtx } from './all-as-ptx.ts';
import { hasInputs } from './instances.ts';
import { distance } from './run-entry.ts';
import { runMeshAsPtx, runMeshInWasm, runMeshOnWebGpu } from './run-on-mesh.ts';
import { checkSmallProgram } from './small-programs.ts';

let opened: OpenedDevice;
beforeAll(async () => {
  opened = await openDevice(await openAdapter());
});
afterAll(() => opened.destroy());

type Tensors = ReadonlyMap<string, TensorData>;

/** Sums of bf16 are rounded once a device: one ulp. Otherwise as for programs of one device. */
const toleranceOf = (tensors: Tensors) =>
  [...tensors.values()].some(({ dtype }) => dtype === 'bf16') ? 2 ** -7 : 2e-5;

/** Devices along the axes of a program, in the order in which it declares them. */
const meshSizes: readonly (readonly number[])[] = [
  [2, 3, 2, 2],
  [3, 2, 4, 1],
  [8, 1, 1, 3],
];

/** Each size parameter in turn: primes, one, nothing, fewer than there are devices. */
const pools: readonly (readonly number[])[] = [
  [5, 7, 11],
  [1, 5, 3],
  [0, 7, 3],
];

/** Without what is written for the block of one device, which must be a whole number of positions. */
const entries: Readonly<Record<string, readonly string[]>> = {
  'placed.ricci': [
    'parallel',
    'resharded',
    'two_axes',
    'scattered',
    'partial_maxima',
    'from_one_device',
    'resharded_twice',
    'pending_in',
    'pending_out',
  ],
  'sharded.ricci': [
    'gated',
    'two_ways',
    'scattered_rows',
    'attend_all',
    'positions',
    'embedded',
    'mixtures',
    'layers',
    'any_and_all',
    'with_bias',
    'greatest_sum',
    'rounded_for_one',
    'widened',
    'total_and_greatest',
    'sums_of_places',
  ],
  'sequence.ricci': ['gathered', 'by_heads', 'by_replicated_heads'],
};

interface Prepared {
  readonly device: DeviceProgram;
  readonly inWasm: WasmPackage;
  /** Compiled when it is asked for. */
  readonly onAdapter: () => Package;
  readonly asPtx: () => PtxPackage;
  readonly inputs: Tensors;
  readonly written: Tensors;
}

function prepare(checked: Checked, entry: string, sizes: ReadonlyMap<string, number>, mesh: Mesh): Prepared {
  const { program } = checked;
  const instance = { entry, sizes, inputDtypes: new Map() };
  const lowered = lower(checked, instance);
  if (lowered.kind === 'rejected') throw new Error(lowered.diagnostics[0]!.message);
  const options = { mesh, ...entryPlacements(program, entry) };
  const placed = placeEvenly(lowered.graph, options);
  if (placed.kind === 'misplaced') throw new Error(placed.faults[0]!.message);
  const device = { ...localize(placed.placed), whole: placed.whole };
  // Where all places are known beforehand it is the same program.
  const { outputs } = options;
  const even = evenSizes(lowered.graph, { mesh, outputs, placements: placed.placed.placements });
  const again = place(even.graph, options);
  if (again.kind === 'misplaced') throw new Error(again.faults[0]!.message);
  const known = localize(again.placed);
  expect(printGraph(known.graph)).toBe(printGraph(device.graph));
  const optimized = optimize(device.graph);
  const own = { ...lowered, device, optimized };
  const inputs = new Map(
    describeEntry(program, entry).inputs.map((each) => [each.path, randomInput(each, sizes, 3)]),
  );
  return {
    device,
    inWasm: compileWasm(own, { ...instance, mesh }, wasmDevice).package,
    asPtx: () => compilePtx(own, { ...instance, mesh }, 'sm_80').package,
    onAdapter: () => compileFor(own, { ...instance, mesh }, opened.profile).package,
    inputs,
    written: runReference(lowered.graph, inputs),
  };
}

function sizesOf({ program }: Checked, entry: string): readonly ReadonlyMap<string, number>[] {
  const names = program.entries.get(entry)!.sizes.filter((name) => !program.axes.includes(name));
  return pools.flatMap((pool) => {
    const given = new Map(names.map((name, at) => [name, pool[at % pool.length]!] as const));
    const solved = solveEntrySizes(program, entry, new Map(), given);
    return solved.kind === 'sizes' && hasInputs(program, entry, given) ? [given] : [];
  });
}

test('an output that is not trimmed is noticed', async () => {
  const checked = checkSmallProgram('sharded.ricci');
  const sizes = new Map(Object.entries({ B: 5, S: 7 }));
  const axes = [{ name: 'sp', size: 2 }];
  const prepared = prepare(checked, 'positions', sizes, { axes });
  const { manifest, module } = prepared.inWasm;
  const outputs = manifest.outputs.map(({ whole: _, ...output }) => output);
  const found = await runMeshInWasm({ module, manifest: { ...manifest, outputs } }, prepared.inputs);
  expect(distance(prepared.written, found.outputs)).toBe(Number.POSITIVE_INFINITY);
});

describe.each(Object.entries(entries))('%s', (file, names) => {
  const checked = checkSmallProgram(file);
  test.each(names)('%s', async (entry) => {
    let [padded, ran] = [0, 0];
    for (const sizesAlong of meshSizes)
      for (const sizes of sizesOf(checked, entry)) {
        const axes = checked.program.axes.map((name, at) => ({ name, size: sizesAlong[at] ?? 1 }));
        const prepared = prepare(checked, entry, sizes, { axes });
        const at = JSON.stringify([...sizes, ...sizesAlong]);
        const { device, inputs, written, inWasm, onAdapter } = prepared;
        if (device.whole!.inputs.size + device.whole!.outputs.size > 0) padded++;
        parseManifest(JSON.parse(JSON.stringify(inWasm.manifest)), entry);
        const onReference = runReferenceOnMesh(device, inputs);
        expect(distance(written, onReference), `reference, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
        const { outputs } = await runMeshInWasm(inWasm, inputs);
        expect(distance(written, outputs), `wasm, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
        if (allAsPtx) {
          const asPtx = await runMeshAsPtx(prepared.asPtx(), inputs);
          expect(distance(written, asPtx.outputs), `ptx, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
        }
        // The driver takes long to compile.
        if (ran++ > 0) continue;
        const pkg = onAdapter();
        parseManifest(JSON.parse(JSON.stringify(pkg.manifest)), entry);
        const found = await runMeshOnWebGpu(pkg, inputs, opened);
        expect(distance(written, found.outputs), `wgsl, ${at}`).toBeLessThanOrEqual(toleranceOf(written));
      }
    if (entry !== 'from_one_device' && entry !== 'pending_in') expect(padded).toBeGreaterThan(1);
  });
});
