/** What is raised is well-typed, and computes the same bits as the graph that it was raised from. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { readTape } from '../graph/choice-tape.ts';
import type { Arithmetic, Graph, Tensor } from '../graph/graph.ts';
import { type RandomProgram, randomLoweredPrograms } from '../graph/random-graph.ts';
import { apply, constant, iterator, load } from '../graph/scalar.ts';
import { entryPlacements } from '../lower/entry-placements.ts';
import { type PlacedGraph, place } from '../partition/place.ts';
import { placeWithCollectives, randomMesh, randomPlacement } from '../partition/random-partition.ts';
import { hasIdleCollective } from '../partition/random-programs.ts';
import { raiseGraph } from './raise-graph.ts';
import {
  checkRaised,
  difference,
  differenceOfRaised,
  lowerRaised,
  roundsUntilSettled,
  type Values,
} from './testing.ts';

const programs = randomLoweredPrograms().filter(({ graph }) => graph.outputs.length > 0);

function inputsOf({ graph, inputs }: RandomProgram): Values {
  return new Map(graph.inputs.map(({ path, tensor }) => [path, inputs.get(tensor.id)!]));
}

describe('random graphs', () => {
  test('check, and compute the same bits', () => {
    fc.assert(
      fc.property(programs, (program) => {
        expect(differenceOfRaised(program.graph, inputsOf(program))).toBeUndefined();
      }),
      { numRuns: 40 },
    );
  });

  test('are raised to the same text again, once lowering has simplified what it can', () => {
    fc.assert(
      fc.property(programs, ({ graph }) => {
        expect(roundsUntilSettled(raiseGraph(graph))).toBeDefined();
      }),
      { numRuns: 40 },
    );
  });
});

describe('random placed graphs', () => {
  const tapes = fc.array(fc.nat(2 ** 16), { minLength: 300, maxLength: 300 });
  /** Most of them can be cut in several ways. */
  const sizes = [12, 6, 24, 2, 4];

  /** undefined: there is no legal way that was found. */
  function randomlyPlaced({ graph }: RandomProgram, tape: readonly number[]): PlacedGraph | undefined {
    const choose = readTape(tape);
    const mesh = randomMesh(choose);
    const inputs = graph.inputs.map(
      ({ path, tensor }) => [path, randomPlacement(tensor, mesh, choose)] as const,
    );
    return placeWithCollectives(graph, mesh, new Map(inputs), () => choose)?.placed;
  }

  /** Whether the checker can follow; what it accepts must then live, on the same mesh, where it did. */
  function isAccepted(placed: PlacedGraph): boolean {
    const { graph, mesh, placements } = placed;
    const raised = raiseGraph(graph, { placed });
    const { program, errors } = checkRaised(raised);
    if (errors.length > 0) {
      // Reads of which the placer proves, or looks up, what the checker does not follow.
      const stricter = ['E0507', 'E0509', 'E0512'];
      // What has nothing to do the placer lets be.
      if (hasIdleCollective(graph, placements, mesh)) stricter.push('E0510');
      expect(errors.filter((code) => !stricter.includes(code))).toEqual([]);
      return false;
    }
    const counts = new Map(mesh.axes.map(({ name, size }) => [name, size]));
    const again = place(lowerRaised(raised, counts), { mesh, ...entryPlacements(program, raised.entry) });
    if (again.kind === 'misplaced') throw new Error(again.faults.map(({ message }) => message).join('; '));
    for (const { path, tensor } of graph.inputs) {
      const name = raised.inputs.get(path)!;
      const found = again.placed.graph.inputs.find((input) => input.path === name)!;
      expect(again.placed.placements.get(found.tensor.id)).toEqual(placements.get(tensor.id));
    }
    for (const { path, tensor } of graph.outputs)
      expect(again.placed.outputs.get(raised.outputs.get(path)!)).toEqual(placements.get(tensor));
    return true;
  }

  test('check, and live where they did', () => {
    let accepted = 0;
    let found = 0;
    const smallPrograms = randomLoweredPrograms(sizes).filter(({ graph }) => graph.outputs.length > 0);
    fc.assert(
      fc.property(smallPrograms, tapes, (program, tape) => {
        const placed = randomlyPlaced(program, tape);
        if (placed === undefined) return;
        found++;
        if (isAccepted(placed)) accepted++;
      }),
      { numRuns: 100, endOnFailure: true },
    );
    // The placer proves of a few reads that they are a device's own which the checker takes for look-ups.
    expect(accepted / found).toBeGreaterThan(0.95);
  });
});

test('a loop of which all states are left out is written with one that is nothing', () => {
  const [x, doubled, rows] = [
    { id: 0, name: 'x', dtype: 'f32', shape: [2] },
    { id: 1, name: 'y', dtype: 'f32', shape: [2] },
    { id: 2, name: 'rows', dtype: 'f32', shape: [3, 2] },
  ] as const satisfies readonly Tensor[];
  const element = load(x, [iterator(0)]);
  const body: Graph = {
    name: 'body',
    inputs: [],
    nodes: [
      {
        kind: 'compute',
        result: doubled,
        body: apply('add', element, element),
        reduce: undefined,
        grouped: undefined,
      },
    ],
    outputs: [{ path: 'y', tensor: doubled.id }],
  };
  const graph: Graph = {
    name: 'f',
    inputs: [{ path: 'x', tensor: x }],
    nodes: [{ kind: 'loop', loop: 0, count: 3, initial: [], body, results: [rows] }],
    outputs: [{ path: 'out', tensor: rows.id }],
  };
  const given = new Map([['x', { dtype: 'f32', shape: [2], data: Float64Array.of(1, 2) } as const]]);
  expect(differenceOfRaised(graph, given)).toBeUndefined();
});

describe('constants', () => {
  function graphOf(value: number, dtype: Arithmetic): Graph {
    const result: Tensor = { id: 0, name: 'c', dtype, shape: [] };
    const body = constant(dtype, value);
    const node = { kind: 'compute', result, body, reduce: undefined, grouped: undefined } as const;
    return { name: 'f', inputs: [], nodes: [node], outputs: [{ path: 'out', tensor: 0 }] };
  }
  const floats = fc.float().map(Math.fround);
  const special = [
    Number.NaN,
    -0,
    Number.POSITIVE_INFINITY,
    Number.NEGATIVE_INFINITY,
    2 ** -149,
    -(2 ** -126),
  ];
  const values: { readonly [A in Arithmetic]: fc.Arbitrary<number> } = {
    f32: fc.oneof(floats, fc.constantFrom(...special)),
    i32: fc.oneof(fc.integer(), fc.constantFrom(-(2 ** 31), 2 ** 31 - 1)),
    u32: fc.oneof(fc.nat(), fc.constantFrom(2 ** 32 - 1)),
    bool: fc.constantFrom(0, 1),
  };
  test.each(['f32', 'i32', 'u32', 'bool'] as const)('of type %s are the very numbers', (dtype) => {
    fc.assert(
      fc.property(values[dtype], (value) => {
        expect(differenceOfRaised(graphOf(value, dtype), new Map())).toBeUndefined();
      }),
    );
  });
  test('of one digit less are noticed', () => {
    const raised = raiseGraph(graphOf(Math.fround(0.3), 'f32'));
    const wrong = { ...raised, text: raised.text.replace('0.3', '0.30000003') };
    const again = lowerRaised(wrong);
    expect(difference(graphOf(Math.fround(0.3), 'f32'), new Map(), wrong, again)).toBeDefined();
  });
});
