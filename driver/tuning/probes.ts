/**
 * Kernels of which each does one thing of what the cost model counts (`compiler/tiles/choices/cost.ts`), over
 * and over: tile programs, so that what is measured is what the back ends make of such.
 */
import type { Graph, Tensor } from '../../compiler/graph/graph.ts';
import type { ChosenSchedule } from '../../compiler/tiles/scheduled.ts';
import {
  define,
  loop,
  multiplyAccumulate,
  program,
  register,
  shared,
  spread,
  store,
  update,
} from '../../compiler/tiles/tile-builder.ts';
import {
  apply,
  constant,
  coordinate,
  element,
  grid,
  load,
  product,
  remainder,
  sum,
  type TileExpression,
} from '../../compiler/tiles/tile-expression.ts';
import type { TileStatement } from '../../compiler/tiles/tile-program.ts';
import type { TensorData } from '../../runtime/weights/tensor-data.ts';

/** How often a probe does its one thing. */
export interface Extent {
  readonly groups: number;
  /** The invocations of a workgroup. */
  readonly threads: number;
  /** Rounds of each invocation. */
  readonly turns: number;
  /** Vectors in a round, none of which waits for another. */
  readonly vectors: number;
}

export interface Probe {
  readonly graph: Graph;
  readonly schedule: ChosenSchedule;
  readonly inputs: ReadonlyMap<string, TensorData>;
}

const width = 4;
/** Rows of workgroup memory that are read in turns. */
const held = 16;
const length = 1 << 14;
const source: Tensor = { id: 0, name: 'source', dtype: 'f32', shape: [length] };

/** What is done with the sums of an invocation, `vectors` of them. */
type Body = (extent: Extent) => readonly TileStatement[];

function rowOf({ threads }: Extent) {
  return spread(threads * width, 'threads', width);
}

function placeOf({ threads, vectors }: Extent): readonly [TileExpression, TileExpression] {
  return [coordinate(0, vectors), coordinate(1, threads * width)];
}

function inTurns({ turns }: Extent, body: (turn: TileExpression) => readonly TileStatement[]): TileStatement {
  const bounds = { from: constant(0), to: constant(turns), step: 1, range: { low: 0, high: turns - 1 } };
  return loop('turn', bounds, body);
}

function addTo(extent: Extent, value: TileExpression): TileStatement {
  return update('total', apply('add', 'f32', element('total', 'f32', placeOf(extent)), value));
}

/** Multiply-adds of a column of factors with a row of them. */
function products(over: 'whole' | 'lanes'): Body {
  return (extent) => [
    define(
      register('left', 'f32', [spread(extent.vectors, over), spread(1, 'whole')]),
      load(source.id, 'f32', coordinate(0, extent.vectors)),
    ),
    define(
      register('right', 'f32', [spread(1, 'whole'), rowOf(extent)]),
      load(source.id, 'f32', placeOf(extent)[1]),
    ),
    inTurns(extent, () => [multiplyAccumulate('total', 'left', 'right', 'kn')]),
  ];
}

const bodies = {
  nothing: () => [],
  products: products('whole'),
  /** The same, each lane of a subgroup having a part of the column. */
  broadcasts: products('lanes'),
  loads: (extent) => {
    const [vector, column] = placeOf(extent);
    const ofVector = sum(product(vector, constant(extent.threads * width)), column);
    return [
      inTurns(extent, (turn) => [
        addTo(extent, load(source.id, 'f32', sum(product(turn, constant(width)), ofVector))),
      ]),
    ];
  },
  /** All invocations read the same, as those of a row of a product do. */
  shared: (extent) => {
    const rows = held + extent.vectors;
    const near = shared('near', 'f32', [spread(rows, 'whole'), spread(width, 'whole', width)]);
    const at = sum(product(coordinate(0, rows), constant(width)), coordinate(1, width));
    const column = remainder(placeOf(extent)[1], width);
    return [
      define(near, load(source.id, 'f32', at)),
      inTurns(extent, (turn) => {
        const row = sum(remainder(turn, held), placeOf(extent)[0]);
        return [addTo(extent, element('near', 'f32', [row, column]))];
      }),
    ];
  },
  /** Two in a round: before workgroup memory is written, and before it is read. */
  barriers: (extent) => {
    const all = extent.threads * width;
    const near = shared('near', 'f32', [spread(all, 'whole', width)]);
    return [
      inTurns(extent, (turn) => [
        define(near, load(source.id, 'f32', sum(product(turn, constant(width)), coordinate(0, all)))),
        addTo(extent, element('near', 'f32', [placeOf(extent)[1]])),
      ]),
    ];
  },
} satisfies Record<string, Body>;

export type ProbeName = keyof typeof bodies;

/** @param launches so many times one after the other, each storing over what the one before did */
export function probeOf(name: ProbeName, extent: Extent, launches = 1): Probe {
  const tile = extent.threads * width;
  const out: Tensor = { id: 1, name: 'out', dtype: 'f32', shape: [extent.groups * tile] };
  const body: Body = bodies[name];
  const column = coordinate(0, tile);
  const totals = Array.from({ length: extent.vectors }, (_, vector) =>
    element('total', 'f32', [constant(vector), column]),
  );
  const statements = [
    define(register('total', 'f32', [spread(extent.vectors, 'whole'), rowOf(extent)]), constant(0, 'f32')),
    ...body(extent),
    store(
      out,
      [rowOf(extent)],
      sum(product(grid(0, extent.groups), constant(tile)), column),
      totals.reduce((left, right) => apply('add', 'f32', left, right)),
    ),
  ];
  const kernelOf = (launch: number) =>
    program({
      name: `${name}_${launch}`,
      grid: [extent.groups],
      threads: { rows: 1, columns: extent.threads },
      body: statements,
      enclosing: [],
    });
  return {
    graph: {
      name,
      inputs: [{ path: 'source', tensor: source }],
      nodes: [],
      outputs: [{ path: 'out', tensor: out.id }],
    },
    inputs: new Map([['source', { dtype: 'f32', shape: source.shape, bytes: new Uint8Array(4 * length) }]]),
    schedule: {
      steps: Array.from({ length: launches }, (_, launch) => ({ kind: 'kernel', program: kernelOf(launch) })),
      temporaries: [out],
      chosen: [],
    },
  };
}
