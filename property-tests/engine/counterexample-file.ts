/** A counterexample as a Ricci file: the property of the one case, and what it needs of its module. */
import { basename, resolve } from 'node:path';
import { type Checked, type Rejected, sourceChecker } from '../../driver/check.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import type { Declaration, Identifier, Module, PropertyDeclaration } from '../../dsl/syntax/tree.ts';
import type { PropertyInfo } from '../../dsl/types/typed.ts';
import type { Case } from './case.ts';
import { nowhere } from './data-expression.ts';
import { domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import { judgeOf } from './judge.ts';
import type { Runners } from './kernel-runner.ts';
import { type MovedValues, movedValues, noMovedValues, withMovedSides } from './moved-values.ts';
import { neededImports, type Surroundings, surroundingsOf } from './needed-imports.ts';
import { pinnedProperty, shorterProperties, withoutUnused } from './pinned-property.ts';
import { withPlainSizes } from './plain-sizes.ts';
import { type Counterexample, wayText } from './report.ts';
import { allNames, withoutPlaces } from './tree-parts.ts';

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
  runners: Runners,
): Promise<string | undefined> {
  const { file, checked, property, counterexample } = failure;
  const source = { path: file, text: checked.sources.get(file)! };
  const module = withoutPlaces(parse(source).module);
  const around = surroundingsOf(module, checked.program.axes, file, folder);
  const declaration = module.declarations.find(
    (each): each is PropertyDeclaration => each.kind === 'property' && each.name.name === property.name,
  )!;
  const tried = withNewAxes(counterexample.case, new Set([...allNames(module), ...checked.program.axes]));
  const whole = pinnedProperty(declaration, property, tried);
  const only = counterexample.check === undefined ? undefined : declaration.checks[counterexample.check];

  // No name that the module itself may have: a file does not import itself.
  const place = resolve(folder, `counterexample of ${basename(file)}`);
  const checkText = sourceChecker();
  const write = (candidate: PropertyDeclaration): Draft => ({
    candidate,
    text: format(moduleOf(candidate, around), ''),
  });
  const judge = ({ text }: Draft): Promise<Judged> =>
    judgedAlone(checkText({ path: place, text }), failure, runners);

  const single = withoutUnused(only === undefined ? whole : { ...whole, checks: [only] });
  const sizes = new Map(property.function.sizes.map((name) => [name, tried.sizes.get(name)!]));
  let best: (Draft & { readonly judged: Judged }) | undefined;
  for (const draft of [withPlainSizes(single, sizes), single, whole].map(write)) {
    const judged = await judge(draft);
    if (judged.kind !== 'rejected') best = { ...draft, judged };
    if (judged.kind === 'fails') break;
  }
  if (best === undefined) return undefined;
  if (best.judged.kind === 'fails') {
    const sides = withMovedSides(best.candidate);
    const checkedSides = sides && checkText({ path: place, text: write(sides).text });
    const moved = checkedSides?.kind === 'checked' ? movedValues(checkedSides, sides!) : noMovedValues;
    best = await shortest({ ...best, judged: best.judged }, moved, { write, judge });
  }
  const failsAlone = best.judged.kind === 'fails';
  const why = best.judged.kind === 'fails' ? best.judged.why : counterexample.why;
  const documentation = commentText(failure, why, failsAlone);
  return format(moduleOf({ ...best.candidate, documentation }, around), '');
}

/** A property that may become the file. */
interface Draft {
  readonly candidate: PropertyDeclaration;
  readonly text: string;
}

interface Failing extends Draft {
  readonly judged: Extract<Judged, { kind: 'fails' }>;
}

interface Trial {
  readonly write: (candidate: PropertyDeclaration) => Draft;
  readonly judge: (draft: Draft) => Promise<Judged>;
}

/** Steps of making the property shorter, each of which is checked and run. */
const mostSteps = 40;

async function shortest(from: Failing, moved: MovedValues, { write, judge }: Trial): Promise<Failing> {
  let best = from;
  let steps = 0;
  for (let isShorter = true; isShorter; ) {
    isShorter = false;
    for (const candidate of shorterProperties(best.candidate, moved)) {
      const draft = write(candidate);
      if (!isLess(draft.text, best.text)) continue;
      if (steps++ >= mostSteps) return best;
      const judged = await judge(draft);
      if (judged.kind !== 'fails') continue;
      best = { ...draft, judged };
      isShorter = true;
      break;
    }
  }
  return best;
}

/** Of fewer lines, or of as many and fewer characters. */
function isLess(text: string, than: string): boolean {
  const [lines, others] = [text, than].map((each) => each.split('\n').length);
  return lines! < others! || (lines === others && text.length < than.length);
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
  checked: Checked | Rejected,
  { property: { name }, counterexample, outcome }: Failure,
  runners: Runners,
): Promise<Judged> {
  if (checked.kind === 'rejected') return { kind: 'rejected' };
  const property = checked.program.properties.get(name)!;
  const judge = judgeOf(checked, property, runners);
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

function moduleOf(property: PropertyDeclaration, around: Surroundings): Module {
  const imports = neededImports(property, around);
  const isImported = imports.some(({ from }) => from === around.from);
  const axes = undeclaredAxes(property, around.module, isImported ? around.axes : []);
  const mesh: readonly Declaration[] = axes.length === 0 ? [] : [{ kind: 'mesh', axes, span: nowhere }];
  return {
    path: '',
    name: undefined,
    declarations: [...imports, ...mesh, property],
    comments: [],
    span: nowhere,
  };
}

/** The axes that nothing else makes known: not the types of its values, nor modules that it imports. */
function undeclaredAxes(
  property: PropertyDeclaration,
  module: Module,
  imported: readonly string[],
): readonly Identifier[] {
  const { quantifiers } = property;
  const types = allNames(quantifiers.flatMap((each) => (each.kind === 'value' ? [each.type] : [])));
  const onMesh = quantifiers
    .flatMap((each) => (each.kind === 'mesh' ? each.axes : []))
    .map(({ name }) => name);
  const declared = module.declarations.flatMap((each) => (each.kind === 'mesh' ? each.axes : []));
  const used = allNames(property);
  const axes = new Map([...declared, ...onMesh].map((axis) => [axis.name, axis] as const));
  const isKnown = (name: string): boolean =>
    types.has(name) || (imported.includes(name) && onMesh.some((axis) => axis.name === name));
  return [...axes.values()].filter(({ name }) => used.has(name) && !isKnown(name));
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
