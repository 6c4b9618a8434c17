/** Routing lists the positions of each expert in order, whether it takes one kernel or more. */
import { expect, test } from 'vitest';
import type { Graph, RouteNode, Tensor } from '../compiler/graph/graph.ts';
import { wasmDevice } from '../compiler/tiles/device-profile.ts';
import { compilePtx, compileWasm } from '../driver/compile.ts';
import { emulatorDevice } from '../runtime/cuda/emulator-device.ts';
import { loadCuda } from '../runtime/cuda/load.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';

function integers(id: number, name: string, extent: number): Tensor {
  return { id, name, dtype: 'i32', shape: [extent] };
}

function graphOf(picks: readonly number[], experts: number): Graph {
  const pick = integers(0, 'pick', picks.length);
  const [order, offsets] = [integers(1, 'order', picks.length), integers(2, 'offsets', experts + 1)];
  const node: RouteNode = { kind: 'route', pick: pick.id, experts, order, offsets };
  return {
    name: 'routed',
    inputs: [{ path: 'pick', tensor: pick }],
    nodes: [node],
    outputs: [order, offsets].map((tensor) => ({ path: tensor.name, tensor: tensor.id })),
  };
}

const instance = { entry: 'routed', sizes: new Map(), inputDtypes: new Map() };

interface Routed {
  readonly kernels: number;
  readonly found: ReadonlyMap<string, TensorData>;
}

type Inputs = ReadonlyMap<string, TensorData>;

const targets: { readonly [name: string]: (graph: Graph, inputs: Inputs) => Promise<Routed> } = {
  wasm: async (graph, inputs) => {
    const compiled = compileWasm({ optimized: graph, below: new Map() }, instance, wasmDevice).package;
    const loaded = await loadWasm(compiled, { threads: 1 });
    const found = loaded.run(inputs);
    loaded.destroy();
    return { kernels: compiled.manifest.kernels.length, found };
  },
  ptx: async (graph, inputs) => {
    const compiled = compilePtx({ optimized: graph, below: new Map() }, instance, 'sm_80').package;
    const device = emulatorDevice({ checksGlobalRaces: true });
    const found = await loadCuda(compiled, device).run(inputs);
    device.release();
    return { kernels: compiled.manifest.kernels.length, found };
  },
};

test.each([
  { target: 'wasm', count: 0, experts: 3, kernels: 1 },
  { target: 'wasm', count: 1, experts: 1, kernels: 1 },
  { target: 'wasm', count: 300, experts: 7, kernels: 1 },
  { target: 'wasm', count: 129, experts: 200, kernels: 1 },
  { target: 'wasm', count: 20_000, experts: 70, kernels: 2 },
  { target: 'wasm', count: 16_385, experts: 2, kernels: 2 },
  { target: 'ptx', count: 256, experts: 3, kernels: 1 },
  { target: 'ptx', count: 257, experts: 1, kernels: 3 },
  { target: 'ptx', count: 1000, experts: 70, kernels: 3 },
  { target: 'ptx', count: 70_000, experts: 5, kernels: 3 },
])('$count picks of $experts experts as $target', async ({ target, count, experts, kernels }) => {
  const picks = Array.from({ length: count }, (_, at) => Math.floor((at * at + 3 * at) / 4) % experts);
  const positions = [...picks.keys()].sort((left, right) => picks[left]! - picks[right]! || left - right);
  const starts = Array.from(
    { length: experts + 1 },
    (_, expert) => picks.filter((pick) => pick < expert).length,
  );
  const inputs = new Map([['pick', tensorFromValues('i32', [count], picks)]]);
  const routed = await targets[target]!(graphOf(picks, experts), inputs);
  const values = (name: string) => [...tensorValues(routed.found.get(name)!)];
  expect(routed.kernels).toBe(kernels);
  expect([values('order'), values('offsets')]).toEqual([positions, starts]);
});
