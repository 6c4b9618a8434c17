/** Products in rings compute what the collectives do that they stand for, and send as much. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { devicesAlong, type Placement } from '../../../dsl/placement/placement.ts';
import type { Algebra, TensorValue } from '../../graph/algebra.ts';
import { type Choose, pick, readTape } from '../../graph/choice-tape.ts';
import { float32 } from '../../graph/float32.ts';
import type { CollectiveNode, ComputeNode, Graph, Node, Tensor } from '../../graph/graph.ts';
import { printGraph } from '../../graph/print.ts';
import { apply, integer, iterator, load, mapScalar, reduced } from '../../graph/scalar.ts';
import { allNodes, mapNodeScalars } from '../../graph/uses.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import { type DeviceProgram, localize } from '../localize.ts';
import { place } from '../place.ts';
import { exactAlgebra } from '../random-partition.ts';
import { meshOf } from '../testing.ts';
import { type CollectiveOptions, exactOptions, type RingCosts } from './options.ts';
import { optimizeDevice } from './passes.ts';

const links = (bytesPerSecond: number) =>
  new Map(['a', 'b'].map((axis) => [axis, { bytesPerSecond, latencySeconds: 0 }]));

/** Moving and multiplying take long, and starting a kernel nothing. */
const alwaysPays: RingCosts = { links: links(1), flopsPerSecond: 1, launchSeconds: 0 };
/** All is over before another kernel has started. */
const neverPays: RingCosts = { links: links(1e15), flopsPerSecond: 1e15, launchSeconds: 1e-5 };
const inRings: CollectiveOptions = { ...exactOptions, reassociates: true, rings: alwaysPays };

const forms = ['rows', 'columns', 'terms', 'scattered'] as const;

interface Case {
  readonly form: (typeof forms)[number];
  readonly device: DeviceProgram;
  readonly inputs: ReadonlyMap<string, TensorValue<number>>;
}

/** `y[m, n] = sum k: x[m, k] * w[k, n]`, of which one dimension is cut, and its square root or nothing. */
function caseFrom(tape: readonly number[]): Case {
  const choose: Choose = readTape(tape);
  const form = pick(choose, forms);
  const mesh = meshOf(pick(choose, [{ a: 2 }, { a: 3 }, { a: 4 }, { a: 2, b: 2 }, { b: 2, a: 3 }]));
  const axes =
    choose(2) === 0 ? mesh.axes.map(({ name }) => name) : [mesh.axes[choose(mesh.axes.length)]!.name];
  const unit = devicesAlong(mesh, axes);
  const [m, k, n] = [unit * (1 + choose(2)), unit * (1 + choose(2)), unit * (1 + choose(2))] as const;
  const dtype = form === 'scattered' ? 'f32' : pick(choose, ['f32', 'bf16'] as const);
  const tensor = (id: number, name: string, shape: readonly number[]): Tensor => ({ id, name, dtype, shape });
  const [x, w, moved, y, out] = [
    tensor(0, 'x', [m, k]),
    tensor(1, 'w', [k, n]),
    tensor(2, 'moved', form === 'rows' ? [m, k] : [k, n]),
    tensor(3, 'y', [m, n]),
    tensor(4, 'out', [m, n]),
  ];
  const lists = {
    rows: { x: [axes, []], w: [[], []] },
    columns: { x: [[], []], w: [[], axes] },
    terms: { x: [[], []], w: [axes, []] },
    scattered: { x: [[], axes], w: [axes, []] },
  }[form];
  const source = form === 'rows' ? x : w;
  const gather: CollectiveNode = {
    kind: 'collective',
    source: source.id,
    result: moved,
    change: { kind: 'all_gather', axes },
  };
  const [left, right] = {
    rows: [moved, w],
    columns: [x, moved],
    terms: [x, moved],
    scattered: [x, w],
  }[form] as [Tensor, Tensor];
  const isFinished = form !== 'scattered' && choose(2) === 0;
  const [i0, i1, i2] = [iterator(0), iterator(1), iterator(2)];
  const node: ComputeNode = {
    kind: 'compute',
    result: y,
    body: apply('mul', load(left, [i0, i2]), load(right, [i2, i1])),
    reduce: {
      combiner: 'sum',
      extents: [k],
      finish: isFinished ? apply('abs', reduced('f32')) : undefined,
    },
    grouped: undefined,
  };
  const scatter: CollectiveNode = {
    kind: 'collective',
    source: y.id,
    result: out,
    change: { kind: 'reduce_scatter', axes, dim: choose(2) },
  };
  const graph: Graph = {
    name: form,
    inputs: [x, w].map((each) => ({ path: each.name, tensor: each })),
    nodes: form === 'scattered' ? [node, scatter] : [gather, node],
    outputs: [{ path: 'out', tensor: form === 'scattered' ? out.id : y.id }],
  };
  const placement = (dims: readonly (readonly string[])[]): Placement => ({ dims, pending: new Map() });
  const placed = place(graph, {
    mesh,
    inputs: new Map([
      ['x', placement(lists.x as string[][])],
      ['w', placement(lists.w as string[][])],
    ]),
    outputs: new Map(),
  });
  if (placed.kind === 'misplaced') throw new Error(JSON.stringify(placed.faults));
  const value = ({ shape }: Tensor): TensorValue<number> => {
    const count = shape.reduce((size, extent) => size * extent, 1);
    return { dtype, shape, data: Float64Array.from({ length: count }, () => (choose(64) - 31) / 8) };
  };
  return {
    form,
    device: localize(placed.placed),
    inputs: new Map([
      ['x', value(x)],
      ['w', value(w)],
    ]),
  };
}

const cases = fc
  .array(fc.noBias(fc.nat(2 ** 16)), { minLength: 120, maxLength: 200, size: 'max' })
  .map(caseFrom);

function run({ inputs }: Case, device: DeviceProgram, algebra: Algebra<number>) {
  const { outputs, sent } = evaluateOnMesh(device, inputs, algebra);
  const { data } = outputs.get('out')!;
  return {
    values: Array.from({ length: data.length }, (_, at) => (data[at] as number) + 0),
    verbs: [...sent.keys()],
    bytes: [...sent.values()].reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Rows keep every bit; sums are in another order, which exact sums do not mind. */
function algebraOf({ form }: Case): Algebra<number> {
  return form === 'rows' || form === 'columns' ? float32 : exactAlgebra();
}

test('a product in a ring is the same product, of as many bytes, by shifts alone', () => {
  fc.assert(
    fc.property(cases, (each) => {
      const ring = optimizeDevice(each.device, inRings);
      const algebra = algebraOf(each);
      const [wanted, found] = [run(each, each.device, algebra), run(each, ring, algebra)];
      expect(found.values, printGraph(ring.graph)).toEqual(wanted.values);
      expect(found.verbs, printGraph(ring.graph)).toEqual(['shift']);
      expect(found.bytes).toBeCloseTo(wanted.bytes, 6);
      const fast = { ...ring, graph: optimize(ring.graph) };
      expect(run(each, fast, algebra).values).toEqual(wanted.values);
    }),
    { numRuns: 60 },
  );
});

test('a ring is made only where it pays, and a sum taken in another order only where that is allowed', () => {
  for (const each of fc.sample(cases, { numRuns: 20, seed: 3 })) {
    const verbsOf = (options: CollectiveOptions) =>
      run(each, optimizeDevice(each.device, options), float32).verbs;
    expect(verbsOf({ ...inRings, rings: neverPays })).not.toContain('shift');
    expect(verbsOf(exactOptions)).not.toContain('shift');
    const isSummed = each.form === 'terms' || each.form === 'scattered';
    expect(verbsOf({ ...inRings, reassociates: false }).includes('shift')).toBe(!isSummed);
  }
});

const mutants: Readonly<Record<string, (node: Node) => Node>> = {
  'takes the block of another turn': (node) =>
    mapNodeScalars(node, (root) =>
      mapScalar(root, (scalar) => (scalar.op === 'counter' ? apply('add', scalar, integer(1)) : scalar)),
    ),
  'thinks that it is the first': (node) =>
    mapNodeScalars(node, (root) =>
      mapScalar(root, (scalar) => (scalar.op === 'coordinate' ? integer(0) : scalar)),
    ),
  'keeps its block': (node) => (node.kind === 'exchange' ? { ...node, verb: 'broadcast' } : node),
};

test.each(Object.entries(mutants))('a ring that %s is found out', (_, mutate) => {
  const onNodes = (graph: Graph): Graph => ({
    ...graph,
    nodes: graph.nodes.map((node) =>
      node.kind === 'loop' ? { ...node, body: onNodes(node.body) } : mutate(node),
    ),
  });
  const wrong = fc.sample(cases, { numRuns: 30, seed: 5 }).filter((each) => {
    const ring = optimizeDevice(each.device, inRings);
    expect(allNodes(ring.graph).some(({ kind }) => kind === 'loop')).toBe(true);
    const wanted = run(each, each.device, float32).values;
    try {
      const found = run(each, { ...ring, graph: onNodes(ring.graph) }, float32).values;
      return found.some((value, at) => Math.abs(value - wanted[at]!) > 1e-3);
    } catch {
      // Devices that should hold the same do not.
      return true;
    }
  });
  expect(wrong.length).toBeGreaterThan(10);
});
