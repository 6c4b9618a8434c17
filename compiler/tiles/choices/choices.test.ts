/** What may be chosen: within the limits of a device, and the same as text. */
import { describe, expect, test } from 'vitest';
import {
  type ComputeNode,
  type Graph,
  type Node,
  results,
  type Scalar,
  type Tensor,
} from '../../graph/graph.ts';
import { apply, iterator, load } from '../../graph/scalar.ts';
import { type DeviceProfile, leastDevice, wasmDevice } from '../device-profile.ts';
import { ratesOf } from '../device-rates.ts';
import { scheduleGraph } from '../schedule-graph.ts';
import type { ScheduledStep } from '../scheduled.ts';
import { allStatements } from '../tile-builder.ts';
import type { TileProgram } from '../tile-program.ts';
import type { Choice } from './choice.ts';
import { parseChoice, printChoice } from './choice-text.ts';
import { costOf } from './cost.ts';
import { allChoices } from './problem.ts';
import { problemKey } from './problem-key.ts';

const tensor = (id: number, name: string, ...shape: readonly number[]): Tensor => ({
  ...{ id, name, dtype: 'f32', shape },
});
const at = (from: Tensor, ...axes: readonly number[]) => load(from, axes.map(iterator));

function sumOf(result: Tensor, body: Scalar, ...extents: readonly number[]): ComputeNode {
  const reduce = { combiner: 'sum', extents, finish: undefined } as const;
  return { kind: 'compute', result, body, reduce, grouped: undefined };
}

function graphOf(node: Node, ...inputs: readonly Tensor[]): Graph {
  return {
    name: 'one',
    inputs: inputs.map((each) => ({ path: each.name, tensor: each })),
    nodes: [node],
    outputs: results(node).map(({ id }) => ({ path: 'out', tensor: id })),
  };
}

const a = tensor(0, 'a', 33, 70);
const b = tensor(1, 'b', 70, 40);
const out = tensor(2, 'out', 33, 40);
const product = graphOf(sumOf(out, apply('mul', at(a, 0, 2), at(b, 2, 1)), 70), a, b);
const wide = graphOf(sumOf(tensor(2, 'total', 33), at(a, 0, 1), 70), a);
const few = graphOf(sumOf(tensor(2, 'total', 40), at(b, 1, 0), 70), b);
const [q, k, v] = [tensor(0, 'q', 33, 8), tensor(1, 'k', 70, 8), tensor(2, 'v', 70, 8)];
const attention = graphOf(
  {
    kind: 'softmaxSum',
    result: tensor(3, 'mix', 33, 8),
    extent: 70,
    scoreExtents: [8],
    scoreBody: apply('mul', at(q!, 0, 3), at(k!, 2, 3)),
    logit: { op: 'reduced', dtype: 'f32' },
    visible: undefined,
    value: at(v!, 2, 1),
    valueAxes: [1],
  },
  q!,
  k!,
  v!,
);
const graphs = { product, wide, few, attention };
const rows = tensor(0, 'rows', 5, 1032);
const prefixes = graphOf(
  { kind: 'prefix', source: 0, combiner: 'sum', result: tensor(1, 'sums', 5, 1032) },
  rows,
);
const orderOf = (kept: number): Node => ({
  ...{ kind: 'order', source: 0, direction: 'descending' },
  result: { ...tensor(1, 'places', 5, kept), dtype: 'i32' },
});
const alongRows = { prefixes, sorted: graphOf(orderOf(1032), rows), best: graphOf(orderOf(50), rows) };

const small: DeviceProfile = {
  ...leastDevice,
  name: 'a small device',
  maxInvocationsPerWorkgroup: 32,
  maxWorkgroupBytes: 8192,
  subgroupSize: 8,
};
const devices = { least: leastDevice, small, 'in WebAssembly': wasmDevice };

function choicesFor(graph: Graph, device: DeviceProfile): readonly Choice[] {
  return allChoices(scheduleGraph(graph, device).chosen[0]!.problem, device);
}

function stepsOf(graph: Graph, device: DeviceProfile, choice: Choice): readonly ScheduledStep[] {
  let isGiven = false;
  const advice = () => {
    const own = isGiven ? undefined : choice;
    isGiven = true;
    return own;
  };
  return scheduleGraph(graph, device, advice).steps;
}

function programOf(step: ScheduledStep): TileProgram {
  return step.kind === 'kernel' ? step.program : expect.unreachable();
}

function sharedBytes({ body }: TileProgram): number {
  const tiles = allStatements(body).flatMap((each) => (each.kind === 'define' ? [each.tile] : []));
  return tiles
    .filter(({ space }) => space === 'shared')
    .reduce((sum, { axes }) => sum + 4 * axes.reduce((count, { extent }) => count * extent, 1), 0);
}

/** In which invocations meet, in WGSL: two words for each that shares a run. */
function scannedBytes({ body, threads: { rows, columns } }: TileProgram): number {
  const statements = allStatements(body);
  const scanned = statements.flatMap((each) => (each.kind === 'scan' ? [each.from] : []));
  const tiles = statements.flatMap((each) => (each.kind === 'define' ? [each.tile] : []));
  return tiles
    .filter(({ name }) => scanned.includes(name))
    .reduce((sum, { axes }) => sum + 8 * rows * columns * axes[1]!.extent, 0);
}

describe.each(Object.entries(devices))('%s', (_, device) => {
  test.each(Object.entries(graphs))('no choice for %s asks for more than there is', (_, graph) => {
    const choices = choicesFor(graph, device);
    expect(choices.length).toBeGreaterThan(10);
    expect(choices.length).toBeLessThan(500);
    for (const choice of choices.filter((_, place) => place % 5 === 0))
      for (const program of stepsOf(graph, device, choice).map(programOf)) {
        const { rows, columns } = program.threads;
        expect(rows * columns, printChoice(choice)).toBeLessThanOrEqual(device.maxInvocationsPerWorkgroup);
        expect(sharedBytes(program), printChoice(choice)).toBeLessThanOrEqual(device.maxWorkgroupBytes);
      }
  });

  test.each(Object.entries(alongRows))('nor one for %s', (_, graph) => {
    for (const choice of choicesFor(graph, device))
      for (const program of stepsOf(graph, device, choice).map(programOf)) {
        const { rows, columns } = program.threads;
        expect(rows * columns, printChoice(choice)).toBeLessThanOrEqual(device.maxInvocationsPerWorkgroup);
        const bytes = sharedBytes(program) + scannedBytes(program);
        expect(bytes, printChoice(choice)).toBeLessThanOrEqual(device.maxWorkgroupBytes);
      }
  });

  test.each(Object.entries({ ...graphs, ...alongRows }))(
    'choices for %s are read as they are printed',
    (_, graph) => {
      for (const choice of choicesFor(graph, device))
        expect(parseChoice(printChoice(choice))).toEqual(choice);
    },
  );
});

test('what is no choice is told', () => {
  const wrongs = ['', 'heap', 'map', 'map threadColumns=0', 'map threads=4', 'map threadColumns'];
  for (const text of [...wrongs, 'map threadColumns=4 threadColumns=4', 'map threadColumns=4 rows=1'])
    expect(parseChoice(text), text).toHaveProperty('wrong');
});

test('problems are the same by what is computed, whatever tensors are called', () => {
  const keyOf = (graph: Graph) => {
    const tensors = new Map(graph.inputs.map((input) => [input.tensor.id, input.tensor]));
    const { problem } = scheduleGraph(graph, wasmDevice).chosen[0]!;
    tensors.set(problem.node.result.id, problem.node.result);
    return problemKey(problem, (id) => tensors.get(id)!);
  };
  const [x, y] = [tensor(7, 'x', 33, 70), tensor(5, 'y', 70, 40)];
  const product = apply('mul', at(x, 0, 2), at(y, 2, 1));
  expect(keyOf(graphOf(sumOf(tensor(9, 'z', 33, 40), product, 70), x, y))).toBe(keyOf(graphs.product));
  expect(new Set(Object.values(graphs).map(keyOf)).size).toBe(4);
});

test('a product costs less in tiles than row by row', () => {
  for (const device of [leastDevice, wasmDevice]) {
    const [first, ...others] = choicesFor(product, device);
    const apart = others.find((choice) => choice.form === 'rows' && choice.threadColumns === 1);
    const [tiles, rows] = [first!, apart!].map((choice) => costOf(stepsOf(product, device, choice), device));
    expect(tiles).toBeLessThan(rows!);
  }
});

test('a product of few results is cut along what is reduced, and its parts are products', () => {
  const gradient = (rows: number, columns: number, depth: number) => {
    const [x, y] = [tensor(0, 'x', depth, rows), tensor(1, 'y', depth, columns)];
    const result = tensor(2, 'gradient', rows, columns);
    return graphOf(sumOf(result, apply('mul', at(x, 2, 0), at(y, 2, 1)), depth), x, y);
  };
  const namesOn = (device: DeviceProfile, ...extents: Parameters<typeof gradient>) =>
    scheduleGraph(gradient(...extents), device).steps.map((step) => programOf(step).name);
  const inTwo = ['contract_gradient_parts', 'reduce_gradient'];
  expect(namesOn(leastDevice, 16, 64, 2050).slice(-2)).toEqual(inTwo);
  expect(namesOn(wasmDevice, 8, 32, 8200).slice(-2)).toEqual(inTwo);
  for (const device of [leastDevice, wasmDevice])
    expect(namesOn(device, 4, 32, 2050)).toContain('contract_gradient');
  expect(namesOn(wasmDevice, 16, 80, 2050)).toContain('contract_gradient');
});

test('a sum is cut in two where that saves more than another kernel costs', () => {
  const long = graphOf(sumOf(tensor(1, 'total'), at(tensor(0, 'x', 5000), 0), 5000), tensor(0, 'x', 5000));
  for (const device of [leastDevice, small, wasmDevice]) {
    const firstWith = (kernel: number) =>
      choicesFor(long, { ...device, rates: { ...ratesOf(device), kernel } })[0]!.form;
    expect(firstWith(1e-9), device.name).toBe('split');
    expect(firstWith(1), device.name).toBe('rows');
  }
});
