/** A counterexample as a Ricci file: the property of the one case, and what it needs of its module. */
import { basename, dirname, relative, resolve } from 'node:path';
import { type Checked, checkSource } from '../../driver/compile.ts';
import { moduleLoader } from '../../driver/module-loader.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import type { Declaration, Import, Module, PropertyDeclaration } from '../../dsl/syntax/tree.ts';
import type { PropertyInfo } from '../../dsl/types/typed.ts';
import type { Case } from './case.ts';
import { nowhere } from './data-expression.ts';
import type { DeviceRunner } from './device-runner.ts';
import { domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import { judgeOf } from './judge.ts';
import { pinnedProperty, shorterProperties, withoutUnused } from './pinned-property.ts';
import { type Counterexample, wayText } from './report.ts';
import { allNames, neededBy, type Surroundings, withoutPlaces } from './tree-parts.ts';

/** What failed, and where. */
export interface Failure {
  /** The tested file, as the user named it. */
  readonly file: string;
  readonly checked: Checked;
  readonly property: PropertyInfo;
  readonly outcome: 'failed' | 'undecided';
  readonly counterexample: Counterexample;
  /** The command that finds it again. */
  readonly replay: string;
}

/**
 * The text of a file in the folder: accepted by the checker, formatted, and such that testing it fails as the
 * property did. Where that cannot be said in a file, its comment says so. Undefined where the property cannot
 * be written for one case at all.
 * @param device the one that the failing way needs
 */
export async function counterexampleFile(
  failure: Failure,
  folder: string,
  device: DeviceRunner | undefined,
): Promise<string | undefined> {
  const { file, checked, property, counterexample } = failure;
  const source = { path: file, text: checked.sources.get(file)! };
  const module = withoutPlaces(parse(source).module);
  const around: Surroundings = {
    module: { ...module, comments: [] },
    qualifiers: qualifiersOf(module, file),
    way: relative(resolve(folder), resolve(dirname(file))).replaceAll('\\', '/'),
  };
  const declaration = module.declarations.find(
    (each): each is PropertyDeclaration => each.kind === 'property' && each.name.name === property.name,
  )!;
  const tried = withNewAxes(counterexample.case, allNames(module));
  const whole = pinnedProperty(declaration, property, tried);
  const only = counterexample.check === undefined ? undefined : declaration.checks[counterexample.check];

  const place = resolve(folder, 'counterexample.ricci');
  const judged = (candidate: PropertyDeclaration): Promise<Judged> =>
    judgedAlone(format(moduleOf(candidate, around), ''), place, failure, device);
  let best = withoutUnused(only === undefined ? whole : { ...whole, checks: [only] });
  let found = await judged(best);
  if (found.kind !== 'fails') {
    best = whole;
    found = await judged(best);
  }
  if (found.kind === 'rejected') return undefined;
  if (found.kind === 'fails') [best, found] = await shortened(best, found, judged);
  const why = found.kind === 'fails' ? found.why : counterexample.why;
  const documentation = commentText(failure, why, found.kind === 'fails');
  return format(moduleOf({ ...best, documentation }, around), '');
}

/** Steps of making the property shorter, each of which is checked and run. */
const mostSteps = 40;

type Fails = Extract<Judged, { kind: 'fails' }>;

async function shortened(
  from: PropertyDeclaration,
  found: Fails,
  judged: (candidate: PropertyDeclaration) => Promise<Judged>,
): Promise<readonly [PropertyDeclaration, Fails]> {
  let best = [from, found] as const;
  let steps = 0;
  for (let isShorter = true; isShorter; ) {
    isShorter = false;
    for (const candidate of shorterProperties(best[0])) {
      if (steps++ >= mostSteps) return best;
      const next = await judged(candidate);
      if (next.kind !== 'fails') continue;
      best = [candidate, next];
      isShorter = true;
      break;
    }
  }
  return best;
}

// ── whether it fails alone ─────────────────────────────────────────────────────────────────────────────────

type Judged =
  | { readonly kind: 'fails'; readonly why: string }
  /** It does not fail, or not for certain: it has more cases than one. */
  | { readonly kind: 'holds' }
  /** It has errors. */
  | { readonly kind: 'rejected' };

/** Orders of the mesh's axes are all that is left open, at most. */
const mostCases = 24;

async function judgedAlone(
  text: string,
  path: string,
  { property: { name }, counterexample, outcome }: Failure,
  device: DeviceRunner | undefined,
): Promise<Judged> {
  const checked = checkSource({ path, text });
  if (checked.kind === 'rejected') return { kind: 'rejected' };
  const property = checked.program.properties.get(name)!;
  const judge = judgeOf(checked, property, device);
  const { way, check } = counterexample;
  const domain = domainOf(judge.program, property);
  const cases = exhaust(domain, mostCases, 0);
  // Where no axis is named, the next run is on another mesh.
  const isOnAnyMesh = way.onMesh && domain.names.every(({ isAxis }) => !isAxis);
  if (cases?.isAll !== true || isOnAnyMesh) return { kind: 'holds' };
  const kind = outcome === 'failed' ? 'fails' : 'undecided';
  for (const tried of cases.cases) {
    if (way.onMesh && tried.mesh === undefined) continue;
    const found = await judge.judge(tried, [way]);
    const isSame = found.kind === kind && (found.check === undefined) === (check === undefined);
    if (isSame) return { kind: 'fails', why: found.why };
  }
  return { kind: 'holds' };
}

// ── the module ─────────────────────────────────────────────────────────────────────────────────────────────

const order: { readonly [K in Declaration['kind']]: number } = {
  import: 0,
  mesh: 1,
  record: 2,
  function: 2,
  property: 3,
};

function moduleOf(property: PropertyDeclaration, around: Surroundings): Module {
  const needed = neededBy(property, around);
  const declarations = [...needed, ...undeclaredAxes(property, needed), property];
  const inOrder = declarations.toSorted((left, right) => order[left.kind] - order[right.kind]);
  return { path: '', name: undefined, declarations: inOrder, comments: [], span: nowhere };
}

/** Axes of the mesh over which nothing is placed: the partitioner was free to. */
function undeclaredAxes(
  { quantifiers }: PropertyDeclaration,
  needed: readonly Declaration[],
): readonly Declaration[] {
  const types = quantifiers.flatMap((each) => (each.kind === 'value' ? [each.type] : []));
  const known = allNames([types, needed]);
  const axes = quantifiers.flatMap((each) => (each.kind === 'mesh' ? each.axes : []));
  const undeclared = axes.map(({ name }) => name).filter(({ name }) => !known.has(name));
  return undeclared.length === 0 ? [] : [{ kind: 'mesh', axes: undeclared, span: nowhere }];
}

/** Where the program names no axis, those of its mesh get names that stand for nothing else. */
function withNewAxes(tried: Case, names: ReadonlySet<string>): Case {
  if (tried.mesh === undefined) return tried;
  const axes = tried.mesh.axes.map((axis) => {
    let { name } = axis;
    while (!tried.sizes.has(axis.name) && names.has(name)) name += '_';
    return { ...axis, name };
  });
  return { ...tried, mesh: { axes } };
}

/** The names under which modules of imported files are used, where no alias is written. */
function qualifiersOf({ declarations }: Module, file: string): ReadonlyMap<string, string> {
  const imports = declarations.filter((each): each is Import => each.kind === 'import');
  return new Map(imports.map(({ from }) => [from.text, qualifierOf(from, file)] as const));
}

function qualifierOf({ kind, text }: Import['from'], file: string): string {
  const source = kind === 'file' ? moduleLoader.file(file, text) : undefined;
  return (source && parse(source).module.name?.name) ?? basename(text, '.ricci');
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

/** As wide as the formatter's page, with the slashes. */
const commentWidth = 96;

function commentText(
  { file, property, counterexample, outcome, replay }: Failure,
  why: string,
  failsAlone: boolean,
): string {
  const { check, way, case: tried } = counterexample;
  const label = property.checks[check ?? -1]?.label;
  const what = outcome === 'failed' ? 'does not hold' : 'is not decided';
  const subject = `\`${property.name}\` of ${basename(file)}${label === undefined ? '' : ` (${label})`}`;
  const isUsual = way.target === 'reference' && !way.onMesh;
  const axes = (tried.mesh?.axes ?? []).filter(({ size }) => size > 1);
  const devices = axes.map(({ name, size }) => `${name}=${size}`).join(',');
  const where = `Seen on ${wayText(way)}${way.onMesh ? ` ${devices}` : ''}.`;
  return [
    ...wrapped(`${subject} ${what}: ${why}.`),
    ...(isUsual ? [] : [where]),
    ...(failsAlone
      ? ['Found by:']
      : wrapped('This is seen in the program that it is from, and not in this file alone. Found by:')),
    replay,
  ].join('\n');
}

function wrapped(text: string): readonly string[] {
  const lines: string[] = [];
  for (const word of text.split(/\s+/)) {
    const last = lines.at(-1);
    if (last === undefined || last.length + 1 + word.length > commentWidth) lines.push(word);
    else lines[lines.length - 1] = `${last} ${word}`;
  }
  return lines;
}
