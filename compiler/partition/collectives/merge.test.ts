/** Merged exchanges bring what each would have brought, in fewer messages and no more bytes. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { deviceCount } from '../../../dsl/placement/placement.ts';
import type { TensorValue } from '../../graph/algebra.ts';
import { type Choose, pick, readTape } from '../../graph/choice-tape.ts';
import { float32 } from '../../graph/float32.ts';
import type { ComputeNode, ExchangeNode, ExchangeVerb, Graph, Node, Tensor } from '../../graph/graph.ts';
import { printGraph } from '../../graph/print.ts';
import { iterators, load } from '../../graph/scalar.ts';
import { allNodes } from '../../graph/uses.ts';
import { assertWellFormed } from '../../graph/well-formed.ts';
import { optimize } from '../../optimize/passes.ts';
import { evaluateOnMesh } from '../evaluate-mesh.ts';
import type { DeviceProgram } from '../localize.ts';
import { meshOf } from '../testing.ts';
import { mergeSmall } from './merge.ts';
import { exactOptions } from './options.ts';

interface Case {
  readonly program: DeviceProgram;
  readonly inputs: ReadonlyMap<string, readonly TensorValue<number>[]>;
}

const verbs: readonly ExchangeVerb[] = [
  'all_gather', 'all_reduce', 'reduce_scatter', 'all_to_all', 'shift', 'broadcast',
]; // biome-ignore format: one line

/** Exchanges of one verb, some of them of what others brought; each device gives back what it got. */
function caseFrom(tape: readonly number[]): Case {
  const choose: Choose = readTape(tape);
  const verb = pick(choose, verbs);
  const mesh = meshOf(pick(choose, [{ a: 2 }, { a: 3 }, { a: 2, b: 2 }]));
  const axes = mesh.axes.map(({ name }) => name);
  const devices = deviceCount(mesh);
  const isRanked = verb === 'reduce_scatter' || verb === 'all_to_all';
  let nextId = 0;
  const tensor = (shape: readonly number[]): Tensor => ({ id: nextId++, name: 't', dtype: 'f32', shape });
  const inner = () => Array.from({ length: choose(3) }, () => 1 + choose(3));
  const inputs = Array.from({ length: 2 + choose(7) }, () =>
    tensor(isRanked ? [devices, ...inner()] : inner()),
  );
  const exchange = (source: Tensor): ExchangeNode => {
    const shape =
      verb === 'all_gather'
        ? [devices, ...source.shape]
        : verb === 'reduce_scatter'
          ? source.shape.slice(1)
          : source.shape;
    const combiner = verb === 'all_reduce' ? pick(choose, ['sum', 'sum', 'max'] as const) : 'sum';
    return { kind: 'exchange', verb, axes, devices, combiner, source: source.id, result: tensor(shape) };
  };
  const first = inputs.map(exchange);
  const again = verb === 'reduce_scatter' ? [] : first.filter(() => choose(3) === 0);
  const nodes: readonly Node[] = [...first, ...again.map(({ result }) => exchange(result))];
  // What each device has is a row of the result.
  const rows = nodes.flatMap((node): readonly ComputeNode[] => {
    if (node.kind !== 'exchange') return [];
    const { shape } = node.result;
    const body = load(node.result, iterators(shape.length, 1));
    return [{ kind: 'compute', result: tensor([1, ...shape]), body, reduce: undefined, grouped: undefined }];
  });
  const outputs = rows.map(({ result }) => result);
  const graph: Graph = {
    name: verb,
    inputs: inputs.map((each) => ({ path: `in.${each.id}`, tensor: each })),
    nodes: [...nodes, ...rows],
    outputs: outputs.map(({ id }) => ({ path: `out.${id}`, tensor: id })),
  };
  // Each device may hold something else: what it has is then a part of something.
  const parts = (rank: number) => ({
    dims: Array.from({ length: rank }, () => []),
    pending: new Map(axes.map((axis) => [axis, 'max'] as const)),
  });
  const rowsOf = (rank: number) => ({
    dims: Array.from({ length: rank }, (_, dim) => (dim === 0 ? axes : [])),
    pending: new Map(),
  });
  const blocks = inputs.map(({ id, dtype, shape }) => {
    const count = shape.reduce((size, extent) => size * extent, 1);
    const block = (): TensorValue<number> => {
      return { dtype, shape, data: Float64Array.from({ length: count }, () => choose(1000)) };
    };
    return [`in.${id}`, Array.from({ length: devices }, block)] as const;
  });
  const program: DeviceProgram = {
    graph,
    mesh,
    inputs: new Map(inputs.map(({ id, shape }) => [`in.${id}`, parts(shape.length)])),
    outputs: new Map(outputs.map(({ id, shape }) => [`out.${id}`, rowsOf(shape.length)])),
  };
  return { program, inputs: new Map(blocks) };
}

const cases = fc
  .array(fc.noBias(fc.nat(2 ** 16)), { minLength: 200, maxLength: 400, size: 'max' })
  .map(caseFrom);

function run(program: DeviceProgram, { inputs }: Case) {
  const { outputs, sent } = evaluateOnMesh(program, inputs, float32);
  const bytes = [...sent.values()].reduce((sum, each) => sum + each, 0);
  return { values: [...outputs].map(([path, { data }]) => [path, Array.from(data as number[])]), bytes };
}

function exchangesIn({ graph }: DeviceProgram): number {
  return allNodes(graph).filter(({ kind }) => kind === 'exchange').length;
}

test('what is merged brings the same', () => {
  fc.assert(
    fc.property(cases, (each) => {
      const merged = mergeSmall(each.program, { ...exactOptions, mergedBytes: 1 + 2 ** 10 });
      assertWellFormed(merged.graph, 'merging');
      const [wanted, found] = [run(each.program, each), run(merged, each)];
      expect(found.values, printGraph(merged.graph)).toEqual(wanted.values);
      expect(found.bytes).toBeLessThanOrEqual(wanted.bytes + 1e-6);
      expect(exchangesIn(merged)).toBeLessThanOrEqual(exchangesIn(each.program));
      const fast = { ...merged, graph: optimize(merged.graph) };
      expect(run(fast, each).values).toEqual(wanted.values);
    }),
    { numRuns: 80 },
  );
});

test('there are fewer messages, and where none is small enough nothing changes', () => {
  const sampled = fc.sample(cases, { numRuns: 30, seed: 2 });
  const fewer = sampled.filter(({ program }) => {
    const merged = mergeSmall(program, { ...exactOptions, mergedBytes: 2 ** 10 });
    return exchangesIn(merged) < exchangesIn(program);
  });
  expect(fewer.length).toBeGreaterThan(20);
  for (const { program } of sampled) {
    expect(mergeSmall(program, exactOptions)).toBe(program);
    expect(exchangesIn(mergeSmall(program, { ...exactOptions, mergedBytes: 1 }))).toBe(exchangesIn(program));
  }
});

test('maxima that are merged with sums are noticed', () => {
  const wrong = fc.sample(cases, { numRuns: 40, seed: 6 }).filter((each) => {
    const nodes = each.program.graph.nodes.map((node) =>
      node.kind === 'exchange' ? { ...node, combiner: 'sum' as const } : node,
    );
    const mixed = { ...each.program, graph: { ...each.program.graph, nodes } };
    const merged = mergeSmall(mixed, { ...exactOptions, mergedBytes: 2 ** 10 });
    return JSON.stringify(run(merged, each).values) !== JSON.stringify(run(each.program, each).values);
  });
  expect(wrong.length).toBeGreaterThan(0);
});
