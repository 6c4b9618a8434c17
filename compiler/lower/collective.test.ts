import { describe, expect, test } from 'vitest';
import type { Graph } from '../graph/graph.ts';
import { printChange } from '../graph/print.ts';
import { allNodes, allTensors } from '../graph/uses.ts';
import { optimize } from '../optimize/passes.ts';
import { expectClose, lowerText, runText, testNumbers } from './testing.ts';

/** Each collective with the shape of what it moves. */
function collectives(graph: Graph): readonly string[] {
  const tensors = allTensors(graph);
  return allNodes(graph).flatMap((node) =>
    node.kind === 'collective'
      ? [`${printChange(node.change)}: ${tensors.get(node.source)!.shape.join(' ')}`]
      : [],
  );
}

const sizes = { x: testNumbers([4, 6, 2]) };

describe('collectives are kept as nodes', () => {
  test.each([
    ['all_gather(x, sp)', ['all_gather @sp: 4 6 2']],
    ['all_to_all(x, sp, S -> 3)', ['all_to_all @sp from dim 0 to dim 1: 4 6 2']],
    ['reduce_scatter(x, (node, sp), A)', ['reduce_scatter @(node, sp) to dim 2: 4 6 2']],
    ['x as [S, 3 * G, A@sp]{+node}', ['reshard to [whole, whole, @sp]{+node}: 4 6 2']],
    // Of each row: of all rows together, the dimensions one further.
    ['for s: reduce_scatter(x[s], sp, A)', ['reduce_scatter @sp to dim 2: 4 6 2']],
    ['for s: x[s] as [3 * G, A@sp]', ['reshard to [whole, @sp] from dim 1: 4 6 2']],
    // What is moved depends on one index only.
    ['for s, g, a: all_reduce(sum b < A: x[s, 0, b], sp)', ['all_reduce @sp: 4']],
    ['all_gather(all_gather(x, sp), node)', ['all_gather @sp: 4 6 2', 'all_gather @node: 4 6 2']],
  ])('%s', (body, wanted) => {
    const text = `mesh (node, sp)
export fn f(x: f32[S, 3 * G, A]) -> f32[S, 3 * G, A] where 1 <= G = ${body}`;
    const found = lowerText(text, 'f', sizes);
    expect(collectives(found)).toEqual(wanted);
  });
});

test('on one device they are taken out, and what they leave is a program like any other', () => {
  const text = (gather: string, scatter: string): string => `mesh (sp)
export fn f(x: f32[S, D]) -> (f32[S, D], f32[S, D], f32[S, D]) {
  let h[s, d] = x[s, d] * x[s, d]
  let g = ${gather.replace('#', 'h')}
  let y[s, d] = sum e: g[s, e] * x[s, d]
  (y, ${scatter.replace('#', 'y')}, ${gather.replace('#', 'x')})
}`;
  const inputs = { x: testNumbers([3, 4]) };
  const plain = optimize(lowerText(text('#', '#'), 'f', inputs));
  const marked = lowerText(text('all_gather(#, sp)', 'reduce_scatter(#, sp, S)'), 'f', inputs);
  expect(collectives(marked)).toHaveLength(3);
  const erased = optimize(marked);
  expect(collectives(erased)).toEqual([]);
  expect(erased.nodes.length).toBe(plain.nodes.length);
  expect(new Set(erased.outputs.map(({ tensor }) => tensor)).size).toBe(3);
});

test('a collective is the identity on values', () => {
  const inputs = { x: testNumbers([4, 4]) };
  const text = (result: string) => `mesh (sp)
export fn f(x: f32[S, D]) -> f32[S, D] = ${result}`;
  const found = runText(text('for s, d: all_gather(x, sp)[s, d] + all_reduce(x[s], sp)[d]'), 'f', inputs);
  const wanted = runText(text('for s, d: x[s, d] + x[s, d]'), 'f', inputs);
  expectClose(found.out, wanted.out!);
});

test('an axis is as large in a function as where it is called', () => {
  const text = `mesh (sp)
fn share(x: f32) -> f32 = x / sp
export fn f(x: f32[S]) -> f32[S] = for s: share(x[s])`;
  const inputs = { x: testNumbers([4]) };
  const found = runText(text, 'f', inputs, { sizes: { sp: 4 } });
  expectClose(found.out, { shape: [4], data: inputs.x.data.map((value) => value / 4) });
});
