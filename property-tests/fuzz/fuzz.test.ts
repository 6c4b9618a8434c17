/**
 * What `npm run fuzz` looks for, of a thousand programs on four meshes each: the same in every run. What is
 * found is printed as a file that belongs into `property-tests/counterexamples/` once it is mended.
 */
import fc from 'fast-check';
import { afterAll, expect, test } from 'vitest';
import { type Combiner, combiners, type NodeKind, type PlacementChange } from '../../compiler/graph/graph.ts';
import type { ScalarOp } from '../../compiler/graph/scalar.ts';
import type { PendingCombiner } from '../../dsl/placement/placement.ts';
import { type Dtype, dtypes } from '../../dsl/types/dtype.ts';
import { type ScalarFunction, scalarFunctions } from '../../dsl/types/scalar-functions.ts';
import { distinct, type sizeClasses } from './coverage.ts';
import { closeAdapter } from './on-adapter.ts';
import { checkPosition, type Finding, newSearch } from './search.ts';

/** `FUZZ_SEED` draws others. */
const series = fc.readConfigureGlobal().seed ?? 0;
const programs = 1000;
/** Relations that are checked of a part of the programs in a long search are checked of a tenth as many. */
const search = newSearch({ series, meshes: 4, shares: 0.1 });

afterAll(closeAdapter);

function textOf({ relation, position, message, text }: Finding): string {
  return `${relation} does not hold of program ${position}: ${message}\n${text ?? ''}`;
}

test('programs mean the same optimized, as source, and on every mesh', async () => {
  for (let position = 0; position < programs; position++) {
    const [finding] = await checkPosition(search, position);
    if (finding !== undefined) expect.fail(textOf(finding));
  }
  const tally = search.tallies.get('partitioned')!;
  // Where nothing is exact nothing is told.
  expect(tally.holds).toBeGreaterThan(0.95 * programs * search.meshes);
});

// ── what was covered ───────────────────────────────────────────────────────────────────────────────────────

/** Of the programs above so many have at least each; 0: it is never drawn, and why. */
const leastNodes: { readonly [K in NodeKind]: number } = {
  compute: 900,
  order: 300,
  prefix: 100,
  collective: 150,
  loop: 200,
  // What the optimizer makes of sums weighted by a softmax, and of products by expert.
  softmaxSum: 0,
  route: 0,
  // What devices do on their own.
  block: 0,
  exchange: 0,
};

const leastChanges: { readonly [K in PlacementChange['kind']]: number } = {
  all_gather: 100,
  all_reduce: 100,
  reduce_scatter: 50,
  all_to_all: 50,
  reshard: 500,
  // Says where something is, or moves nothing: what places programs at random has no use for it.
  broadcast: 0,
  declare: 0,
};

const leastScalars: { readonly [Op in ScalarOp]: number } = {
  constant: 900,
  iterator: 900,
  counter: 30,
  load: 900,
  apply: 900,
  convert: 300,
  round: 100,
  reduced: 150,
  // Of a device on a mesh.
  coordinate: 0,
};

const leastSizes: { readonly [S in (typeof sizeClasses)[number]]: number } = {
  0: 200,
  1: 300,
  prime: 900,
  composite: 800,
};

const leastPending: { readonly [C in PendingCombiner]: number } = { sum: 500, max: 100, min: 100 };

const dtypesAtLeast = Object.fromEntries(dtypes.map((dtype) => [dtype, 100])) as Record<Dtype, number>;
const combinersAtLeast = Object.fromEntries(combiners.map((name) => [name, 50])) as Record<Combiner, number>;
const functionsAtLeast = Object.fromEntries(Object.keys(scalarFunctions).map((name) => [name, 40])) as Record<
  ScalarFunction,
  number
>;

const least: { readonly [kind: string]: Readonly<Record<string, number>> } = {
  node: leastNodes,
  change: leastChanges,
  scalar: leastScalars,
  size: leastSizes,
  pending: leastPending,
  dtype: dtypesAtLeast,
  combiner: combinersAtLeast,
  function: functionsAtLeast,
  exchange: { all_gather: 500, all_reduce: 500, reduce_scatter: 100, all_to_all: 200 },
  'cut by': { 1: 1000, 2: 50 },
  padded: { input: 500, output: 300 },
};

test.each(Object.entries(least))('enough programs have each %s', (kind, counts) => {
  const scarce = Object.entries(counts).flatMap(([name, wanted]) => {
    const found = search.coverage.get(`${kind} ${name}`) ?? 0;
    return found < wanted ? [`${kind} ${name}: ${found} of ${wanted}`] : [];
  });
  expect(scarce).toEqual([]);
});

test('operations are paired and meshes shaped in many ways', () => {
  expect(distinct(search.coverage, 'pair')).toBeGreaterThanOrEqual(110);
  expect(distinct(search.coverage, 'mesh')).toBeGreaterThanOrEqual(50);
  expect(search.coverage.get('look-up') ?? 0).toBeGreaterThanOrEqual(300);
});
