/** Routing lists the positions of each expert in order, whether it takes one kernel or two. */
import { expect, test } from 'vitest';
import type { Graph, RouteNode, Tensor } from '../compiler/graph/graph.ts';
import { wasmDevice } from '../compiler/tiles/device-profile.ts';
import { compileWasm } from '../driver/compile.ts';
import { loadWasm } from '../runtime/wasm/load.ts';
import { tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';

function integers(id: number, name: string, extent: number): Tensor {
  return { id, name, dtype: 'i32', shape: [extent] };
}

async function routed(picks: readonly number[], experts: number) {
  const pick = integers(0, 'pick', picks.length);
  const [order, offsets] = [integers(1, 'order', picks.length), integers(2, 'offsets', experts + 1)];
  const node: RouteNode = { kind: 'route', pick: pick.id, experts, order, offsets };
  const graph: Graph = {
    name: 'routed',
    inputs: [{ path: 'pick', tensor: pick }],
    nodes: [node],
    outputs: [order, offsets].map((tensor) => ({ path: tensor.name, tensor: tensor.id })),
  };
  const instance = { entry: 'routed', sizes: new Map(), inputDtypes: new Map() };
  const compiled = compileWasm({ optimized: graph, below: new Map() }, instance, wasmDevice);
  const loaded = await loadWasm(compiled.package, { threads: 1 });
  const found = loaded.run(new Map([['pick', tensorFromValues('i32', [picks.length], picks)]]));
  loaded.destroy();
  return {
    kernels: compiled.package.manifest.kernels.length,
    order: [...tensorValues(found.get('order')!)],
    offsets: [...tensorValues(found.get('offsets')!)],
  };
}

test.each([
  { count: 0, experts: 3, kernels: 1 },
  { count: 1, experts: 1, kernels: 1 },
  { count: 300, experts: 7, kernels: 1 },
  { count: 129, experts: 200, kernels: 1 },
  { count: 20_000, experts: 70, kernels: 2 },
  { count: 16_385, experts: 2, kernels: 2 },
])('$count picks of $experts experts', async ({ count, experts, kernels }) => {
  const picks = Array.from({ length: count }, (_, at) => ((at * at + 3 * at) >> 2) % experts);
  const positions = [...picks.keys()].sort((left, right) => picks[left]! - picks[right]! || left - right);
  const starts = Array.from(
    { length: experts + 1 },
    (_, expert) => picks.filter((pick) => pick < expert).length,
  );
  expect(await routed(picks, experts)).toEqual({ kernels, order: positions, offsets: starts });
});
