/** Choices that are best apart are kept where programs with them are faster as a whole. */
import { expect, test } from 'vitest';
import type { ComputeNode, Graph, Tensor } from '../../compiler/graph/graph.ts';
import { iterator, load } from '../../compiler/graph/scalar.ts';
import type { Choice } from '../../compiler/tiles/choices/choice.ts';
import { wasmDevice } from '../../compiler/tiles/device-profile.ts';
import type { ChosenSchedule } from '../../compiler/tiles/scheduled.ts';
import { keptTogether, type WholeProgram } from './together.ts';
import { onProcessor, type Trier } from './trier.ts';
import { tunePrograms } from './tune-program.ts';
import type { TunedProblem } from './tuning-file.ts';

const tensor = (id: number, ...shape: readonly number[]): Tensor => ({
  ...{ id, name: `t${id}`, dtype: 'f32', shape },
});
/** What is read twice is no part of what reads it. */
function rowSums(from: Tensor, to: Tensor): ComputeNode {
  const reduce = { combiner: 'sum', extents: [from.shape[1]!], finish: undefined } as const;
  const body = load(from, [0, 1].map(iterator));
  return { kind: 'compute', result: to, body, reduce, grouped: undefined };
}

function graphOf(name: string, inputs: readonly Tensor[], nodes: readonly ComputeNode[]): Graph {
  return {
    ...{ name, nodes },
    inputs: inputs.map((each) => ({ path: each.name, tensor: each })),
    outputs: nodes.map(({ result }) => ({ path: result.name, tensor: result.id })),
  };
}

const [x, y] = [tensor(0, 64, 128), tensor(1, 64, 512)];
const single = graphOf('single', [x], [rowSums(x, tensor(2, 64))]);
const both = graphOf('both', [x, y], [rowSums(x, tensor(2, 64)), rowSums(y, tensor(3, 64))]);
const other = graphOf('other', [tensor(0, 32, 16)], [rowSums(tensor(0, 32, 16), tensor(2, 32))]);

/** Takes as long as is said of how many problems have another choice than the first. */
function trier(time: (others: number) => number, offBy = 0): Trier {
  const right = onProcessor(wasmDevice);
  return {
    device: wasmDevice,
    load: async (graph, schedule) => {
      const loaded = await right.load(graph, schedule);
      const others = othersOf(schedule);
      return {
        ...loaded,
        run: async (inputs) => {
          const found = await loaded.run(inputs);
          if (others === 0 || offBy === 0) return found;
          return new Map(
            [...found].map(([path, each]) => [
              path,
              { ...each, bytes: each.bytes.map((byte) => byte ^ offBy) },
            ]),
          );
        },
        time: async () => time(others),
      };
    },
  };
}

function othersOf({ chosen }: ChosenSchedule): number {
  return chosen.filter(({ choice }) => choice.form === 'columns').length;
}

const program = (graph: Graph, on: Trier): WholeProgram => ({
  ...{ graph, trier: on },
  inputs: () =>
    new Map(
      graph.inputs.map(({ path, tensor: { dtype, shape } }) => {
        const count = shape.reduce((product, extent) => product * extent, 1);
        return [
          path,
          { dtype, shape, bytes: new Uint8Array(Float32Array.from({ length: count }, Math.sin).buffer) },
        ];
      }),
    ),
});

/** All problems with a better choice, as if they had been measured. */
async function tunedOf(graphs: readonly Graph[]) {
  const right = graphs.map((graph) => ({ graph, trier: onProcessor(wasmDevice) }));
  const tuned = await tunePrograms(right, new Map(), {
    ...{ budget: Number.POSITIVE_INFINITY, most: 1, isStopped: () => false },
    ...{ report: () => undefined, progress: () => undefined, found: () => undefined },
  });
  const choice: Choice = { form: 'columns', threadColumns: 4, results: 4 };
  return new Map(
    [...tuned.keys()].map((key): [string, TunedProblem] => [key, { choice, milliseconds: 1, first: 2 }]),
  );
}

async function kept(graphs: readonly Graph[], on: Trier, isStopped = false) {
  const programs = graphs.map((graph) => program(graph, on));
  const problems = await tunedOf(graphs);
  const found: string[] = [];
  const left = await keptTogether(programs, problems, {
    isStopped: () => isStopped,
    found: ({ name }, times) => found.push(`${name} ${typeof times === 'string' ? times : times.join(' ')}`),
  });
  return { all: problems.size, left: left.size, found };
}

const faster = (others: number) => 5 - others;
const slower = (others: number) => 5 + others;

test.each([
  ['faster together', [both], trier(faster), false, { all: 2, left: 2, found: ['both 5 3'] }],
  ['slower together', [both], trier(slower), false, { all: 2, left: 0, found: ['both 5 7'] }],
  ['alone it was measured', [single, other], trier(slower), false, { all: 2, left: 2, found: [] }],
  ['slower beside another', [single, both], trier(slower), false, { all: 2, left: 0, found: ['both 5 7'] }],
  ['no time', [single, both], trier(faster), true, { all: 2, left: 1, found: [] }],
  ['wrong', [both], trier(faster, 64), false, { all: 2, left: 0, found: ['both the results differ'] }],
] as const)('%s', async (_, graphs, on, isStopped, expected) => {
  expect(await kept(graphs, on, isStopped)).toEqual(expected);
});
