/**
 * Programs that are placed by hand, but for calls of an `auto fn`: around the calls everything lives where the
 * rule says, and nothing moves that is not written.
 */
import { describe, expect, test } from 'vitest';
import { type Graph, type Node, results, type TensorId } from '../compiler/graph/graph.ts';
import { allNodes, readsOf } from '../compiler/graph/uses.ts';
import type { AutoRegion } from '../compiler/lower/auto-region.ts';
import { solveEntrySizes } from '../compiler/lower/entry.ts';
import { entryPlacements } from '../compiler/lower/entry-placements.ts';
import { lowerEntry } from '../compiler/lower/lower-entry.ts';
import { autoPlace } from '../compiler/partition/auto/auto-place.ts';
import { type CostModel, defaultCostModel } from '../compiler/partition/auto/cost-model.ts';
import type { PlacedGraph } from '../compiler/partition/place.ts';
import type { Checked } from '../driver/check.ts';
import { lower } from '../driver/lower.ts';
import { moduleLoader } from '../driver/module-loader.ts';
import { partition } from '../driver/partition.ts';
import { showGraph } from '../driver/show.ts';
import type { Mesh, Placement } from '../dsl/placement/placement.ts';
import { checkProgram } from '../dsl/types/check.ts';
import { checkSmallProgram, exportedEntries } from './small-programs.ts';

/** Devices so slow that even what is small is divided. */
const costs: CostModel = {
  ...defaultCostModel,
  flopsPerSecond: 1e3,
  bytesPerSecond: 1e4,
  link: { bytesPerSecond: 1e6, latencySeconds: 1e-7 },
};

const meshes: readonly Mesh[] = [
  [2, 1],
  [1, 3],
  [2, 2],
  [2, 3],
].map(([sp, tp]) => ({
  axes: [
    { name: 'sp', size: sp! },
    { name: 'tp', size: tp! },
  ],
}));

function lowered({ program }: Checked, entry: string, mesh: Mesh) {
  const names = program.entries.get(entry)!.sizes.filter((name) => !program.axes.includes(name));
  const own = names.map((name, at) => [name, [12, 6, 12][at % 3]!] as const);
  const axes = mesh.axes.map(({ name, size }) => [name, size] as const);
  const solved = solveEntrySizes(program, entry, new Map(), new Map([...own, ...axes]));
  if (solved.kind !== 'sizes') throw new Error('no such sizes');
  const found = lowerEntry(program, entry, { sizes: solved.sizes, inputDtypes: new Map() });
  if ('diagnostics' in found) throw new Error(found.diagnostics[0]!.message);
  return { ...found, program, entry, sizes: solved.sizes };
}

/** What is moved, or kept a part of, outside of the calls though it is not written: by name. */
function insertedOutside(written: Graph, regions: readonly AutoRegion[], made: Graph): readonly string[] {
  const known = new Set(
    allNodes(written)
      .flatMap(results)
      .map(({ id }) => id),
  );
  for (const { tensor } of written.inputs) known.add(tensor.id);
  const inside = new Set(regions.flatMap((region) => [...region.inside]));
  const isOutside = (id: TensorId): boolean => known.has(id) && !inside.has(id);
  const readers = (id: TensorId): readonly Node[] => allNodes(made).filter((node) => readsOf(node).has(id));
  const isInserted = (node: Node): boolean => node.kind === 'collective' && !known.has(node.result.id);
  const given = (graph: Graph): readonly TensorId[] => graph.outputs.map(({ tensor }) => tensor);
  const kept = new Set([
    ...given(made),
    ...allNodes(made).flatMap((node) =>
      node.kind === 'loop' && node.results.some(({ id }) => isOutside(id)) ? given(node.body) : [],
    ),
  ]);
  return allNodes(made)
    .filter(isInserted)
    .flatMap((node) => results(node))
    .filter(({ id }) => {
      const isRead = readers(id).some((node) => results(node).some((result) => isOutside(result.id)));
      return isRead || kept.has(id);
    })
    .map(({ name }) => name);
}

const checked = checkSmallProgram('automatic.ricci');

describe.each(exportedEntries(checked))('%s', (entry) => {
  test.each(meshes)('nothing is inserted around the calls: $axes', (mesh) => {
    const unplaced = lowered(checked, entry, mesh);
    expect(unplaced.regions.length).toBeGreaterThan(0);
    const found = partition(unplaced, { mesh, costs });
    if (found.kind === 'misplaced') throw new Error(found.faults[0]!.message);
    expect(insertedOutside(unplaced.graph, unplaced.regions, found.placed.graph)).toEqual([]);
  });
});

test.each(exportedEntries(checked))('%s is written out as a program that the checker accepts', (entry) => {
  const mesh = meshes.at(-1)!;
  const { sizes } = lowered(checked, entry, mesh);
  const found = lower(checked, { entry, sizes, inputDtypes: new Map(), mesh, costs });
  if (found.kind === 'rejected') throw new Error(found.diagnostics[0]!.message);
  const raised = checkProgram({ path: 'raised.ricci', text: showGraph.source(found) }, moduleLoader);
  expect(raised.diagnostics.filter(({ severity }) => severity === 'error')).toEqual([]);
});

test('the calls are placed: something is inserted in them', () => {
  const [mesh] = meshes.slice(-1);
  const moved = exportedEntries(checked).filter((entry) => {
    const unplaced = lowered(checked, entry, mesh!);
    const found = partition(unplaced, { mesh: mesh!, costs });
    return (
      found.kind === 'partitioned' && allNodes(found.placed.graph).length > allNodes(unplaced.graph).length
    );
  });
  expect(moved.length).toBeGreaterThan(4);
});

test('a search that may move anything anywhere is noticed', () => {
  const noticed = meshes.flatMap((mesh) =>
    exportedEntries(checked).filter((entry) => {
      const { graph, regions } = lowered(checked, entry, mesh);
      const found = autoPlace(graph, { mesh, costs, ...entryPlacements(checked.program, entry) });
      if (found.kind !== 'placed') throw new Error(found.kind);
      return insertedOutside(graph, regions, found.placed.graph).length > 0;
    }),
  );
  expect(noticed.length).toBeGreaterThan(3);
});

// ── as by hand ─────────────────────────────────────────────────────────────────────────────────────────────

/** The same, with a function that the compiler places or one that says all itself. */
function twin(keyword: 'auto fn' | 'fn'): Checked {
  const text = `mesh (sp, tp)
${keyword} mlp(x: f32[T, D], up: f32[D, F@tp], down: f32[F@tp, D]) -> f32[T, D] {
  let h[t, f] = relu(sum d: x[t, d] * up[d, f])
  all_reduce(for t, d: sum f: h[t, f] * down[f, d], tp)
}
export fn main(x: f32[T@sp, D], up: f32[D, F@tp], down: f32[F@tp, D]) -> f32[T@sp, D] where sp | D {
  let scaled[t, d] = exp(x[t, d])
  let all = all_gather(scaled, sp)
  let doubled[t, d] = exp(all[t, d])
  let y = mlp(doubled, up, down)
  let sum[t, d] = tanh(y[t, d]) + exp(x[t, d])
  let columns = all_to_all(sum, sp, T -> D)
  let other[t, d] = tanh(columns[t, d])
  all_to_all(other, sp, D -> T)
}`;
  const { program, diagnostics, sources } = checkProgram({ path: 'twin.ricci', text }, moduleLoader);
  expect(diagnostics.map(({ message }) => message)).toEqual([]);
  return { kind: 'checked', program, sources };
}

function placesByName(keyword: 'auto fn' | 'fn', mesh: Mesh): ReadonlyMap<string, Placement> {
  const unplaced = lowered(twin(keyword), 'main', mesh);
  const found = partition(unplaced, { mesh, costs });
  if (found.kind === 'misplaced') throw new Error(found.faults[0]!.message);
  return named(found.placed, unplaced.source.names);
}

function named({ placements }: PlacedGraph, names: ReadonlyMap<TensorId, string>) {
  return new Map(
    [...names].flatMap(([id, name]) => (name === 'h' ? [] : [[name, placements.get(id)!] as const])),
  );
}

test.each(meshes)(
  'around a call all lives as it does around a function that is placed by hand: $axes',
  (mesh) => {
    const byHand = placesByName('fn', mesh);
    expect([...byHand.keys()].sort()).toEqual(['all', 'columns', 'doubled', 'other', 'scaled', 'sum', 'y']);
    expect(placesByName('auto fn', mesh)).toEqual(byHand);
  },
);

// ── errors ─────────────────────────────────────────────────────────────────────────────────────────────────

const signatures = `mesh (sp, tp)
auto fn f(x: f32[T, D@tp]) -> f32[T, D@tp] = for t, d: x[t, d]
`;

test.each([
  [
    'an argument that is cut where it is to be whole',
    'export fn g(x: f32[T@sp, D]) -> f32[T, D@tp] = f(x)',
    'E0505',
  ],
  ['an argument that is still a sum', 'export fn g(x: f32[T, D]{+sp}) -> f32[T, D@tp] = f(x)', 'E0509'],
  ['a result that is somewhere else', 'export fn g(x: f32[T, D@tp]) -> f32[T, D] = f(x)', 'E0505'],
])("%s is the checker's error", (_, text, code) => {
  const { diagnostics } = checkProgram({ path: 'wrong.ricci', text: signatures + text }, moduleLoader);
  expect(diagnostics.map((each) => each.code)).toContain(code);
});

test('on one device a call of an auto function is a call', () => {
  const compile = (keyword: 'auto fn' | 'fn') => {
    const sizes = new Map([['T', 4], ['D', 6], ['F', 8]]); // biome-ignore format: one thing
    const found = lower(twin(keyword), { entry: 'main', sizes, inputDtypes: new Map() });
    if (found.kind === 'rejected') throw new Error(found.diagnostics[0]!.message);
    return allNodes(found.optimized).length;
  };
  expect(compile('auto fn')).toBe(compile('fn'));
});
