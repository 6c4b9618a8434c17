/**
 * Programs raised from their index graphs are well-typed, and mean what they meant: the same bits on one device, and
 * on a mesh the same placements and the same bytes sent.
 */
import { describe, expect, test } from 'vitest';
import type { TensorValue } from '../compiler/graph/algebra.ts';
import { graphCost } from '../compiler/graph/cost.ts';
import { float64 } from '../compiler/graph/float64.ts';
import type { Graph } from '../compiler/graph/graph.ts';
import { allNodes } from '../compiler/graph/uses.ts';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { lowerEntry } from '../compiler/lower/lower-entry.ts';
import { checkText } from '../compiler/lower/testing.ts';
import { evaluateOnMesh } from '../compiler/partition/evaluate-mesh.ts';
import { localize } from '../compiler/partition/localize.ts';
import { type PlacedGraph, place } from '../compiler/partition/place.ts';
import { type Raised, raiseGraph } from '../compiler/raise/raise-graph.ts';
import { difference, lowerRaised, roundsUntilSettled } from '../compiler/raise/testing.ts';
import { randomInput } from '../driver/random-inputs.ts';
import type { Mesh, Placement } from '../dsl/placement/placement.ts';
import { evaluateSize } from '../dsl/types/size.ts';
import type { TypedProgram } from '../dsl/types/typed.ts';
import { tensorValues } from '../runtime/weights/tensor-data.ts';
import { hasInputs, instancesOf } from './instances.ts';
import { checkSmallProgram, exportedEntries, programFiles } from './small-programs.ts';

type Sizes = ReadonlyMap<string, number>;
type Values = ReadonlyMap<string, TensorValue<number>>;

function lowered(program: TypedProgram, entry: string, sizes: Sizes): Graph {
  const result = lowerEntry(program, entry, { sizes, inputDtypes: new Map() });
  if ('graph' in result) return result.graph;
  throw new Error(result.diagnostics.map(({ message }) => message).join('; '));
}

/** By path: what inputs of type `ix(n)` are below. */
function rangesOf(program: TypedProgram, entry: string, sizes: Sizes): ReadonlyMap<string, number> {
  const found = describeEntry(program, entry).inputs.flatMap(({ path, element }) =>
    element.kind === 'ix' ? [[path, evaluateSize(element.range, sizes)!] as const] : [],
  );
  return new Map(found);
}

function inputsOf(program: TypedProgram, entry: string, sizes: Sizes): Values {
  const found = describeEntry(program, entry).inputs.map((each) => {
    const data = randomInput(each, sizes, 11);
    return [each.path, { dtype: data.dtype, shape: data.shape, data: tensorValues(data) }] as const;
  });
  return new Map(found);
}

/** Evaluated in a moment: it is done several times. */
function isQuick(graph: Graph): boolean {
  return graphCost(graph).flops < 2e5;
}

// ── one device ─────────────────────────────────────────────────────────────────────────────────────────────

function expectSameProgram(program: TypedProgram, entry: string, sizes: Sizes): void {
  const graph = lowered(program, entry, sizes);
  const below = rangesOf(program, entry, sizes);
  const raised = raiseGraph(graph, { below });
  const again = lowerRaised(raised);
  const at = JSON.stringify([...sizes]);
  expect(difference(graph, inputsOf(program, entry, sizes), raised, again), at).toBeUndefined();
  const named = new Map([...below].map(([path, range]) => [raised.inputs.get(path)!, range]));
  expect(roundsUntilSettled(raised, { below: named }), at).toBeDefined();
}

describe.each(programFiles)('%s', (file) => {
  const { program } = checkSmallProgram(file);
  const all = exportedEntries({ kind: 'checked', program, sources: new Map() });
  test.each(all.map((entry, place) => ({ entry, place })))('$entry', ({ entry, place }) => {
    const quick = instancesOf(program, entry).filter((sizes) => isQuick(lowered(program, entry, sizes)));
    const sizes = quick[place % Math.min(2, quick.length)];
    expect(sizes).toBeDefined();
    expectSameProgram(program, entry, sizes!);
  });
});

describe('models of the standard library', () => {
  const parameters = 'tokens: ix(V)[S], theta: f32, epsilon: f32';
  const sizes = { S: 4, V: 9, D: 6, F: 5, G: 2, R: 2, P: 2, L: 2 };
  test('llama', () => {
    const program = checkText(`import llama
      export fn f(${parameters}, weights: llama.Model(V, D, F, G, R, P, L)) -> f32[S, V] =
        llama.model(tokens, weights, theta, epsilon)`);
    expectSameProgram(program, 'f', new Map(Object.entries(sizes)));
  });
  test('mixtral', () => {
    const program = checkText(`import mixtral
      export fn f(${parameters}, weights: mixtral.Model(V, D, F, 3, G, R, P, L)) -> f32[S, V] =
        mixtral.model[2](tokens, weights, theta, epsilon)`);
    expectSameProgram(program, 'f', new Map(Object.entries(sizes)));
  });
});

// ── a mesh ─────────────────────────────────────────────────────────────────────────────────────────────────

/** Sizes that are all different, since collectives name dimensions by their sizes. */
const pools: readonly (readonly number[])[] = [
  [12, 6, 24],
  [12, 6, 1, 2],
];
const meshSizes: readonly (readonly number[])[] = [
  [2, 1, 2, 1],
  [2, 3, 1, 2],
  [6, 2, 3, 1],
  [1, 2, 2, 3],
];

function sizesOn(program: TypedProgram, entry: string, { axes }: Mesh): readonly Sizes[] {
  const names = program.entries.get(entry)!.sizes.filter((name) => !program.axes.includes(name));
  return pools.flatMap((pool) => {
    const own = names.map((name, at) => [name, pool[at % pool.length]!] as const);
    const given = new Map([...own, ...axes.map(({ name, size }) => [name, size] as const)]);
    const solved = solveEntrySizes(program, entry, new Map(), given);
    return solved.kind === 'sizes' && hasInputs(program, entry, solved.sizes) ? [solved.sizes] : [];
  });
}

/** undefined where the entry does not run on the mesh, or has a view of single devices, which has no form. */
function placedOn(program: TypedProgram, entry: string, sizes: Sizes, mesh: Mesh): PlacedGraph | undefined {
  const result = lowerEntry(program, entry, { sizes, inputDtypes: new Map() });
  if (!('graph' in result)) return undefined;
  const { graph } = result;
  const isLocal = allNodes(graph).some(({ kind }) => kind === 'block' || kind === 'exchange');
  if (isLocal || !isQuick(graph)) return undefined;
  const placed = place(graph, { mesh, ...entryPlacements(program, entry) });
  return placed.kind === 'placed' ? placed.placed : undefined;
}

function raisePlaced({ graph, ...placed }: PlacedGraph, below: ReadonlyMap<string, number>): Raised {
  return raiseGraph(graph, { below, placed });
}

/** The raised program on the mesh, placed by what it declares. Throws where that is not so. */
function placeRaised({ text, entry }: Pick<Raised, 'text' | 'entry'>, mesh: Mesh): PlacedGraph {
  const program = checkText(text);
  const sizes = new Map(mesh.axes.map(({ name, size }) => [name, size]));
  const placed = place(lowered(program, entry, sizes), { mesh, ...entryPlacements(program, entry) });
  if (placed.kind === 'placed') return placed.placed;
  throw new Error(placed.faults.map(({ message }) => message).join('; '));
}

function bytesSent(placed: PlacedGraph, inputs: Values): number {
  const { sent } = evaluateOnMesh(localize(placed), inputs, float64);
  return [...sent.values()].reduce((sum, bytes) => sum + bytes, 0);
}

function renamed<V>(
  values: ReadonlyMap<string, V>,
  names: ReadonlyMap<string, string>,
): ReadonlyMap<string, V> {
  return new Map([...values].map(([path, value]) => [names.get(path)!, value]));
}

function inputPlacements({ graph, placements }: PlacedGraph): ReadonlyMap<string, Placement> {
  return new Map(graph.inputs.map(({ path, tensor }) => [path, placements.get(tensor.id)!]));
}

function expectSameOnMesh(program: TypedProgram, entry: string, sizes: Sizes, mesh: Mesh): boolean {
  const placed = placedOn(program, entry, sizes, mesh);
  if (placed === undefined) return false;
  const at = JSON.stringify([...sizes]);
  const raised = raisePlaced(placed, rangesOf(program, entry, sizes));
  const again = placeRaised(raised, mesh);
  expect(inputPlacements(again), at).toEqual(renamed(inputPlacements(placed), raised.inputs));
  expect(again.outputs, at).toEqual(renamed(placed.outputs, raised.outputs));
  const inputs = inputsOf(program, entry, sizes);
  expect(bytesSent(again, renamed(inputs, raised.inputs)), at).toBe(bytesSent(placed, inputs));
  return true;
}

/** What has a view of single devices on every mesh, and what is left to the partitioner. */
const notWritten: ReadonlySet<string> = new Set([
  'in_a_ring', 'shifted', 'left_to_the_compiler', 'around', 'two_ways_around', 'batched', 'zigzag', 'striped',
]); // biome-ignore format: one topic a line

describe.each(['placed.ricci', 'sharded.ricci', 'sequence.ricci'])('%s on meshes', (file) => {
  const checked = checkSmallProgram(file);
  const { program } = checked;
  const entries = exportedEntries(checked).filter((entry) => !notWritten.has(entry));
  test.each(entries.map((entry, place) => ({ entry, place })))('$entry', ({ entry, place }) => {
    // Two of them for each entry.
    const ran = meshSizes.slice(0, 3).flatMap((counts, at) => {
      if (at === 1 + (place % 2)) return [];
      const mesh = { axes: program.axes.map((name, at) => ({ name, size: counts[at] ?? 1 })) };
      return sizesOn(program, entry, mesh).filter((sizes) => expectSameOnMesh(program, entry, sizes, mesh));
    });
    expect(ran.length).toBeGreaterThan(0);
  });
});

test('a collective whose dimension its size does not name becomes a planned resharding, which sends no more', () => {
  const { program } = checkSmallProgram('placed.ricci');
  const mesh = { axes: [{ name: 'tp', size: 3 }] };
  const sizes = new Map([['T', 12], ['D', 6], ['F', 12], ['tp', 3]]); // biome-ignore format: one thing
  const placed = placedOn(program, 'scattered', sizes, mesh)!;
  const raised = raisePlaced(placed, new Map());
  expect(raised.text).toContain('as [12@tp, 12]');
  const again = placeRaised(raised, mesh);
  const inputs = inputsOf(program, 'scattered', sizes);
  expect(bytesSent(again, inputs)).toBeLessThanOrEqual(bytesSent(placed, inputs));
});

describe('mutants are noticed', () => {
  const { program } = checkSmallProgram('sharded.ricci');
  const mesh = { axes: [{ name: 'dp', size: 2 }, { name: 'tp', size: 3 }] }; // biome-ignore format: one thing
  const sizes = new Map([['T', 12], ['D', 6], ['F', 24], ['dp', 2], ['tp', 3]]); // biome-ignore format: one thing
  const placed = placedOn(program, 'two_ways', sizes, mesh)!;
  const raised = raisePlaced(placed, new Map());
  const inputs = inputsOf(program, 'two_ways', sizes);
  const graph = lowered(program, 'two_ways', new Map([...sizes].filter(([name]) => /^[A-Z]/.test(name))));

  function mutant(from: string, to: string): Raised {
    const text = raised.text.replace(from, () => to);
    expect(text).not.toBe(raised.text);
    return { ...raised, text };
  }

  test('the program itself is not', () => {
    expect(difference(graph, inputs, raised, lowerRaised(raised))).toBeUndefined();
  });
  test.each([
    ['columns in another order', 'x[i, r]', 'x[i, 5 - r]'],
    ['another operation', 'max(sum_1[i, j], 0.0)', 'min(sum_1[i, j], 0.0)'],
    ['a rounding too many', 'let sum_1: f32', 'let sum_1: bf16'],
  ])('%s', (_, from, to) => {
    const wrong = mutant(from, to);
    expect(difference(graph, inputs, wrong, lowerRaised(wrong))).toBeDefined();
  });
  test.each([
    [
      'a hidden dimension that is said to be whole where it is asked for',
      'w2: f32[24@tp, 6]',
      'w2: f32[24, 6@tp]',
    ],
    ['a tensor that is said to be cut otherwise', '[12@dp, 24@tp]', '[12@tp, 24@dp]'],
    ['a sum that is said to be made', '[12@dp, 6]{+tp}', '[12@dp, 6@tp]'],
    ['a sum that is not made', 'all_reduce(sum_2, tp)', 'sum_2'],
    ['a result elsewhere', '-> f32[12@dp, 6]', '-> f32[12, 6]'],
  ])('%s', (_, from, to) => {
    expect(() => checkText(mutant(from, to).text)).toThrow(/E05\d\d/);
  });

  test('a mesh of which is not stated what it divides', () => {
    const { program: sequences } = checkSmallProgram('sequence.ricci');
    const ring = { axes: [{ name: 'sp', size: 3 }] };
    const own = new Map([['S', 12], ['G', 3], ['R', 2], ['A', 4], ['sp', 3]]); // biome-ignore format: one thing
    const { text } = raisePlaced(placedOn(sequences, 'by_heads', own, ring)!, new Map());
    const silent = text.replace(/ where [^{]*/, ' ');
    expect(silent).not.toBe(text);
    expect(() => checkText(silent)).toThrow('E0511');
  });
});
