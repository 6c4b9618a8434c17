import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ExchangeNode, Graph, GraphInput, Tensor } from '../../compiler/graph/graph.ts';
import { exchangeVerbs } from '../../compiler/graph/graph.ts';
import { pendingCombiners, verbFacts } from '../../compiler/plan/exchange-verbs.ts';
import { elementCount, typeText } from '../../compiler/plan/storage-bytes.ts';
import { deviceCount, type Mesh } from '../../dsl/placement/placement.ts';
import { type Dtype, dtypeFacts, dtypes } from '../../dsl/types/dtype.ts';
import { emulatorDevice } from '../cuda/emulator-device.ts';
import { openAdapter } from '../webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../webgpu/device.ts';
import type { Tensors } from '../webgpu/execute.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../weights/tensor-data.ts';
import type { World } from './communicator.ts';
import { inProcess } from './in-process.ts';
import type { LoadedRank } from './loaded-rank.ts';
import { loadCudaMesh, loadWasmMesh } from './run-launch-mesh.ts';
import { loadCudaRank, loadWasmRank } from './run-launch-rank.ts';
import { loadMesh } from './run-mesh.ts';
import { loadRank } from './run-rank.ts';
import {
  compileLocal,
  compileLocalPtx,
  compileLocalWasm,
  type Exchanged,
  exchangeNode,
  meshOf,
  onDevices,
  type Planted,
  simulate,
  sourceShape,
} from './testing.ts';

let opened: OpenedDevice;
beforeAll(async () => {
  opened = await openDevice(await openAdapter());
});
afterAll(() => opened.destroy());

/** Numbers that tell orders of summation apart, and ends of ranges. */
function randomValues(dtype: Dtype, count: number, seed: number): number[] {
  let state = seed * 2654435761 + 12345;
  const next = () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
  const special = [0, -0, Number.NaN, Number.POSITIVE_INFINITY, -1];
  return Array.from({ length: count }, () => {
    const value = next() * 2 - 1;
    if (dtypeFacts[dtype].arithmetic === 'bool') return value > 0.5 ? 1 : 0;
    const { arithmetic, bits } = dtypeFacts[dtype];
    if (arithmetic === 'i32') return Math.floor(value * 2 ** (bits - 1));
    if (arithmetic === 'u32') return Math.floor(Math.abs(value) * 2 ** bits);
    return next() < 0.05
      ? special[Math.floor(next() * special.length)]!
      : value * 2 ** Math.floor(next() * 12);
  });
}

interface Case {
  readonly exchanged: Exchanged;
  /** After a shift, whose result nothing else reads: the exchange may then be in place. */
  readonly isSecond: boolean;
  readonly input: GraphInput;
  readonly nodes: readonly ExchangeNode[];
}

const shift = (axes: readonly string[]): Exchanged => ({ verb: 'shift', axes, combiner: 'sum' });

/** All verbs on some groups and chunks of a mesh, in one program. */
function casesOf(mesh: Mesh, groups: readonly (readonly string[])[], dtype: Dtype): Case[] {
  let id = 0;
  const cases: Case[] = [];
  for (const axes of groups)
    for (const chunk of chunks)
      for (const verb of exchangeVerbs) {
        const { combines, inPlace } = verbFacts[verb];
        for (const combiner of combines && chunk.length > 0 ? pendingCombiners : pendingCombiners.slice(0, 1))
          for (const isSecond of inPlace ? [false, true] : [false]) {
            const exchanged = { verb, axes, combiner };
            const shape = sourceShape(exchanged, chunk, mesh);
            const tensor: Tensor = { id: id++, name: `x${id}`, dtype, shape };
            const first = isSecond ? [exchangeNode(shift(axes), mesh, tensor, id++)] : [];
            const source = first[0]?.result ?? tensor;
            const nodes = [...first, exchangeNode(exchanged, mesh, source, id++)];
            cases.push({ exchanged, isSecond, input: { path: tensor.name, tensor }, nodes });
          }
      }
  return cases;
}

const chunks = [[], [0], [3], [2, 8]] as const;

function graphOf(cases: readonly Case[]): Graph {
  return {
    name: 'exchanges',
    inputs: cases.map(({ input }) => input),
    nodes: cases.flatMap(({ nodes }) => nodes),
    outputs: cases.map(({ input, nodes }) => ({ path: `of ${input.path}`, tensor: nodes.at(-1)!.result.id })),
  };
}

function expected(
  { exchanged, isSecond }: Case,
  mesh: Mesh,
  sources: readonly TensorData[],
  planted?: Planted,
) {
  const shifted = isSecond ? simulate(shift(exchanged.axes), mesh, sources) : sources;
  return simulate(exchanged, mesh, shifted, planted);
}

/** What each device gets from its inputs. */
type RunAll = (graph: Graph, mesh: Mesh, inputs: readonly Tensors[]) => Promise<readonly Tensors[]>;

/** Twice: what was there before is no part of it. */
async function onRanks(ranks: readonly LoadedRank[], inputs: readonly Tensors[]) {
  const runAll = () => Promise.all(ranks.map((rank, device) => rank.run(inputs[device]!)));
  await runAll();
  const outputs = await runAll();
  for (const rank of ranks) rank.destroy();
  return outputs;
}

const ways: { readonly [way: string]: RunAll } = {
  'in one memory': async (graph, mesh, inputs) => {
    const { package: compiled } = compileLocal(graph, mesh, opened.profile);
    const loaded = await loadMesh(compiled, opened);
    expect(loaded.peakBytes).toBeLessThanOrEqual(inputs.length * compiled.manifest.peakBytes);
    const outputs = await loaded.run(inputs);
    loaded.destroy();
    return outputs;
  },
  'between ranks': async (graph, mesh, inputs) => {
    const { package: compiled } = compileLocal(graph, mesh, opened.profile);
    const worlds = inProcess(inputs.length);
    return onRanks(await Promise.all(worlds.map((world) => loadRank(compiled, opened, world))), inputs);
  },
  'in WebAssembly': async (graph, mesh, inputs) => {
    const { package: compiled } = compileLocalWasm(graph, mesh);
    const loaded = await loadWasmMesh(compiled);
    expect(loaded.peakBytes).toBeLessThanOrEqual(inputs.length * compiled.manifest.peakBytes);
    await loaded.run(inputs);
    const outputs = await loaded.run(inputs);
    loaded.destroy();
    return outputs;
  },
  'as PTX': async (graph, mesh, inputs) => {
    const { package: compiled } = compileLocalPtx(graph, mesh);
    const loaded = await loadCudaMesh(compiled, emulatorDevice());
    expect(loaded.peakBytes).toBe(inputs.length * compiled.manifest.peakBytes);
    await loaded.run(inputs);
    const outputs = await loaded.run(inputs);
    loaded.destroy();
    return outputs;
  },
  'between ranks as PTX': async (graph, mesh, inputs) => {
    const { package: compiled } = compileLocalPtx(graph, mesh);
    const load = (world: World) => loadCudaRank(compiled, world, emulatorDevice());
    return onRanks(await Promise.all(inProcess(inputs.length).map(load)), inputs);
  },
  'between ranks as PTX, from device to device': async (graph, mesh, inputs) => {
    const { package: compiled } = compileLocalPtx(graph, mesh);
    const load = (world: World) => loadCudaRank(compiled, world, world.device!);
    const worlds = onDevices(inProcess(inputs.length), emulatorDevice);
    return onRanks(await Promise.all(worlds.map(load)), inputs);
  },
  'between ranks in WebAssembly': async (graph, mesh, inputs) => {
    const { package: compiled } = compileLocalWasm(graph, mesh);
    const worlds = inProcess(inputs.length);
    return onRanks(await Promise.all(worlds.map((world) => loadWasmRank(compiled, world))), inputs);
  },
};

type Groups = readonly (readonly string[])[];
const meshes: readonly (readonly [string, readonly Dtype[], Mesh, Groups])[] = [
  ['1', ['f32', 'i8'], meshOf({ x: 1 }), [['x'], []]],
  ['3', dtypes, meshOf({ x: 3 }), [['x']]],
  // More buffers than one kernel binds, in place too.
  ['9', ['f32', 'bf16', 'u8', 'bool'], meshOf({ x: 9 }), [['x']]],
  ['2 × 3', ['f32', 'i8'], meshOf({ x: 2, y: 3 }), [['x'], ['y'], ['x', 'y'], ['y', 'x'], []]],
  [
    '2 × 1 × 2',
    ['bf16', 'u32'],
    meshOf({ a: 2, b: 1, c: 2 }),
    [['b'], ['a', 'c'], ['c', 'a'], ['c', 'b', 'a']],
  ],
];

/** What is run in every way, and what should come of it. */
interface Prepared {
  readonly graph: Graph;
  readonly inputs: readonly Tensors[];
  /** Of each case. */
  readonly wanted: readonly {
    readonly what: string;
    readonly path: string;
    readonly each: readonly (readonly number[])[];
  }[];
  /** How many cases would show each bug. */
  readonly noticed: ReadonlyMap<Planted, number>;
}

const planted = ['rank order', 'chunk', 'no reduction'] as const;

function prepare(mesh: Mesh, groups: Groups, dtype: Dtype): Prepared {
  const cases = casesOf(mesh, groups, dtype);
  const inputs = Array.from(
    { length: deviceCount(mesh) },
    (_, device) =>
      new Map(
        cases.map(({ input: { path, tensor } }) => {
          const values = randomValues(dtype, elementCount(tensor.shape), 1000 * device + tensor.id);
          return [path, tensorFromValues(dtype, tensor.shape, values)] as const;
        }),
      ),
  );
  const noticed = new Map<Planted, number>();
  const wanted = cases.map((each) => {
    const { exchanged, input } = each;
    const sources = inputs.map((ofDevice) => ofDevice.get(input.path)!);
    const show = (results: readonly TensorData[]) => results.map((result) => [...tensorValues(result)]);
    const right = show(expected(each, mesh, sources));
    for (const bug of planted)
      if (JSON.stringify(show(expected(each, mesh, sources, bug))) !== JSON.stringify(right))
        noticed.set(bug, (noticed.get(bug) ?? 0) + 1);
    const what = `${exchanged.verb} ${exchanged.combiner} ${exchanged.axes} of ${typeText(input.tensor)}`;
    return { what, path: `of ${input.path}`, each: right };
  });
  return { graph: graphOf(cases), inputs, wanted, noticed };
}

describe.each(meshes)('exchanges on a mesh of %s', (_, tried, mesh, groups) => {
  // What ranks exchange goes the same way, whatever its type; and PTX combines as WGSL does.
  const isTried = (dtype: Dtype, way: string) =>
    way.startsWith('between ranks') ? dtype === tried[0] : !way.includes('PTX') || tried.indexOf(dtype) < 2;
  const each = tried.flatMap((dtype) =>
    Object.keys(ways).flatMap((way) => (isTried(dtype, way) ? [[dtype, way] as const] : [])),
  );
  const known = new Map<Dtype, Prepared>();
  test.each(each)('of %s, %s, move and combine what they should', async (dtype, way) => {
    const prepared = known.get(dtype) ?? prepare(mesh, groups, dtype);
    known.set(dtype, prepared);
    const { graph, inputs, wanted, noticed } = prepared;
    const outputs = await ways[way]!(graph, mesh, inputs);
    for (const { path, ...right } of wanted) {
      const got = outputs.map((ofDevice) => [...tensorValues(ofDevice.get(path)!)]);
      expect({ what: right.what, each: got }).toEqual(right);
    }
    if (deviceCount(mesh) > 1)
      for (const bug of planted) expect([bug, (noticed.get(bug) ?? 0) > 2]).toEqual([bug, true]);
  });
});
