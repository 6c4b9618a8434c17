/** Whole programs of one device, written out, on a mesh: compared with plain loops over whole tensors. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { graphOf, mapNode, reduceNode, tensor } from '../../backends/wgsl/graph-building.ts';
import type { Graph, Node, Scalar, Tensor } from '../../compiler/graph/graph.ts';
import {
  apply,
  convert,
  coordinate,
  counter,
  float,
  integer,
  iterator,
  iterators,
  load,
} from '../../compiler/graph/scalar.ts';
import { type Mesh, type Placement, wholePlacement } from '../../dsl/placement/placement.ts';
import { loadWasm } from '../wasm/load.ts';
import { openAdapter } from '../webgpu/adapter.ts';
import { type OpenedDevice, openDevice } from '../webgpu/device.ts';
import { loadPackage } from '../webgpu/execute.ts';
import { tensorFromValues, tensorValues } from '../weights/tensor-data.ts';
import { assemble, distribute } from './distribute.ts';
import { loadWasmMesh } from './run-launch-mesh.ts';
import { loadMesh } from './run-mesh.ts';
import { compileLocal, compileLocalWasm, exchangeNode, meshOf } from './testing.ts';

let opened: OpenedDevice;
beforeAll(async () => {
  opened = await openDevice(await openAdapter());
});
afterAll(() => opened.destroy());

const [i0, i1, i2] = [iterator(0), iterator(1), iterator(2)];
const cut = (...dims: string[][]): Placement => ({ dims, pending: new Map() });

function wave(shape: readonly number[], seed: number) {
  const count = shape.reduce((product, extent) => product * extent, 1);
  return tensorFromValues(
    'f32',
    shape,
    Array.from({ length: count }, (_, at) => Math.sin(at * 1.7 + seed)),
  );
}

/** Of the elements, relative to the largest. */
function errorOf(got: Float64Array, wanted: readonly number[]): number {
  const scale = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, at) => Math.abs(value - (got[at] ?? Number.NaN)))) / scale;
}

/** What runs all devices: WebGPU for some, since its driver takes long to compile. */
type On = 'wasm' | 'wgsl';

async function loadOn(on: On, graph: Graph, mesh: Mesh) {
  if (on === 'wasm') {
    const { package: compiled } = compileLocalWasm(graph, mesh);
    return { compiled, loaded: await loadWasmMesh(compiled) };
  }
  const { package: compiled } = compileLocal(graph, mesh, opened.profile);
  return { compiled, loaded: await loadMesh(compiled, opened) };
}

/**
 * Runs `graph` on blocks of the inputs; the outputs put together.
 * @param placements of inputs and outputs by path; what is not named is whole
 */
async function runOn(
  on: On,
  sizes: Readonly<Record<string, number>>,
  graph: Graph,
  inputs: ReadonlyMap<string, ReturnType<typeof wave>>,
  placements: ReadonlyMap<string, Placement>,
) {
  const mesh = meshOf(sizes);
  const { compiled, loaded } = await loadOn(on, graph, mesh);
  const placement = (path: string, rank: number) => placements.get(path) ?? wholePlacement(rank);
  const given = [...inputs].map(
    ([path, whole]) => [path, distribute(path, whole, placement(path, whole.shape.length), mesh)] as const,
  );
  const devices = mesh.axes.reduce((count, { size }) => count * size, 1);
  const outputs = await loaded.run(
    Array.from(
      { length: devices },
      (_, device) => new Map(given.map(([path, each]) => [path, each[device]!])),
    ),
  );
  loaded.destroy();
  const whole = compiled.manifest.outputs.map(({ path, shape }) => {
    const blocks = outputs.map((ofDevice) => ofDevice.get(path)!);
    return [path, tensorValues(assemble(path, blocks, placement(path, shape.length), mesh))] as const;
  });
  const { kernels } = compiled.manifest;
  return { outputs: new Map(whole), kernels, loaded };
}

describe('a tensor-parallel MLP', () => {
  const [T, D, F] = [6, 8, 12];
  const [x, w1, w2] = [wave([T, D], 1), wave([D, F], 2), wave([F, D], 3)];

  /** Each device has some of the hidden features; at the end it keeps its rows of the sum. */
  function program(devices: number, combine: 'all_reduce' | 'broadcast'): Graph {
    const [ownF, ownT] = [F / devices, T / devices];
    const inputs = [
      tensor(0, 'x', 'f32', [T, D]),
      tensor(1, 'w1', 'f32', [D, ownF]),
      tensor(2, 'w2', 'f32', [ownF, D]),
    ] as const;
    const hidden = tensor(3, 'hidden', 'f32', [T, ownF]);
    const part = tensor(4, 'part', 'f32', [T, D]);
    const group = { verb: combine, axes: ['tp'], combiner: 'sum' } as const;
    const summed = exchangeNode(group, meshOf({ tp: devices }), part, 5);
    const own = tensor(6, 'own', 'f32', [ownT, D]);
    const row = apply('add', apply('mul', coordinate('tp', devices), integer(ownT)), i0);
    const nodes: Node[] = [
      reduceNode(hidden, 'sum', [D], apply('mul', load(inputs[0], [i0, i2]), load(inputs[1], [i2, i1]))),
      reduceNode(
        part,
        'sum',
        [ownF],
        apply('mul', apply('max', load(hidden, [i0, i2]), float(0)), load(inputs[2], [i2, i1])),
      ),
      summed,
      mapNode(own, load(summed.result, [row, i1])),
    ];
    return {
      ...graphOf('mlp', inputs, nodes),
      outputs: [
        { path: 'all', tensor: 5 },
        { path: 'own', tensor: 6 },
      ],
    };
  }

  const plain = plainMlp();
  function plainMlp(): number[] {
    const [a, b, c] = [x, w1, w2].map(tensorValues) as [Float64Array, Float64Array, Float64Array];
    const result: number[] = [];
    for (let t = 0; t < T; t++)
      for (let d = 0; d < D; d++) {
        let total = 0;
        for (let f = 0; f < F; f++) {
          let h = 0;
          for (let e = 0; e < D; e++) h += a[t * D + e]! * b[e * F + f]!;
          total += Math.max(0, h) * c[f * D + d]!;
        }
        result.push(total);
      }
    return result;
  }

  const placements = new Map([
    ['w1', cut([], ['tp'])],
    ['w2', cut(['tp'], [])],
    ['own', cut(['tp'], [])],
  ]);
  const inputs = new Map([
    ['x', x],
    ['w1', w1],
    ['w2', w2],
  ]);

  test.each([
    [1, 'wasm'],
    [2, 'wasm'],
    [3, 'wgsl'],
    [6, 'wasm'],
  ] as const)('on %i devices gives what one gives, by %s', async (devices, on) => {
    const { outputs, loaded } = await runOn(
      on,
      { tp: devices },
      program(devices, 'all_reduce'),
      inputs,
      placements,
    );
    for (const path of ['all', 'own']) expect(errorOf(outputs.get(path)!, plain)).toBeLessThan(1e-5);
    const sent = (2 * (devices - 1) * T * D * 4) / devices;
    expect(loaded.traffic.sentBytes).toEqual(Array.from({ length: devices }, () => sent));
  });

  test('without the reduction does not', async () => {
    const { outputs } = await runOn('wasm', { tp: 2 }, program(2, 'broadcast'), inputs, placements);
    expect(errorOf(outputs.get('own')!, plain)).toBeGreaterThan(1e-2);
  });

  test('is refused by what runs on one device', async () => {
    const { package: compiled } = compileLocal(program(2, 'all_reduce'), meshOf({ tp: 2 }), opened.profile);
    await expect(loadPackage(compiled, opened)).rejects.toThrow('compiled for each device of a mesh');
    const { package: inWasm } = compileLocalWasm(program(2, 'all_reduce'), meshOf({ tp: 2 }));
    await expect(loadWasm(inWasm)).rejects.toThrow('compiled for each device of a mesh');
    expect(() => compileLocal(program(2, 'all_reduce'), meshOf({ sp: 2 }), opened.profile)).toThrow(
      'mlp is cut over tp, and there are 2',
    );
  });
});

describe('ring attention', () => {
  const [S, A] = [12, 4];
  const whole = [wave([S, A], 4), wave([S, A], 5), wave([S, A], 6)] as const;

  /** Keys and values travel around; each device keeps a running maximum, sum and weighted sum (flash). */
  function program(devices: number, planted: boolean): Graph {
    const own = S / devices;
    const mesh = meshOf({ sp: devices });
    const inputs = ['q', 'k', 'v'].map((name, id) => tensor(id, name, 'f32', [own, A]));
    const q = inputs[0]!;
    let id = 3;
    const make = (name: string, shape: readonly number[]) => tensor(id++, name, 'f32', shape);
    const start = {
      top: make('top0', [own]),
      total: make('total0', [own]),
      sum: make('sum0', [own, A]),
    };
    const state = {
      k: make('k_now', [own, A]),
      v: make('v_now', [own, A]),
      top: make('top', [own]),
      total: make('total', [own]),
      sum: make('sum', [own, A]),
    };
    const score = make('score', [own, own]);
    const top = make('top_next', [own]);
    const total = make('total_next', [own]);
    const sum = make('sum_next', [own, A]);
    const place = coordinate('sp', devices);
    const step = apply('sub', place, counter(0));
    const block = apply('mod', apply('add', step, integer(devices)), integer(devices));
    const first = (at: Scalar) => (planted ? integer(0) : apply('mul', at, integer(own)));
    const isVisible = (row: Scalar, column: Scalar) =>
      apply('le', apply('add', first(block), column), apply('add', first(place), row));
    const logit = apply('mul', load(score, [i0, i1]), float(1 / Math.sqrt(A)));
    const hidden = float(-1e30);
    const weight = (column: Scalar) =>
      apply(
        'select',
        isVisible(i0, column),
        apply(
          'exp',
          apply('sub', apply('mul', load(score, [i0, column]), float(1 / Math.sqrt(A))), load(top, [i0])),
        ),
        float(0),
      );
    const keep = apply('exp', apply('sub', load(state.top, [i0]), load(top, [i0])));
    const pass = (source: Tensor) =>
      exchangeNode({ verb: 'shift', axes: ['sp'], combiner: 'sum' }, mesh, source, id++);
    const [passK, passV] = [pass(state.k), pass(state.v)];
    const body: Graph = {
      name: 'body',
      inputs: Object.entries(state).map(([path, each]) => ({ path, tensor: each })),
      nodes: [
        reduceNode(score, 'sum', [A], apply('mul', load(q, [i0, i2]), load(state.k, [i1, i2]))),
        reduceNode(
          top,
          'max',
          [own],
          apply('select', isVisible(i0, i1), logit, hidden),
          apply('max', { op: 'reduced', dtype: 'f32' }, load(state.top, [i0])),
        ),
        reduceNode(
          total,
          'sum',
          [own],
          weight(i1),
          apply('add', { op: 'reduced', dtype: 'f32' }, apply('mul', load(state.total, [i0]), keep)),
        ),
        reduceNode(
          sum,
          'sum',
          [own],
          apply('mul', weight(i2), load(state.v, [i2, i1])),
          apply('add', { op: 'reduced', dtype: 'f32' }, apply('mul', load(state.sum, [i0, i1]), keep)),
        ),
        passK,
        passV,
      ],
      outputs: [passK.result, passV.result, top, total, sum].map((each) => ({
        path: each.name,
        tensor: each.id,
      })),
    };
    const results = Object.values(state).map((each) => make(`${each.name}_end`, each.shape));
    const out = make('out', [own, A]);
    const loop: Node = {
      kind: 'loop',
      loop: 0,
      count: devices,
      initial: [inputs[1]!, inputs[2]!, start.top, start.total, start.sum].map((each) => each.id),
      body,
      results,
    };
    return {
      name: 'ring',
      inputs: inputs.map((each) => ({ path: each.name, tensor: each })),
      nodes: [
        mapNode(start.top, hidden),
        mapNode(start.total, float(0)),
        mapNode(start.sum, float(0)),
        loop,
        mapNode(out, apply('div', load(results[4]!, [i0, i1]), load(results[3]!, [i0]))),
      ],
      outputs: [{ path: 'out', tensor: out.id }],
    };
  }

  const plain = plainAttention();
  function plainAttention(): number[] {
    const [q, k, v] = whole.map(tensorValues) as [Float64Array, Float64Array, Float64Array];
    const dot = (s: number, u: number) =>
      Array.from({ length: A }, (_, a) => q[s * A + a]! * k[u * A + a]!).reduce(
        (left, right) => left + right,
      );
    return Array.from({ length: S }, (_, s) => {
      const weights = Array.from({ length: s + 1 }, (_, u) => Math.exp(dot(s, u) / Math.sqrt(A)));
      const total = weights.reduce((left, right) => left + right);
      return Array.from(
        { length: A },
        (_, a) => weights.reduce((sum, weight, u) => sum + weight * v[u * A + a]!, 0) / total,
      );
    }).flat();
  }

  const inputs = new Map(['q', 'k', 'v'].map((name, at) => [name, whole[at]!]));
  const placements = new Map(['q', 'k', 'v', 'out'].map((name) => [name, cut(['sp'], [])]));

  test.each([
    [1, 'wasm'],
    [2, 'wasm'],
    [3, 'wgsl'],
    [4, 'wasm'],
    [12, 'wasm'],
  ] as const)('on %i devices sees what one sees, by %s', async (devices, on) => {
    const { outputs, loaded } = await runOn(on, { sp: devices }, program(devices, false), inputs, placements);
    expect(errorOf(outputs.get('out')!, plain)).toBeLessThan(1e-5);
    const sent = devices === 1 ? 0 : 2 * devices * (S / devices) * A * 4;
    expect(loaded.traffic.sentBytes).toEqual(Array.from({ length: devices }, () => sent));
    expect(loaded.traffic.exchanges).toBe(2 * devices);
  });

  test('whose devices do not know where they are does not', async () => {
    const { outputs } = await runOn('wasm', { sp: 3 }, program(3, true), inputs, placements);
    expect(errorOf(outputs.get('out')!, plain)).toBeGreaterThan(1e-2);
  });
});

describe('a kernel', () => {
  const mesh = { x: 2, y: 3, z: 1 };

  /** Each device's coordinates and the steps of loops around, as one number. */
  function program(loops: number, axes: readonly (keyof typeof mesh)[]): Graph {
    const digits: Scalar[] = [
      ...axes.map((axis) => coordinate(axis, mesh[axis])),
      ...Array.from({ length: loops }, (_, loop) => counter(loop)),
    ];
    const number = digits.reduce(
      (total, digit) => apply('add', apply('mul', total, integer(10)), digit),
      integer(0),
    );
    const state = tensor(0, 'x', 'f32', [2]);
    let id = 1;
    const nest = (depth: number, before: Tensor): Node => {
      if (depth === loops)
        return mapNode(
          tensor(id++, 'next', 'f32', [2]),
          apply('add', load(before, iterators(1)), convert('f32', number)),
        );
      const inside = tensor(id++, 'state', 'f32', [2]);
      const inner = nest(depth + 1, inside);
      const next =
        inner.kind === 'loop' ? inner.results[0]! : inner.kind === 'compute' ? inner.result : inside;
      const body: Graph = {
        name: 'body',
        inputs: [{ path: 'state', tensor: inside }],
        nodes: [inner],
        outputs: [{ path: 'state', tensor: next.id }],
      };
      const results = [tensor(id++, 'final', 'f32', [2])];
      return { kind: 'loop', loop: depth, count: 2, initial: [before.id], body, results };
    };
    return graphOf('places', [state], [nest(0, state)]);
  }

  test.each(['wasm', 'wgsl'] as const)(
    'knows the steps of loops and where its device is, by %s',
    async (on) => {
      const { outputs, kernels } = await runOn(
        on,
        mesh,
        program(2, ['y', 'z', 'x']),
        new Map([['x', wave([12], 0)]]),
        new Map([
          ['x', cut(['x', 'y'])],
          ['final', cut(['x', 'y'])],
        ]),
      );
      expect(kernels.map(({ counters, coordinates }) => [counters, coordinates])).toEqual([[2, ['x', 'y']]]);
      const wanted = [...tensorValues(wave([12], 0))].map((value, at) => {
        const device = Math.floor(at / 2);
        const place = ((device % 3) * 100 + Math.floor(device / 3)) * 100;
        return value + 4 * place + 0 + 1 + 10 + 11;
      });
      expect(errorOf(outputs.get('final')!, wanted)).toBeLessThan(1e-6);
    },
  );

  test('that would have to know too much is refused', () => {
    expect(() => compileLocal(program(3, ['x', 'y']), meshOf(mesh), opened.profile)).toThrow(
      /depend on 2 mesh axes and the steps of 3 loops, and 4 are supported together/,
    );
  });
});

test('a package does not grow with the number of devices', () => {
  const program = (devices: number): string => {
    const mesh = meshOf({ x: devices });
    const x = tensor(0, 'x', 'f32', [4]);
    const place = coordinate('x', devices);
    const moved = tensor(1, 'moved', 'f32', [4]);
    const exchanges = (['all_reduce', 'shift', 'broadcast', 'all_gather'] as const).map((verb, at) =>
      exchangeNode({ verb, axes: ['x'], combiner: 'sum' }, mesh, moved, 2 + at),
    );
    const nodes = [mapNode(moved, apply('add', load(x, [i0]), convert('f32', place))), ...exchanges];
    const { package: compiled } = compileLocal(graphOf('moves', [x], nodes), mesh, opened.profile);
    const texts = [JSON.stringify(compiled.manifest), ...compiled.code.values()];
    return texts.join('\n').replace(/\d+/g, '#');
  };
  expect(program(2 ** 20)).toBe(program(2));
});

describe('a mesh', () => {
  const x = tensor(0, 'x', 'f32', [4]);
  const gathered = (devices: number, count = 1) => {
    const mesh = meshOf({ x: devices });
    const inside = tensor(1, 'state', 'f32', [4]);
    const node = exchangeNode({ verb: 'shift', axes: ['x'], combiner: 'sum' }, mesh, inside, 2);
    const body: Graph = {
      name: 'body',
      inputs: [{ path: 'state', tensor: inside }],
      nodes: [node],
      outputs: [{ path: 'state', tensor: 2 }],
    };
    const results = [tensor(3, 'final', 'f32', [4])];
    const loop: Node = { kind: 'loop', loop: 0, count, initial: [0], body, results };
    return compileLocal(graphOf('around', [x], [loop]), mesh, opened.profile).package;
  };

  test('takes inputs for each of its devices, and keeps those that are not given again', async () => {
    const loaded = await loadMesh(gathered(3, 2), opened);
    const inputs = [1, 2, 3].map(
      (value) => new Map([['x', tensorFromValues('f32', [4], Array(4).fill(value))]]),
    );
    await expect(loaded.run(inputs.slice(1))).rejects.toThrow(
      'inputs for 2 devices are given, and around runs on 3',
    );
    await expect(loaded.runOnDevice()).rejects.toThrow('the input x of around is missing');
    await loaded.upload(inputs);
    await loaded.runOnDevice();
    const nothing = inputs.map(() => new Map());
    for (const outputs of [await loaded.read(), await loaded.run(nothing)])
      expect(outputs.map((output) => tensorValues(output.get('final')!)[0])).toEqual([2, 3, 1]);
    loaded.destroy();
  });

  const shifted = (elements: number, devices: number) => {
    const mesh = meshOf({ x: devices });
    const whole = tensor(0, 'x', 'f32', [elements]);
    const node = exchangeNode({ verb: 'shift', axes: ['x'], combiner: 'sum' }, mesh, whole, 1);
    const graph = { ...graphOf('around', [whole], [node]), outputs: [{ path: 'out', tensor: 1 }] };
    return compileLocalWasm(graph, mesh).package;
  };

  test('in WebAssembly takes inputs for each device, and keeps those that are not given again', async () => {
    const loaded = await loadWasmMesh(shifted(4, 3));
    const inputs = [1, 2, 3].map(
      (value) => new Map([['x', tensorFromValues('f32', [4], Array(4).fill(value))]]),
    );
    await expect(loaded.run(inputs.slice(1))).rejects.toThrow(
      'inputs for 2 devices are given, and around runs on 3',
    );
    for (const given of [inputs, inputs.map(() => new Map())]) {
      const outputs = await loaded.run(given);
      expect(outputs.map((output) => tensorValues(output.get('out')!)[0])).toEqual([3, 1, 2]);
    }
    loaded.destroy();
  });

  test('in WebAssembly of too much memory together is refused before anything is allocated', async () => {
    await expect(loadWasmMesh(shifted(2 ** 28, 4))).rejects.toThrow(
      'around on 4 devices takes 8.0 GiB of memory, and WebAssembly has 4.0 GiB',
    );
  });

  test('of too many devices for the steps of a program is refused before anything is allocated', async () => {
    await expect(loadMesh(gathered(64, 30_000), opened)).rejects.toThrow(/would launch \d+ .* on 64 devices/);
  });
});
