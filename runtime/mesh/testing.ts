/** For tests: programs of one device written out, and what an exchange does, in plain loops. */
import { setImmediate } from 'node:timers/promises';
import type { ExchangeNode, ExchangeVerb, Graph, Tensor } from '../../compiler/graph/graph.ts';
import { optimize } from '../../compiler/optimize/passes.ts';
import { elementCount } from '../../compiler/plan/storage-bytes.ts';
import { type DeviceProfile, wasmDevice } from '../../compiler/tiles/device-profile.ts';
import {
  type Compiled,
  type CompiledPtx,
  type CompiledWasm,
  compileFor,
  compilePtx,
  compileWasm,
} from '../../driver/compile.ts';
import type { Instance } from '../../driver/lower.ts';
import { devicesAlong, type Mesh, type PendingCombiner } from '../../dsl/placement/placement.ts';
import { type Dtype, dtypeFacts } from '../../dsl/types/dtype.ts';
import type { CudaDevice } from '../cuda/device.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../weights/tensor-data.ts';
import { receivedBytes } from './collective.ts';
import type { Communicator, World } from './communicator.ts';
import { newQueue } from './steps.ts';

/** `{ x: 2, y: 3 }`, in this order. */
export function meshOf(sizes: Readonly<Record<string, number>>): Mesh {
  return { axes: Object.entries(sizes).map(([name, size]) => ({ name, size })) };
}

export function compileLocal(graph: Graph, mesh: Mesh, profile: DeviceProfile): Compiled {
  return compileFor(localProgram(graph, mesh), instanceOf(graph), profile);
}

export function compileLocalPtx(graph: Graph, mesh: Mesh): CompiledPtx {
  return compilePtx(localProgram(graph, mesh), instanceOf(graph), 'sm_80');
}

export function compileLocalWasm(graph: Graph, mesh: Mesh): CompiledWasm {
  return compileWasm(localProgram(graph, mesh), instanceOf(graph), wasmDevice);
}

function localProgram(graph: Graph, mesh: Mesh) {
  const device = { graph, mesh, inputs: new Map(), outputs: new Map() };
  return { kind: 'lowered', graph, optimized: optimize(graph), below: new Map(), device } as const;
}

function instanceOf({ name }: Graph): Instance {
  return { entry: name, sizes: new Map(), inputDtypes: new Map() };
}

/** Which shapes the verbs take and give in a group of so many, by a chunk's. */
const inChunks: { readonly [V in ExchangeVerb]: { readonly source: boolean; readonly result: boolean } } = {
  all_gather: { source: false, result: true },
  all_reduce: { source: false, result: false },
  reduce_scatter: { source: true, result: false },
  all_to_all: { source: true, result: true },
  shift: { source: false, result: false },
  broadcast: { source: false, result: false },
};

export interface Exchanged {
  readonly verb: ExchangeVerb;
  readonly axes: readonly string[];
  readonly combiner: PendingCombiner;
}

export function sourceShape(
  { verb, axes }: Exchanged,
  chunk: readonly number[],
  mesh: Mesh,
): readonly number[] {
  return inChunks[verb].source ? [devicesAlong(mesh, axes), ...chunk] : chunk;
}

export function exchangeNode(exchanged: Exchanged, mesh: Mesh, source: Tensor, id: number): ExchangeNode {
  const { verb, axes } = exchanged;
  const devices = devicesAlong(mesh, axes);
  const chunk = inChunks[verb].source ? source.shape.slice(1) : source.shape;
  const shape = inChunks[verb].result ? [devices, ...chunk] : chunk;
  const result = { id, name: `${verb}_${id}`, dtype: source.dtype, shape };
  return { kind: 'exchange', ...exchanged, devices, source: source.id, result };
}

// ── in plain loops ─────────────────────────────────────────────────────────────────────────────────────────

/** The coordinates of every device, in order of their numbers. */
function everyPlace({ axes }: Mesh): readonly (readonly number[])[] {
  return axes.reduce<readonly (readonly number[])[]>(
    (places, { size }) =>
      places.flatMap((place) => Array.from({ length: size }, (_, coordinate) => [...place, coordinate])),
    [[]],
  );
}

/** Groups of devices by rank, from the definition: equal in all other coordinates, sorted by these. */
function plainGroups(mesh: Mesh, axes: readonly string[]): readonly (readonly number[])[] {
  const places = everyPlace(mesh);
  const along = axes.map((axis) => mesh.axes.findIndex(({ name }) => name === axis));
  const groups = new Map<string, number[]>();
  for (const [device, place] of places.entries()) {
    const key = place.filter((_, axis) => !along.includes(axis)).join();
    groups.set(key, [...(groups.get(key) ?? []), device]);
  }
  const before = (left: number, right: number) => {
    const differing = along.find((axis) => places[left]![axis] !== places[right]![axis]);
    return differing === undefined ? 0 : places[left]![differing]! - places[right]![differing]!;
  };
  return [...groups.values()].map((group) => group.sort(before));
}

/** Bugs that tests must see. */
export type Planted = 'none' | 'rank order' | 'chunk' | 'no reduction';

/** What every device gets, from what every device has. */
export function simulate(
  { verb, axes, combiner }: Exchanged,
  mesh: Mesh,
  sources: readonly TensorData[],
  planted: Planted = 'none',
): TensorData[] {
  const results: TensorData[] = [...sources];
  for (const inOrder of plainGroups(mesh, axes)) {
    const group = planted === 'rank order' ? [...inOrder].reverse() : inOrder;
    const { dtype, shape } = sources[group[0]!]!;
    const chunk = inChunks[verb].source ? shape.slice(1) : shape;
    const size = elementCount(chunk);
    const values = group.map((device) => [...tensorValues(sources[device]!)]);
    const chunkOf = (rank: number, at: number) => {
      const place = planted === 'chunk' ? (at + 1) % group.length : at;
      return inChunks[verb].source ? values[rank]!.slice(place * size, (place + 1) * size) : values[rank]!;
    };
    const combined = (at: number) => {
      const parts = group.map((_, rank) => chunkOf(rank, at));
      const [first, ...others] = planted === 'no reduction' ? parts.slice(0, 1) : parts;
      return others.reduce(
        (total, part) => total.map((value, place) => combinePlain(dtype, combiner, value, part[place]!)),
        first!,
      );
    };
    const ofRank: { readonly [V in ExchangeVerb]: (rank: number) => readonly number[] } = {
      all_gather: () => group.flatMap((_, other) => chunkOf(other, 0)),
      all_reduce: () => combined(0),
      reduce_scatter: (rank) => combined(rank),
      all_to_all: (rank) => group.flatMap((_, other) => chunkOf(other, rank)),
      shift: (rank) => chunkOf((rank + group.length - 1) % group.length, 0),
      broadcast: () => chunkOf(0, 0),
    };
    const resultShape = inChunks[verb].result ? [group.length, ...chunk] : chunk;
    for (const [rank, device] of group.entries())
      results[device] = tensorFromValues(dtype, resultShape, ofRank[verb](rank).map(storable(dtype)));
  }
  return results;
}

/** In the arithmetic type: f32 for floats. */
function combinePlain(dtype: Dtype, combiner: PendingCombiner, left: number, right: number): number {
  const isFirst = combiner === 'max' ? left > right : left < right;
  if (combiner !== 'sum') return isFirst || Number.isNaN(left) ? left : right;
  switch (dtypeFacts[dtype].arithmetic) {
    case 'f32':
      return Math.fround(left + right);
    case 'i32':
      return (left + right) | 0;
    case 'u32':
      return (left + right) >>> 0;
    case 'bool':
      return left | right;
  }
}

/** Integers wrap where they are stored. */
function storable(dtype: Dtype): (value: number) => number {
  if (dtype === 'i8') return (value) => (value << 24) >> 24;
  return dtype === 'u8' ? (value) => value & 0xff : (value) => value;
}

/** Of so many logical ranks, each of which has a device whose memory the others' messages reach. */
export function onDevices(worlds: readonly World[], device: () => CudaDevice): readonly World[] {
  return worlds.map((world) => {
    const own = device();
    return { ...world, ...reachingInto(own, world), device: own };
  });
}

/** A group whose messages go from memory to memory of a device: what is sent is read late. */
function reachingInto(device: CudaDevice, group: Communicator): Communicator {
  const queue = newQueue();
  return {
    ...group,
    exchangeOnDevice: (collective, from, to, bytes) =>
      queue(async () => {
        await setImmediate();
        const send = new Uint8Array(await device.read(from, bytes));
        const receive = new Uint8Array(receivedBytes(collective, group.size, bytes));
        await group.exchange(collective, send, receive);
        device.write(to, receive);
      }),
    split: async (...given) => reachingInto(device, await group.split(...given)),
  };
}
