/** Looks for a counterexample to a property. */
import fc from 'fast-check';
import type { Case } from './case.ts';
import { type Domain, domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import type { Judge, Judgement } from './judge.ts';
import { randomCases, seededChoices } from './random-case.ts';
import { type Counterexample, createTally, type Outcome, type PropertyReport, type Tally, wayText } from './report.ts';

export interface TestOptions {
  /** Cases to try, where there are as many. */
  readonly runs: number;
  readonly seed: number;
  /** Of a counterexample that was found with the seed: only that one is run. */
  readonly path: string | undefined;
  /** Up to how many cases all there are are tried instead. */
  readonly exhaust: number;
  /** Hears of every case that was tried, of how many. */
  readonly onCase: (done: number, total: number) => void;
}

/** Cases that are tried on the way to a simplest one. */
const mostShrinks = 400;

export async function runProperty(judge: Judge, options: TestOptions): Promise<PropertyReport> {
  const { property, program } = judge;
  const start = performance.now();
  const domain = domainOf(program, property);
  const tally = createTally();
  const report = (outcome: Outcome, cases: number, refused = 0, exhausted?: 'cases' | 'sizes'): PropertyReport => ({
    name: property.name,
    span: property.span,
    outcome,
    coverage: { cases, refused, exhausted, counts: tally.counts },
    milliseconds: performance.now() - start,
  });

  const { seed, path } = options;
  const known = exhaust(domain, options.exhaust, seed);
  if (known?.cases.length === 0 || (known === undefined && isEmpty(domain, seed)))
    return report({ kind: 'vacuous', why: 'no sizes satisfy its `where`, its types and its ranges' }, 0);
  // What is exhausted is read off a list: by then fast-check has nothing left to draw.
  const examples = known?.cases ?? [];
  const total = known?.isAll === true ? examples.length : Math.max(options.runs, examples.length);
  let cases = 0;
  let refused = 0;
  let shrinks = 0;
  let worst: Judgement | undefined;

  const holds = async (tried: Case): Promise<boolean> => {
    // A judgement that is sought again, or is not worth more time.
    if (worst !== undefined && ++shrinks > mostShrinks) return true;
    const judgement = await judge.judge(tried, cases);
    if (worst === undefined) {
      cases++;
      options.onCase(cases, total);
      count(tally, tried, judgement, domain);
      if (judgement.kind === 'refused') refused++;
    }
    if (judgement.kind === 'holds' || judgement.kind === 'refused') return true;
    // A failure is not made simpler into what is undecided.
    if (worst?.kind === 'fails' && judgement.kind === 'undecided') return true;
    worst = judgement;
    return false;
  };
  const result = await fc.check(
    fc.asyncProperty(randomCases(domain), holds),
    {
      seed,
      numRuns: total,
      examples: examples.map((each): [Case] => [each]),
      ...(path === undefined ? {} : { path }),
    },
  );
  if (result.errorInstance !== undefined && result.errorInstance !== null && worst === undefined)
    throw result.errorInstance;
  const exhausted = known === undefined ? undefined : known.isAll ? 'cases' : 'sizes';
  const [found] = result.counterexample ?? [];
  if (found === undefined) {
    if (cases === refused)
      return report({ kind: 'vacuous', why: 'no case could be run' }, cases, refused, exhausted);
    return report({ kind: 'passed' }, cases, refused, exhausted);
  }
  const last = worst as Extract<Judgement, { kind: 'fails' | 'undecided' }>;
  const counterexample: Counterexample = {
    case: found,
    check: last.check,
    way: last.way,
    why: last.why,
    seed,
    path: result.counterexamplePath ?? '',
    shrinks: result.numShrinks,
  };
  return report({ kind: last.kind === 'fails' ? 'failed' : 'undecided', counterexample }, cases, refused, exhausted);
}

function isEmpty(domain: Domain, seed: number): boolean {
  const choose = seededChoices(seed);
  return !Array.from({ length: 5 }).some(() => domain.drawSizes(choose) !== undefined);
}

function count(tally: Tally, { sizes, mesh, values }: Case, judgement: Judgement, { names }: Domain): void {
  for (const { name } of names) tally.add(name, `${sizes.get(name)}`);
  tally.add('mesh', mesh === undefined ? 'one device' : mesh.axes.map(({ name, size }) => `${name}=${size}`).join(','));
  for (const [path, { profile }] of values) tally.add(path, profile ?? 'simple');
  if (judgement.kind === 'holds') for (const way of judgement.ways) tally.add('way', wayText(way));
  if (judgement.kind === 'refused') tally.add('refused', judgement.why);
}

