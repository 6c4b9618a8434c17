/** What is said of programs with placements as source. */
import { expect, test } from 'vitest';
import type { Graph, Node, Scalar, Tensor } from '../../compiler/graph/graph.ts';
import { apply, integer, iterator, load } from '../../compiler/graph/scalar.ts';
import { place } from '../../compiler/partition/place.ts';
import { dividing } from '../../compiler/partition/random-partition.ts';
import { meshOf, placed } from '../../compiler/partition/testing.ts';
import { wholePlacement } from '../../dsl/placement/placement.ts';
import { raisedPlacementFault } from './through-source.ts';

const names = ['x', 'start', 'state', 'next', 'final'] as const;
const [x, start, state, next, final] = names.map(
  (name, id): Tensor => ({ id, name, dtype: 'f32', shape: [2] }),
) as [Tensor, Tensor, Tensor, Tensor, Tensor];

/** A fold from the whole of a cut tensor, whose step reads it at a place. */
function foldOf(place: Scalar): Graph {
  const step: Node = {
    kind: 'compute',
    result: next,
    body: load(x, [place]),
    reduce: undefined,
    grouped: undefined,
  };
  const nodes: readonly Node[] = [
    {
      kind: 'collective',
      source: x.id,
      result: start,
      change: { kind: 'reshard', first: 0, to: wholePlacement(1) },
    },
    {
      kind: 'loop',
      loop: 0,
      count: 3,
      initial: [start.id],
      body: {
        name: 'step',
        inputs: [{ path: 'state', tensor: state }],
        nodes: [step],
        outputs: [{ path: 'next', tensor: next.id }],
      },
      results: [final],
    },
  ];
  const outputs = [{ path: 'out', tensor: final.id }];
  return { name: 'f', inputs: [{ path: 'x', tensor: x }], nodes, outputs };
}

const options = { mesh: meshOf({ a: 2 }), inputs: new Map([['x', placed(['a'])]]), outputs: new Map() };

function placementsOf(written: Graph) {
  const found = place(written, options);
  if (found.kind === 'misplaced') throw new Error(found.faults[0]?.message);
  return found.placed.placements;
}

const lookedUp = foldOf(apply('sub', iterator(0), integer(0)));

test('where the rule looks up what the source reads in place, the state lives otherwise in both', () => {
  const placements = placementsOf(lookedUp);
  expect(placements.get(next.id)).toEqual(placed([''], { a: 'sum' }));
  const fault = raisedPlacementFault(
    { graph: lookedUp },
    { written: lookedUp, options, rule: dividing },
    placements,
  );
  expect(fault).toBeUndefined();
});

test('a program that says the same in its simplest form is judged by where it says that things live', () => {
  const plain = foldOf(iterator(0));
  const fault = (placements: ReturnType<typeof placementsOf>) =>
    raisedPlacementFault({ graph: plain }, { written: plain, options, rule: dividing }, placements);
  expect(fault(placementsOf(plain))).toBeUndefined();
  const wrong = placementsOf(lookedUp);
  expect(fault(wrong)).toMatch(/^E0513/);
});
