/** Draws programs of a series, checks what must hold of them, and makes what does not small. */
import { choicesOf } from '../../compiler/graph/choice-tape.ts';
import type { Graph } from '../../compiler/graph/graph.ts';
import { printGraph } from '../../compiler/graph/print.ts';
import type { RandomProgram } from '../../compiler/graph/random-graph.ts';
import { shrinkProgram } from '../../compiler/graph/shrink-graph.ts';
import { optimize } from '../../compiler/optimize/passes.ts';
import { outcomeOf } from '../../compiler/partition/judge-placed-source.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import { type Counterexample, counterexampleText, isOnMesh, readCounterexample } from './counterexample.ts';
import { type Coverage, count, meshFeatures, programFeatures } from './coverage.ts';
import {
  type AnyRelation,
  checkRelation,
  meshRelationNames,
  meshRelations,
  programRelationNames,
  programRelations,
} from './relations.ts';
import { type Cut, cutOver, draw, type MeshSubject, type Subject } from './subject.ts';
import type { Verdict } from './verdict.ts';

export interface Finding {
  readonly relation: AnyRelation | typeof placedSource;
  /** Of the program in its series. */
  readonly position: number;
  /** What is wrong with the smallest program that was found. */
  readonly message: string;
  /** A counterexample as a file; undefined where the program cannot be written as source. */
  readonly text: string | undefined;
  /** Whether the file shows it, or only the program before it was written. */
  readonly reproduces: boolean;
}

export interface Tally {
  holds: number;
  notTold: number;
  broken: number;
}

export interface Search {
  readonly series: number;
  /** Meshes for each program. */
  readonly meshes: number;
  /** Relations that are checked of a share of the subjects are checked of so many times as many. */
  readonly shares: number;
  readonly tallies: Map<string, Tally>;
  readonly coverage: Coverage;
}

export function newSearch(options: Pick<Search, 'series' | 'meshes' | 'shares'>): Search {
  return { ...options, tallies: new Map(), coverage: new Map() };
}

export function tally({ tallies }: Search, name: string, verdict: Verdict): void {
  const known = tallies.get(name) ?? { holds: 0, notTold: 0, broken: 0 };
  tallies.set(name, known);
  if (verdict === 'holds') known.holds++;
  else if (verdict === 'not told') known.notTold++;
  else known.broken++;
}

/**
 * Programs that are written with placements, of records, folds, calls and blocks of what devices do on their
 * own: what the checker accepts, with sizes as symbols, has that place and means the same.
 */
const placedSource = 'placed source';
const shareOfPlacedSource = 10;

function checkPlacedSource(search: Search, position: number): readonly Finding[] {
  const choose = choicesOf(search.series)(`source ${position}`);
  const outcome = outcomeOf(Array.from({ length: 300 }, () => choose(2 ** 16)));
  const { text, accepted } = outcome.program;
  count(
    search.coverage,
    accepted.map((template) => `source ${template}`),
  );
  if (outcome.kind !== 'wrong') {
    const isTold = outcome.kind === 'right' || outcome.kind === 'less placed';
    tally(search, placedSource, isTold ? 'holds' : 'not told');
    return [];
  }
  const { why } = outcome;
  tally(search, placedSource, { broken: why });
  return [{ relation: placedSource, position, message: why, text, reproduces: false }];
}

/** Checks one program of the series, alone and on its meshes. */
export async function checkPosition(search: Search, position: number): Promise<readonly Finding[]> {
  const { program, seed, cuts } = draw(search.series, position, search.meshes);
  const findings: Finding[] = [];
  if (program.graph.outputs.length === 0) return findings;
  const subject: Subject = { program, seed };
  const isChosen = choosing(search, position);
  if (isChosen(placedSource, shareOfPlacedSource)) findings.push(...checkPlacedSource(search, position));
  for (const relation of programRelationNames) {
    if (!isChosen(relation, programRelations[relation].share)) continue;
    const verdict = await checkRelation(relation, subject);
    tally(search, relation, verdict);
    if (typeof verdict === 'object') findings.push(await found(relation, position, subject, verdict.broken));
  }
  // Where the optimizer throws, a relation has said so.
  if (findings.length === 0) count(search.coverage, programFeatures(program.graph, optimize(program.graph)));
  for (const [which, cut] of cuts.entries()) {
    const outcome = onMesh(subject, cut);
    if (typeof outcome === 'string')
      findings.push(await found('partitioned', position, subject, outcome, cut));
    if (typeof outcome !== 'object') continue;
    count(search.coverage, meshFeatures(outcome));
    for (const relation of meshRelationNames) {
      if (!isChosen(`${relation} ${which}`, meshRelations[relation].share)) continue;
      const verdict = await checkRelation(relation, outcome);
      tally(search, relation, verdict);
      if (typeof verdict === 'object')
        findings.push(await found(relation, position, subject, verdict.broken, cut));
    }
  }
  return findings;
}

function choosing({ series, shares }: Search, position: number): (what: string, share: number) => boolean {
  const chooseFor = choicesOf(series);
  return (what, share) => share >= 100 || chooseFor(`check ${position} ${what}`)(100) < share * shares;
}

/** undefined: there is no way to cut it that was found. A text: what was thrown. */
export function onMesh(subject: Subject, cut: Cut): MeshSubject | string | undefined {
  try {
    return cutOver(subject, cut);
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}

// ── making it small ────────────────────────────────────────────────────────────────────────────────────────

const mostTries = 800;
const mostSeconds = 40;

/** What is said of what is wrong, without what differs from program to program. */
export function signatureOf(message: string): string {
  const [line = ''] = message.split('\n');
  return line
    .replace(/[\d.]+|%\d+/g, '#')
    .replace(/NaN|-?Infinity|-#/g, '#')
    .slice(0, 90);
}

async function brokenAs(
  relation: AnyRelation,
  subject: Subject,
  cut: Cut | undefined,
): Promise<string | undefined> {
  const outcome = cut === undefined ? subject : onMesh(subject, cut);
  if (typeof outcome === 'string') return relation === 'partitioned' ? outcome : undefined;
  if (outcome === undefined) return undefined;
  const verdict = await checkRelation(relation, outcome);
  return typeof verdict === 'object' ? verdict.broken : undefined;
}

async function found(
  relation: AnyRelation,
  position: number,
  subject: Subject,
  message: string,
  cut?: Cut,
): Promise<Finding> {
  const signature = signatureOf(message);
  const deadline = Date.now() + 1000 * mostSeconds;
  const fails = async (program: RandomProgram, own: Cut | undefined): Promise<boolean> => {
    if (Date.now() > deadline) return false;
    const broken = await brokenAs(relation, { ...subject, program }, own);
    return broken !== undefined && signatureOf(broken) === signature;
  };
  let smallest = cut;
  let program = await shrinkProgram(subject.program, (smaller) => fails(smaller, smallest), mostTries);
  for (let smaller = smallerCut(smallest); smaller !== undefined; smaller = smallerCut(smallest)) {
    let next: Cut | undefined;
    for (const own of smaller) if (next === undefined && (await fails(program, own))) next = own;
    if (next === undefined) break;
    smallest = next;
  }
  if (smallest !== cut) program = await shrinkProgram(program, (own) => fails(own, smallest), mostTries);
  const own = { ...subject, program };
  const last = (await brokenAs(relation, own, smallest)) ?? message;
  return { relation, position, message: last, ...(await asFile(relation, own, smallest, last)) };
}

/** With an axis less, or a smaller one. */
function smallerCut(cut: Cut | undefined): readonly Cut[] | undefined {
  if (cut === undefined) return undefined;
  const { axes } = cut.mesh;
  const without = axes.map((axis): Mesh => ({ axes: axes.filter((own) => own !== axis) }));
  const smaller = axes.flatMap((axis, at): readonly Mesh[] =>
    axis.size > 2 ? [{ axes: axes.with(at, { ...axis, size: 2 }) }] : [],
  );
  return [...without, ...smaller].filter((mesh) => mesh.axes.length > 0).map((mesh) => ({ ...cut, mesh }));
}

async function asFile(
  relation: AnyRelation,
  subject: Subject,
  cut: Cut | undefined,
  message: string,
): Promise<Pick<Finding, 'text' | 'reproduces'>> {
  let text: string;
  let drawn: Graph;
  try {
    const whole = cut === undefined ? subject : cutOver(subject, cut)!;
    text = counterexampleText({ relation, subject: whole }, message);
    drawn = isOnMesh(whole) ? whole.cut.written : whole.program.graph;
  } catch {
    return { text: undefined, reproduces: false };
  }
  try {
    if (await isBroken(readCounterexample(text, 'counterexample.ricci'))) return { text, reproduces: true };
  } catch {
    // The checker does not take what the relation says that it takes.
    if (relation === 'placement checked') return { text, reproduces: true };
  }
  return { text: `${text}\n${asComment(drawn)}`, reproduces: false };
}

/** The source is not just the program: it clamps what it looks up, and rounds where it stores. */
function asComment(graph: Graph): string {
  const lines = ['As it was drawn:', ...printGraph(graph).trimEnd().split('\n')];
  return lines.map((line) => `// ${line}\n`).join('');
}

async function isBroken({ relation, subject }: Counterexample): Promise<boolean> {
  return typeof (await checkRelation(relation, subject)) === 'object';
}
