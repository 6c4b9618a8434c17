/**
 * For tests: what `npm run fuzz` looks for, of programs on four meshes each that are the same in every run.
 * What is found is printed as a file that belongs into `property-tests/counterexamples/` once it is mended.
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
const programs = 300;
/** How many programs it is that counts are given of. */
const counted = 500;
/** Relations that are checked of a part of the programs in a long search are checked of fewer here. */
const shares = 0.03;
const timeout = 900_000;

function textOf({ relation, position, message, text }: Finding): string {
  return `${relation} does not hold of program ${position}: ${message}\n${text ?? ''}`;
}

/** Of five hundred programs so many have at least each; 0: it is not drawn, and why. */
const leastNodes: { readonly [K in NodeKind]: number } = {
  compute: 420,
  order: 180,
  prefix: 60,
  collective: 80,
  loop: 110,
  // What the optimizer makes of sums weighted by a softmax, and of products by expert: see `made`.
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
  constant: 400,
  iterator: 380,
  counter: 15,
  load: 380,
  apply: 400,
  convert: 150,
  round: 50,
  reduced: 80,
  // Of a device on a mesh.
  coordinate: 0,
  size: 0,
};

const leastSizes: { readonly [S in (typeof sizeClasses)[number]]: number } = {
  0: 100,
  1: 180,
  prime: 420,
  composite: 380,
};

const leastPending: { readonly [C in PendingCombiner]: number } = { sum: 300, max: 60, min: 60 };

const dtypesAtLeast = Object.fromEntries(dtypes.map((dtype) => [dtype, 40])) as Record<Dtype, number>;
const combinersAtLeast = Object.fromEntries(combiners.map((name) => [name, 20])) as Record<Combiner, number>;
const functionsAtLeast = Object.fromEntries(Object.keys(scalarFunctions).map((name) => [name, 12])) as Record<
  ScalarFunction,
  number
>;

const least: { readonly [kind: string]: Readonly<Record<string, number>> } = {
  node: leastNodes,
  made: { softmaxSum: 25, route: 3 },
  change: leastChanges,
  scalar: leastScalars,
  size: leastSizes,
  pending: leastPending,
  dtype: dtypesAtLeast,
  combiner: combinersAtLeast,
  function: functionsAtLeast,
  exchange: { all_gather: 300, all_reduce: 300, reduce_scatter: 60, all_to_all: 120 },
  'cut by': { 1: 600, 2: 30 },
  padded: { input: 250, output: 150 },
};

/** Tests of half of all programs, which begins there. */
export function testPrograms(first: number): void {
  const search = newSearch({ series, meshes: 4, shares });

  afterAll(closeAdapter);

  test('programs mean the same optimized, as source, and on every mesh', { timeout }, async () => {
    for (let position = first; position < first + programs; position++) {
      const [finding] = await checkPosition(search, position);
      if (finding !== undefined) expect.fail(textOf(finding));
    }
    // Where nothing is exact nothing is told.
    expect(search.tallies.get('partitioned')!.holds).toBeGreaterThan(0.95 * programs * search.meshes);
  });

  test.each(Object.entries(least))('enough programs have each %s', (kind, counts) => {
    const scarce = Object.entries(counts).flatMap(([name, wanted]) => {
      const found = search.coverage.get(`${kind} ${name}`) ?? 0;
      const enough = Math.floor((wanted * programs) / counted);
      return found < enough ? [`${kind} ${name}: ${found} of ${enough}`] : [];
    });
    expect(scarce).toEqual([]);
  });

  test('operations are paired and meshes shaped in many ways', () => {
    expect(distinct(search.coverage, 'pair')).toBeGreaterThanOrEqual(100);
    expect(distinct(search.coverage, 'mesh')).toBeGreaterThanOrEqual(45);
    expect(search.coverage.get('look-up') ?? 0).toBeGreaterThanOrEqual((150 * programs) / counted);
  });
}
