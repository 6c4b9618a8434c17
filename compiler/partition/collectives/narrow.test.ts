/** What is rounded before it moves is what would have been rounded after. */
import { expect, test } from 'vitest';
import type { CollectiveNode, ComputeNode, Graph, Scalar, Tensor } from '../../graph/graph.ts';
import { constant, iterator, load, round } from '../../graph/scalar.ts';
import { allNodes } from '../../graph/uses.ts';
import { type PlacedGraph, place } from '../place.ts';
import { meshOf, placed } from '../testing.ts';
import { meansTheSame } from './meaning.ts';
import { exactOptions } from './options.ts';
import { optimizePlaced } from './passes.ts';

const x: Tensor = { id: 0, name: 'x', dtype: 'f32', shape: [4] };
const whole: Tensor = { id: 1, name: 'whole', dtype: 'f32', shape: [4] };
const last: Tensor = { id: 2, name: 'last', dtype: 'f16', shape: [3] };

const gather: CollectiveNode = {
  kind: 'collective',
  source: x.id,
  result: whole,
  change: { kind: 'all_gather', axes: ['a'] },
};

/** Elements of the gathered tensor, stored in f16. */
function storing(body: Scalar): Graph {
  const map: ComputeNode = { kind: 'compute', result: last, body, reduce: undefined, grouped: undefined };
  const inputs = [{ path: 'x', tensor: x }];
  const outputs = [{ path: 'out', tensor: last.id }];
  return { name: 'f', inputs, nodes: [gather, map], outputs };
}

function cut(graph: Graph): PlacedGraph {
  const inputs = new Map([['x', placed(['a'])]]);
  const result = place(graph, { mesh: meshOf({ a: 2 }), inputs, outputs: new Map() });
  if (result.kind === 'misplaced') throw new Error(result.faults[0]?.message);
  return result.placed;
}

const first = load(whole, [constant('i32', 0)]);
const same = load(whole, [iterator(0)]);

test.each([
  ['the first, stored', first],
  ['the first, rounded and stored', round('f16', first)],
  ['the first, rounded twice and stored', round('f16', round('f16', first))],
  ['those before the last, stored', same],
  ['those before the last, rounded and stored', round('f16', same)],
])('%s: what is gathered is rounded', (_, body) => {
  const rejected: string[] = [];
  const after = optimizePlaced(cut(storing(body)), exactOptions, (...why) => rejected.push(why.join(': ')));
  expect(rejected).toEqual([]);
  const moved = allNodes(after.graph).flatMap((node) =>
    node.kind === 'collective' ? [node.result.dtype] : [],
  );
  expect(moved).toEqual(['f16']);
});

test('rounding to the type of what is stored says no more than storing does, and to another does', () => {
  expect(meansTheSame(storing(first), storing(round('f16', first)))).toBe(true);
  expect(meansTheSame(storing(first), storing(round('f16', round('f16', first))))).toBe(true);
  expect(meansTheSame(storing(first), storing(round('bf16', first)))).toBe(false);
  expect(meansTheSame(storing(round('f16', first)), storing(round('bf16', first)))).toBe(false);
  expect(meansTheSame(storing(round('f16', first)), storing(round('f16', round('bf16', first))))).toBe(false);
});
