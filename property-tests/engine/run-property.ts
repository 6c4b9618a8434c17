/** Looks for a counterexample to a property, and for the simplest one. */
import fc from 'fast-check';
import type { PropertyInfo } from '../../dsl/types/typed.ts';
import { UserError } from '../../runtime/errors.ts';
import type { Case } from './case.ts';
import { type Domain, domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import { type Judge, type Judgement, waysOf } from './judge.ts';
import { randomCases, seededChoices } from './random-case.ts';
import {
  type Counterexample,
  type Coverage,
  createTally,
  type Outcome,
  type PropertyReport,
  type Tally,
  type Target,
  type Way,
  wayText,
} from './report.ts';

export interface TestOptions {
  /** Cases to try, where there are as many. */
  readonly runs: number;
  readonly seed: number;
  /** Of a counterexample that was found with the seed: nothing before it is run. */
  readonly path: string | undefined;
  /** Where there are no more cases than that, all of them are tried. */
  readonly exhaust: number;
  readonly targets: readonly Target[];
  /** Hears of every case that was tried, of how many. */
  readonly onCase: (done: number, total: number) => void;
}

/** Cases that are not as the property is given them, for one that is. */
const mostExcluded = 100;

/** Cases that are tried on the way to a simplest one. */
const mostShrinks = 500;

/** Of so many cases one runs in kernels too, which are compiled for each. */
const casesOnDevice = 10;

type Unfavourable = Extract<Judgement, { kind: 'fails' | 'undecided' }>;

/** @throws UserError where no case is at the path that is given */
export async function runProperty(judge: Judge, options: TestOptions): Promise<PropertyReport> {
  const { property, program } = judge;
  const { seed, path } = options;
  const start = performance.now();
  const domain = domainOf(program, property);
  const tally = createTally();
  const seen = { cases: 0, excluded: 0, refused: 0, undecided: 0 };
  const known = exhaust(domain, options.exhaust, seed);
  const report = (outcome: Outcome): PropertyReport => ({
    name: property.name,
    span: property.span,
    outcome,
    coverage: { ...seen, exhausted: extentOf(known), counts: tally.counts },
    milliseconds: performance.now() - start,
  });
  if (known?.cases.length === 0 || (known === undefined && !hasSizes(domain, seed)))
    return report({ kind: 'vacuous', why: 'no sizes satisfy its `where`, its types and its ranges' });

  const examples = known?.cases ?? [];
  const total = known?.isAll === true ? examples.length : Math.max(options.runs, examples.length);
  const isComplete = known?.isAll === true;
  const search = searcher(judge, { ...options, total, isComplete }, (tried, judgement) => {
    if (judgement.kind === 'excluded') {
      seen.excluded++;
      return;
    }
    seen.cases++;
    if (judgement.kind === 'refused') seen.refused++;
    if (judgement.kind === 'undecided') seen.undecided++;
    count(tally, tried, judgement, domain);
    options.onCase(seen.cases, total);
  });
  if (path !== undefined && Number.parseInt(path, 10) > total * (1 + mostExcluded))
    throw wrongPath(property, path);
  const result = await replayed(property, path, () =>
    fc.check(fc.asyncProperty(randomCases(domain), search.holds), {
      seed,
      numRuns: total,
      examples: examples.map((each): [Case] => [each]),
      maxSkipsPerRun: mostExcluded,
      ...(path === undefined ? {} : { path }),
    }),
  );
  const { failure, undecided } = search.found();
  if (path !== undefined && failure === undefined && seen.cases + seen.excluded === 0)
    throw wrongPath(property, path);
  if (failure === undefined && result.errorInstance) throw result.errorInstance;

  if (failure !== undefined)
    return report({
      kind: 'failed',
      counterexample: counterexampleOf(failure, seed, result.counterexamplePath ?? '', result.numShrinks),
    });
  const judged = seen.cases - seen.refused;
  if (judged === 0)
    return report({
      kind: 'vacuous',
      why: seen.cases > 0 ? `no case could be run: ${refusals(tally)}` : 'no case was as it is `given`',
    });
  // A case here and there on which nothing can be said is left out; not so where they are most.
  if (undecided !== undefined && seen.undecided * 2 > judged)
    return report({
      kind: 'undecided',
      counterexample: counterexampleOf(undecided, seed, `${undecided.number}`, 0),
    });
  return report({ kind: 'passed' });
}

/** fast-check throws where a path leads to nothing. */
async function replayed<T>(
  property: PropertyInfo,
  path: string | undefined,
  run: () => T,
): Promise<Awaited<T>> {
  try {
    return await run();
  } catch (error) {
    const isLost = path !== undefined && error instanceof Error && /^Unable to replay/.test(error.message);
    throw isLost ? wrongPath(property, path) : error;
  }
}

/** Where a case would be that was drawn with other options, or of another text. */
function wrongPath({ name }: PropertyInfo, path: string): UserError {
  return new UserError(
    'wrong-input',
    `there is no case of ${name} at --path ${path}`,
    'give --seed, --path and the other options as they were together, for the file as it was',
  );
}

/** A case and what was found of it. */
interface Finding {
  readonly tried: Case;
  readonly judgement: Unfavourable;
  /** Of the case, among those that were drawn. */
  readonly number: number;
}

interface SearchOptions extends TestOptions {
  readonly total: number;
  /** There are no cases but these: nothing is drawn for one that is excluded. */
  readonly isComplete: boolean;
}

/** Judges cases as fast-check asks: those that it draws until one fails, then those that are simpler. */
function searcher(
  judge: Judge,
  { total, targets, isComplete }: SearchOptions,
  onDrawn: (tried: Case, judgement: Judgement) => void,
) {
  const often = Math.max(1, Math.floor(total / casesOnDevice));
  let drawn = 0;
  let shrinks = 0;
  let failure: Finding | undefined;
  let undecided: Finding | undefined;
  const waysFor = (tried: Case): readonly Way[] => {
    const onDevice = drawn % often === 0 || targets.length === 1;
    return waysOf(tried, onDevice ? targets : targets.filter((target) => target === 'reference'));
  };
  return {
    found: () => ({ failure, undecided }),
    holds: async (tried: Case): Promise<boolean> => {
      if (failure !== undefined) {
        if (++shrinks > mostShrinks) return true;
        // In the way that failed, where the simpler case has it.
        const { onMesh, target } = failure.judgement.way;
        const way = { target, onMesh: onMesh && tried.mesh !== undefined };
        const judgement = await judge.judge(tried, [way]);
        if (judgement.kind !== 'fails') return true;
        failure = { ...failure, tried, judgement };
        return false;
      }
      const judgement = await judge.judge(tried, waysFor(tried));
      const number = drawn++;
      onDrawn(tried, judgement);
      if (judgement.kind === 'excluded') {
        fc.pre(isComplete);
        return true;
      }
      if (judgement.kind === 'undecided') undecided ??= { tried, judgement, number };
      if (judgement.kind !== 'fails') return true;
      failure = { tried, judgement, number };
      return false;
    },
  };
}

function counterexampleOf(
  { tried, judgement }: Finding,
  seed: number,
  path: string,
  shrinks: number,
): Counterexample {
  const { check, way, why } = judgement;
  return { case: tried, check, way, why, seed, path, shrinks };
}

function extentOf(known: ReturnType<typeof exhaust>): Coverage['exhausted'] {
  if (known === undefined) return undefined;
  return known.isAll ? 'cases' : 'sizes';
}

function hasSizes(domain: Domain, seed: number): boolean {
  const choose = seededChoices(seed);
  return Array.from({ length: 5 }).some(() => domain.drawSizes(choose) !== undefined);
}

function refusals({ counts }: Tally): string {
  return [...(counts.get('refused') ?? new Map()).keys()].slice(0, 3).join('; ');
}

function count(tally: Tally, { sizes, mesh, values }: Case, judgement: Judgement, { names }: Domain): void {
  for (const { name } of names) tally.add(name, `${sizes.get(name)}`);
  const devices = mesh?.axes.map(({ name, size }) => `${name}=${size}`).join(',');
  tally.add('mesh', devices ?? 'one device');
  for (const [path, { profile }] of values) tally.add(path, profile ?? 'simple');
  if (judgement.kind === 'holds') for (const way of judgement.ways) tally.add('way', wayText(way));
  if (judgement.kind === 'refused') tally.add('refused', judgement.why);
}
