/** Matrix units: the estimate has the order that was measured, and what they may round tells problems apart. */
import { expect, test } from 'vitest';
import type { Dtype } from '../../../dsl/types/dtype.ts';
import type { ComputeNode, Graph, Tensor } from '../../graph/graph.ts';
import { apply, iterator, load } from '../../graph/scalar.ts';
import { allTensors } from '../../graph/uses.ts';
import type { Allowance } from '../allowances.ts';
import { cudaDevices } from '../device-profile.ts';
import { scheduleGraph } from '../schedule-graph.ts';
import type { ContractionProblem } from '../schedules/contraction.ts';
import type { Choice, ChoiceOf } from './choice.ts';
import { parseChoice } from './choice-text.ts';
import { problemKey } from './problem-key.ts';
import { unitsCost } from './unit-cost.ts';

const { sm_90a: device } = cudaDevices;

/** Both factors have what is reduced innermost. */
function graphOf(rows: number, columns: number, depth: number, dtype: Dtype = 'bf16'): Graph {
  const tensor = (id: number, ...shape: readonly number[]): Tensor => ({
    ...{ id, name: `t${id}`, dtype: id === 0 ? dtype : 'bf16', shape },
  });
  const [x, w, out] = [tensor(0, rows, depth), tensor(1, columns, depth), tensor(2, rows, columns)];
  const body = apply('mul', load(x, [0, 2].map(iterator)), load(w, [1, 2].map(iterator)));
  const reduce = { combiner: 'sum', extents: [depth], finish: undefined } as const;
  const node: ComputeNode = { kind: 'compute', result: out, body, reduce, grouped: undefined };
  return {
    name: 'product',
    inputs: [x, w].map((each) => ({ path: each.name, tensor: each })),
    nodes: [node],
    outputs: [{ path: 'out', tensor: out.id }],
  };
}

function productOf(rows: number, columns: number, depth: number): ContractionProblem {
  const { problem } = scheduleGraph(graphOf(rows, columns, depth), device).chosen[0]!;
  return problem.kind === 'contraction' ? problem : expect.unreachable();
}

function costOf(problem: ContractionProblem, text: string): number {
  const choice = parseChoice(`units ${text}`) as Choice;
  return unitsCost(problem, choice as ChoiceOf<'units'>, device.units!);
}

test('choices for a large product, by what an H200 took', () => {
  const problem = productOf(8192, 8192, 8192);
  const [best, fewer, single, warps] = [
    'warpRows=8 warpColumns=1 rows=16 columns=256 depth=64 stages=4',
    'warpRows=8 warpColumns=1 rows=16 columns=256 depth=64 stages=2',
    'warpRows=4 warpColumns=1 rows=16 columns=128 depth=64 stages=4',
    'warpRows=2 warpColumns=4 rows=64 columns=64 depth=32 stages=4',
  ].map((text) => costOf(problem, text)) as [number, number, number, number];
  expect(best).toBeLessThan(fewer);
  expect(best).toBeLessThan(single);
  expect(single).toBeLessThan(warps);
  // 1610 µs were measured.
  expect(best).toBeGreaterThan(1.4e-3);
  expect(best).toBeLessThan(1.9e-3);
});

test('of few rows more must be on its way', () => {
  const problem = productOf(16, 8192, 8192);
  const [deep, shallow] = [4, 2].map((stages) =>
    costOf(problem, `warpRows=1 warpColumns=4 rows=16 columns=16 depth=64 stages=${stages}`),
  ) as [number, number];
  // 43 µs were measured.
  expect(deep).toBeGreaterThan(3.3e-5);
  expect(deep).toBeLessThan(6e-5);
  expect(shallow).toBeGreaterThan(1.5 * deep);
});

test('problems are others where factors may be rounded that are not of 16 bits', () => {
  const keyOf = (dtype: Dtype, allowed: readonly Allowance[]) => {
    const graph = graphOf(64, 64, 64, dtype);
    const { chosen } = scheduleGraph(graph, { ...device, units: { ...device.units!, allowed } });
    const tensors = allTensors(graph);
    return problemKey(chosen[0]!.problem, (id) => tensors.get(id)!);
  };
  expect(keyOf('f32', ['rounded-factors'])).not.toBe(keyOf('f32', []));
  expect(keyOf('bf16', ['rounded-factors'])).toBe(keyOf('bf16', []));
});
