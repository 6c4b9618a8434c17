/** A search trusts no kernel: what computes something else, or is refused, is left out. */
import { expect, test } from 'vitest';
import type { Graph } from '../../compiler/graph/graph.ts';
import { apply, iterator, load } from '../../compiler/graph/scalar.ts';
import { allTensors as allGraphTensors } from '../../compiler/graph/uses.ts';
import { allTensors } from '../../compiler/plan/storages.ts';
import { printChoice } from '../../compiler/tiles/choices/choice-text.ts';
import { allChoices, type Problem } from '../../compiler/tiles/choices/problem.ts';
import { problemKey } from '../../compiler/tiles/choices/problem-key.ts';
import { cudaDevices, wasmDevice } from '../../compiler/tiles/device-profile.ts';
import { scheduleGraph } from '../../compiler/tiles/schedule-graph.ts';
import { checkSmallProgram } from '../../property-tests/small-programs.ts';
import { UserError } from '../../runtime/errors.ts';
import { lower } from '../lower.ts';
import { apart } from './apart.ts';
import { isNear } from './near.ts';
import { inOrder } from './order.ts';
import { onProcessor, type Trier } from './trier.ts';
import { planOf, tuneProblem } from './tune.ts';

const x = { id: 0, name: 'x', dtype: 'f32', shape: [1024] } as const;
const y = { id: 1, name: 'y', dtype: 'f32', shape: [1024] } as const;
const at = load(x, [iterator(0)]);
const graph: Graph = {
  name: 'double',
  inputs: [{ path: 'x', tensor: x }],
  nodes: [{ kind: 'compute', result: y, body: apply('add', at, at), reduce: undefined, grouped: undefined }],
  outputs: [{ path: 'y', tensor: y.id }],
};
const tensors = (id: number) => [x, y][id]!;
const { problem } = scheduleGraph(graph, wasmDevice).chosen[0]!;
const [first, ...others] = inOrder(problem, tensors, wasmDevice);

type Behaviour = 'right' | 'wrong' | 'refused';

/** Choices take as many milliseconds as is said, by their order. */
function trier(behaviours: readonly (readonly [Behaviour, number])[]): Trier {
  const right = onProcessor(wasmDevice);
  let next = 0;
  return {
    device: wasmDevice,
    load: async (program, schedule) => {
      const [behaviour, milliseconds] = behaviours[next++] ?? ['right', 1000];
      if (behaviour === 'refused') throw new UserError('device-refused', 'the driver refuses it', 'none');
      const loaded = await right.load(program, schedule);
      return {
        ...loaded,
        run: async (inputs) => {
          const found = await loaded.run(inputs);
          if (behaviour === 'right') return found;
          const [[path, tensor] = expect.unreachable()] = found;
          return new Map([[path, { ...tensor, bytes: tensor.bytes.map((byte) => byte ^ 0x40) }]]);
        },
        time: async () => milliseconds,
      };
    },
  };
}

async function search(behaviours: readonly (readonly [Behaviour, number])[], given: Problem = problem) {
  const said: string[] = [];
  const on = trier(behaviours);
  const outcome = await tuneProblem(planOf(given, tensors, on, {}), on, {
    budget: Number.POSITIVE_INFINITY,
    isStopped: () => false,
    report: (line) => said.push(line),
    progress: () => undefined,
  });
  return { outcome, said };
}

test('the fastest of those that are right is chosen', async () => {
  const { outcome, said } = await search([
    ['right', 5],
    ['wrong', 1],
    ['right', 2],
    ['refused', 1],
  ]);
  expect(outcome).toMatchObject({ choice: others[1], milliseconds: 2, first: 5 });
  expect(said).toEqual([
    `${printChoice(others[0]!)}: its results are wrong, and it is left out`,
    `${printChoice(others[2]!)}: the driver refuses it`,
  ]);
});

test('all choices have their turn, the first one first', () => {
  const texts = [first!, ...others].map(printChoice);
  const all = allChoices(problem, wasmDevice).map(printChoice);
  expect(texts[0]).toBe(all[0]);
  expect(texts.toSorted()).toEqual(all.toSorted());
});

test('nodes along the same rows are measured apart as they are in the program', () => {
  const checked = checkSmallProgram('rows.ricci');
  for (const device of [wasmDevice, cudaDevices.sm_90a])
    for (const [entry, ...sizes] of [
      ['layer_norms', ['T', 9], ['D', 600]],
      ['moments', ['T', 12], ['D', 20], ['E', 9]],
      ['chosen', ['T', 20], ['E', 300], ['K', 4]],
    ] as const) {
      const lowered = lower(checked, { entry, sizes: new Map(sizes), inputDtypes: new Map() });
      const { optimized } = lowered.kind === 'rejected' ? expect.unreachable() : lowered;
      const keysOf = (graph: Graph) => {
        const schedule = scheduleGraph(graph, device);
        const all = allTensors(graph, schedule);
        return schedule.chosen.map((own) => ({ own, key: problemKey(own.problem, (id) => all.get(id)!) }));
      };
      const known = allGraphTensors(optimized);
      for (const { own, key } of keysOf(optimized)) {
        expect(own.problem.kind).toBe('rowCluster');
        const { graph: alone } = apart(own.problem, (id) => known.get(id)!);
        expect(keysOf(alone).map((each) => each.key)).toEqual([key]);
      }
    }
});

test('little is not enough to leave the first choice', async () => {
  const { outcome } = await search([
    ['right', 5],
    ['right', 4.9],
  ]);
  expect(outcome).toMatchObject({ choice: first, milliseconds: 5, first: 5 });
});

test('where the first choice is wrong nothing is chosen', async () => {
  const { outcome } = await search([['wrong', 1]]);
  expect(outcome).toEqual({ untried: 'the first choice differs from the reference' });
});

test('near is within the rounding of f32, and no further', () => {
  const tensor = (values: readonly number[]) => {
    const bytes = new Uint8Array(Float32Array.from(values).buffer);
    return new Map([['y', { dtype: 'f32', shape: [values.length], bytes } as const]]);
  };
  const wanted = tensor([1, -100, Number.NaN, Number.POSITIVE_INFINITY]);
  expect(isNear(wanted, wanted)).toBe(true);
  expect(isNear(wanted, tensor([1.001, -100.001, Number.NaN, Number.POSITIVE_INFINITY]))).toBe(true);
  expect(isNear(wanted, tensor([1.1, -100, Number.NaN, Number.POSITIVE_INFINITY]))).toBe(false);
  expect(isNear(wanted, tensor([1, -100, 0, Number.POSITIVE_INFINITY]))).toBe(false);
  expect(isNear(wanted, tensor([1, -100, Number.NaN, 7]))).toBe(false);
});

test('of a large tensor, what is wrong in one column or one place of a tile is noticed', () => {
  const columns = 1024;
  const wanted = new Float32Array(columns * columns).fill(1);
  const tensor = (values: Float32Array) =>
    new Map([
      ['y', { dtype: 'f32', shape: [columns, columns], bytes: new Uint8Array(values.buffer) } as const],
    ]);
  for (const [every, at] of [
    [columns, 0],
    [columns, 517],
    [64, 63],
  ] as const) {
    const wrong = wanted.map((value, place) => (place % every === at ? 2 : value));
    expect(isNear(tensor(wanted), tensor(wrong)), `${at} of ${every}`).toBe(false);
  }
  expect(isNear(tensor(wanted), tensor(wanted.slice()))).toBe(true);
});
