import fc from 'fast-check';
import { expect, test } from 'vitest';
import { devicesAlong, type Wish } from '../../../dsl/placement/placement.ts';
import { type Choose, choicesOf, pick } from '../../graph/choice-tape.ts';
import { float64 } from '../../graph/float64.ts';
import type { Tensor } from '../../graph/graph.ts';
import { type RandomProgram, randomPrograms } from '../../graph/random-graph.ts';
import { allNodes } from '../../graph/uses.ts';
import { withoutCollectives } from '../../optimize/collectives.ts';
import { resized } from '../evaluate-mesh.ts';
import { localize } from '../localize.ts';
import { randomPlacement, scatter } from '../random-partition.ts';
import { fault, type Layout, layouts, type Partitioned, shown } from '../random-programs.ts';
import { autoPlace } from './auto-place.ts';
import { type CostModel, defaultCostModel } from './cost-model.ts';

/** Most of them come apart in several ways. */
const even = [4, 2, 6, 12, 3, 4, 1, 2, 0];
const uneven = [5, 7, 3, 4, 1, 6, 2, 0];

/** From links that cost nothing to such as nothing is worth. */
function randomCosts(choose: Choose): CostModel {
  return {
    ...defaultCostModel,
    flopsPerSecond: pick(choose, [1, 1e3, 1e6, 1e14]),
    link: { bytesPerSecond: pick(choose, [1e3, 1e6, 1e12]), latencySeconds: pick(choose, [0, 0, 1e-6]) },
  };
}

/** Some inputs and outputs are declared somewhere, others partly, and most not at all. */
function partition(program: RandomProgram, { mesh, seed }: Layout): Partitioned {
  const chooseFor = choicesOf(seed);
  const graph = withoutCollectives(program.graph);
  const wish = (path: string, tensor: Tensor): Wish | undefined => {
    const choose = chooseFor(path);
    if (choose(3) > 0) return undefined;
    const { dims } = randomPlacement(tensor, mesh, choose, () => false);
    return { dims: dims.map((list) => (choose(2) === 0 ? 'any' : list)), pending: new Map() };
  };
  const wishes = (tensors: readonly (readonly [string, Tensor])[]): ReadonlyMap<string, Wish> =>
    new Map(
      tensors.flatMap(([path, tensor]) => {
        const found = wish(path, tensor);
        return found === undefined ? [] : [[path, found] as const];
      }),
    );
  const inputs = wishes(graph.inputs.map(({ path, tensor }) => [path, tensor]));
  const costs = randomCosts(chooseFor('costs'));
  const found = autoPlace(graph, { mesh, inputs, outputs: new Map(), costs });
  if (found.kind !== 'placed') throw new Error(found.kind);
  const { placed } = found;
  const device = { ...localize(placed), whole: found.whole };
  const isActive = (axis: string): boolean => devicesAlong(mesh, [axis]) > 1;
  for (const [path, { dims }] of inputs)
    for (const [dim, list] of dims.entries())
      if (list !== 'any') expect(device.inputs.get(path)!.dims[dim]).toEqual(list.filter(isActive));
  const blocks = placed.graph.inputs.map(({ path, tensor }, position) => {
    const whole = resized(program.inputs.get(tensor.id)!, tensor.shape, float64);
    return [path, scatter(whole, device.inputs.get(path)!, mesh, position)] as const;
  });
  return { program, placed, device, blocks: new Map(blocks) };
}

test.each([
  ['sizes that divide', even],
  ['sizes that do not', uneven],
])('what the partitioner makes is legal, and computes what the whole program does: %s', (_, sizes) => {
  let told = 0;
  let padded = 0;
  const seen = new Map<string, number>();
  fc.assert(
    fc.property(randomPrograms(sizes), layouts, (program, layout) => {
      const partitioned = partition(program, layout);
      const found = fault(partitioned);
      if (found === 'not exact') return;
      told++;
      if (partitioned.device.whole!.inputs.size > 0) padded++;
      for (const node of allNodes(partitioned.device.graph))
        if (node.kind === 'exchange') seen.set(node.verb, (seen.get(node.verb) ?? 0) + 1);
      expect(found, shown(partitioned)).toBe(undefined);
    }),
    { numRuns: 80, endOnFailure: true },
  );
  expect(told).toBeGreaterThan(30);
  if (sizes === uneven) expect(padded).toBeGreaterThan(5);
  for (const verb of ['all_gather', 'all_reduce', 'reduce_scatter', 'all_to_all'])
    expect(seen.get(verb) ?? 0, verb).toBeGreaterThan(0);
});
