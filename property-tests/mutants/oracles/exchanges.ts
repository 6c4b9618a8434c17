/** What each verb moves and combines, on the evaluator and in one memory, is what plain loops do. */

import { float32 } from '../../../compiler/graph/float32.ts';
import { exchangeVerbs, type Graph, type Tensor } from '../../../compiler/graph/graph.ts';
import { evaluateOnMesh } from '../../../compiler/partition/evaluate-mesh.ts';
import { elementCount } from '../../../compiler/plan/storage-bytes.ts';
import { deviceCount, type Mesh } from '../../../dsl/placement/placement.ts';
import type { Dtype } from '../../../dsl/types/dtype.ts';
import { inProcess } from '../../../runtime/mesh/in-process.ts';
import { loadWasmMesh } from '../../../runtime/mesh/run-launch-mesh.ts';
import { loadWasmRank } from '../../../runtime/mesh/run-launch-rank.ts';
import { loadMesh } from '../../../runtime/mesh/run-mesh.ts';
import {
  compileLocal,
  compileLocalWasm,
  exchangeNode,
  meshOf,
  simulate,
  sourceShape,
} from '../../../runtime/mesh/testing.ts';
import type { OpenedDevice } from '../../../runtime/webgpu/device.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../../../runtime/weights/tensor-data.ts';
import type { Oracle } from '../mutant.ts';

type Tensors = ReadonlyMap<string, TensorData>;

interface Exchanges {
  readonly graph: Graph;
  readonly mesh: Mesh;
  /** Of each device. */
  readonly inputs: readonly Tensors[];
  readonly wanted: readonly Tensors[];
}

const chunk = [2, 4];

/** Every verb and combiner on one group, with values that tell orders of summation apart. */
function exchangesOf(mesh: Mesh, axes: readonly string[], dtype: Dtype): Exchanges {
  let id = 0;
  const devices = deviceCount(mesh);
  const cases = exchangeVerbs.flatMap((verb) =>
    (['sum', 'max', 'min'] as const).map((combiner) => {
      const exchanged = { verb, axes, combiner };
      const shape = sourceShape(exchanged, chunk, mesh);
      const source: Tensor = { id: id++, name: `x${id}`, dtype, shape };
      return { exchanged, source, node: exchangeNode(exchanged, mesh, source, id++) };
    }),
  );
  const inputs = Array.from({ length: devices }, (_, device) => {
    const values = (source: Tensor) =>
      Array.from({ length: elementCount(source.shape) }, (_, at) => valueAt(dtype, device, source.id, at));
    return new Map(
      cases.map(
        ({ source }) => [source.name, tensorFromValues(dtype, source.shape, values(source))] as const,
      ),
    );
  });
  const wanted = inputs.map(() => new Map<string, TensorData>());
  for (const { exchanged, source } of cases)
    for (const [device, tensor] of simulate(
      exchanged,
      mesh,
      inputs.map((own) => own.get(source.name)!),
    ).entries())
      wanted[device]!.set(`of ${source.name}`, tensor);
  const graph: Graph = {
    name: 'exchanges',
    inputs: cases.map(({ source }) => ({ path: source.name, tensor: source })),
    nodes: cases.map(({ node }) => node),
    outputs: cases.map(({ source, node }) => ({ path: `of ${source.name}`, tensor: node.result.id })),
  };
  return { graph, mesh, inputs, wanted };
}

function valueAt(dtype: Dtype, device: number, tensor: number, at: number): number {
  const bits = Math.imul(device * 7919 + tensor * 104729 + at * 31 + 1, 2654435761) >>> 8;
  const value = (bits % 2 ** 16) / 2 ** 15 - 1;
  return dtype === 'f32' || dtype === 'bf16' ? value * 2 ** (bits % 12) : (bits % 256) - 128;
}

/** By path, what differs first. */
function difference(wanted: readonly Tensors[], found: readonly Tensors[]): string | undefined {
  for (const [device, tensors] of wanted.entries())
    for (const [path, tensor] of tensors) {
      const [left, right] = [tensor, found[device]!.get(path)!].map((each) => [...tensorValues(each)]);
      const at = left!.findIndex((value, place) => !Object.is(value, right![place]));
      if (at >= 0) return `${path} of device ${device}, element ${at}: ${right![at]}, not ${left![at]}`;
    }
  return undefined;
}

/** Every way of exchanging, from the inputs of each device to its outputs. */
const ways: {
  readonly [way: string]: (each: Exchanges, device: OpenedDevice) => Promise<readonly Tensors[]>;
} = {
  evaluator: async ({ graph, mesh, inputs }) => {
    const axes = mesh.axes.map(({ name }) => name);
    const cut = (rank: number) => ({
      dims: Array.from({ length: rank }, (_, dim) => (dim === 0 ? axes : [])),
      pending: new Map(),
    });
    const places = graph.nodes.flatMap((node) =>
      node.kind === 'exchange' ? [node.result.shape.length] : [],
    );
    const device = {
      graph,
      mesh,
      inputs: new Map(),
      outputs: new Map(graph.outputs.map(({ path }, at) => [path, cut(places[at]!)] as const)),
    };
    const values = graph.inputs.map(
      ({ path, tensor: { dtype, shape } }) =>
        [path, inputs.map((own) => ({ dtype, shape, data: tensorValues(own.get(path)!) }))] as const,
    );
    const { outputs } = evaluateOnMesh(device, new Map(values), float32);
    return inputs.map(
      (_, own) =>
        new Map(
          [...outputs].map(([path, { dtype, shape, data }]) => {
            const block = [shape[0]! / inputs.length, ...shape.slice(1)];
            const size = elementCount(block);
            const part = Array.from({ length: size }, (_, at) => data[own * size + at] as number);
            return [path, tensorFromValues(dtype, block, part)] as const;
          }),
        ),
    );
  },
  'one memory': async ({ graph, mesh, inputs }, device) => {
    const loaded = await loadMesh(compileLocal(graph, mesh, device.profile).package, device);
    try {
      return await loaded.run(inputs);
    } finally {
      loaded.destroy();
    }
  },
  ranks: async ({ graph, mesh, inputs }) => {
    const { package: compiled } = compileLocalWasm(graph, mesh);
    const ranks = await Promise.all(inProcess(inputs.length).map((world) => loadWasmRank(compiled, world)));
    try {
      return await Promise.all(ranks.map((rank, at) => rank.run(inputs[at]!)));
    } finally {
      for (const rank of ranks) rank.destroy();
    }
  },
  processor: async ({ graph, mesh, inputs }) => {
    const loaded = await loadWasmMesh(compileLocalWasm(graph, mesh).package);
    try {
      return await loaded.run(inputs);
    } finally {
      loaded.destroy();
    }
  },
};

const meshes: readonly (readonly [Mesh, readonly string[]])[] = [
  [meshOf({ x: 3 }), ['x']],
  [meshOf({ x: 2, y: 2 }), ['y', 'x']],
];

export const oracle: Oracle = {
  cases: Object.keys(ways),
  check: async (way, device) => {
    for (const [mesh, axes] of meshes)
      for (const dtype of ['f32', 'bf16', 'i8', 'u32'] as const) {
        const each = exchangesOf(mesh, axes, dtype);
        const found = difference(each.wanted, await ways[way]!(each, device));
        if (found !== undefined) return `${dtype}: ${found}`;
      }
    return undefined;
  },
};
