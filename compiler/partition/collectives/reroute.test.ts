/** What collectives say of where states live is still said when they are gone. */
import { expect, test } from 'vitest';
import type { CollectiveNode, Graph, LoopNode, Node, Tensor, TensorId } from '../../graph/graph.ts';
import { apply, iterator, load } from '../../graph/scalar.ts';
import { allNodes } from '../../graph/uses.ts';
import { place } from '../place.ts';
import { meshOf, placed } from '../testing.ts';
import { exactOptions } from './options.ts';
import { optimizePlaced } from './passes.ts';

const row = (id: TensorId, name: string): Tensor => ({ id, name, dtype: 'f32', shape: [4] });
const [start, state, whole, parted, next, final] = ['start', 'state', 'whole', 'parted', 'next', 'final'].map(
  (name, id) => row(id, name),
) as [Tensor, Tensor, Tensor, Tensor, Tensor, Tensor];

function moved(source: Tensor, result: Tensor, change: CollectiveNode['change']): CollectiveNode {
  return { kind: 'collective', source: source.id, result, change };
}

/** The state is whole at first, and cut because what the body makes of it is. */
const body: Graph = {
  name: 'body',
  inputs: [{ path: 'state', tensor: state }],
  nodes: [
    moved(state, whole, { kind: 'reshard', first: 0, to: placed(['']) }),
    moved(whole, parted, { kind: 'reduce_scatter', axes: ['a'], dim: 0 }),
    {
      kind: 'compute',
      result: next,
      body: apply('abs', load(parted, [iterator(0)])),
      reduce: undefined,
      grouped: undefined,
    },
  ],
  outputs: [{ path: 'state', tensor: next.id }],
};
const loop: LoopNode = { kind: 'loop', loop: 0, count: 3, initial: [start.id], body, results: [final] };
const program: Graph = {
  name: 'held',
  inputs: [{ path: 'start', tensor: start }],
  nodes: [loop],
  outputs: [{ path: 'final', tensor: final.id }],
};

function kindsOf(nodes: readonly Node[]): readonly string[] {
  return nodes.flatMap((node) => (node.kind === 'collective' ? [node.change.kind] : []));
}

test('a state that a collective of the body alone cuts stays cut without it', () => {
  const result = place(program, {
    mesh: meshOf({ a: 2 }),
    inputs: new Map([['start', placed([''])]]),
    outputs: new Map(),
  });
  if (result.kind === 'misplaced') throw new Error(result.faults[0]?.message);
  expect(result.placed.placements.get(state.id)).toEqual(placed(['a']));
  const rejected: string[] = [];
  const after = optimizePlaced(result.placed, { ...exactOptions, reassociates: true }, (...why) =>
    rejected.push(why.join(': ')),
  );
  expect(rejected).toEqual([]);
  expect(kindsOf(allNodes(after.graph))).toEqual(['declare']);
  const loops = after.graph.nodes.filter((node) => node.kind === 'loop');
  expect(loops.map(({ body: inner }) => kindsOf(inner.nodes))).toEqual([[]]);
});
