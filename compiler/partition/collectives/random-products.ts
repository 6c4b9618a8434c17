/** For tests: products of matrices on a mesh, each with the collective that a ring can stand for. */
import { devicesAlong, type Mesh, type Placement } from '../../../dsl/placement/placement.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { type Choose, pick, readTape } from '../../graph/choice-tape.ts';
import type { CollectiveNode, ComputeNode, Graph, Tensor } from '../../graph/graph.ts';
import { apply, iterator, load, reduced } from '../../graph/scalar.ts';
import { type DeviceProgram, localize } from '../localize.ts';
import { place } from '../place.ts';

export const forms = ['rows', 'columns', 'terms', 'scattered'] as const;

export interface ProductCase {
  readonly form: (typeof forms)[number];
  readonly device: DeviceProgram;
  readonly inputs: ReadonlyMap<string, TensorValue<number>>;
}

/** `y[m, n] = sum k: x[m, k] * w[k, n]`, of which one dimension is cut, and its square root or nothing. */
export function randomProduct(tape: readonly number[]): ProductCase {
  const choose: Choose = readTape(tape);
  const form = pick(choose, forms);
  const mesh = meshFrom(pick(choose, [{ a: 2 }, { a: 3 }, { a: 4 }, { a: 2, b: 2 }, { b: 2, a: 3 }]));
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

function meshFrom(sizes: Readonly<Record<string, number>>): Mesh {
  return { axes: Object.entries(sizes).map(([name, size]) => ({ name, size })) };
}
