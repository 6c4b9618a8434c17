/** What `ricci test` says: for people, as diagnostics, as JSON, and as JUnit XML. */
import { resolve } from 'node:path';
import type { Diagnostic } from '../dsl/diagnostics/diagnostic.ts';
import type { PropertyInfo } from '../dsl/types/typed.ts';
import {
  type Counterexample,
  type Coverage,
  type PropertyReport,
  sizesText,
  wayText,
} from '../property-tests/engine/report.ts';
import type { SavedCounterexample } from './saved-counterexample.ts';
import { alignColumns, counted } from './table.ts';

export interface TestedFile {
  readonly file: string;
  readonly reports: readonly TestedProperty[];
}

export interface TestedProperty extends PropertyReport {
  /** Its counterexample as a file. */
  readonly saved: SavedCounterexample | undefined;
}

// ── for people ─────────────────────────────────────────────────────────────────────────────────────────────

const verdicts: { readonly [K in PropertyReport['outcome']['kind']]: string } = {
  passed: 'ok',
  failed: 'FAILED',
  undecided: 'UNDECIDED',
  vacuous: 'NOTHING TO TEST',
};

export function summaryLines(tested: readonly TestedFile[], seed: number): readonly string[] {
  const all = tested.flatMap(({ reports }) => reports);
  const failed = all.filter(({ outcome }) => outcome.kind !== 'passed').length;
  const properties = all.length === 1 ? 'property' : 'properties';
  const end =
    failed === 0
      ? `${all.length} ${properties}, all hold`
      : `${failed} of ${all.length} ${properties} failed`;
  return [...tested.flatMap(fileLines), `${end} (--seed ${seed})`];
}

function fileLines({ file, reports }: TestedFile): readonly string[] {
  const rows = reports.map(({ name, outcome, coverage }) => [
    `  ${verdicts[outcome.kind]}`,
    name,
    coverageText(coverage),
  ]);
  return [file, ...alignColumns(rows, ['left', 'left', 'left'])];
}

/** `100 cases, all sizes: reference 100, wgsl 10; refused 3` */
function coverageText({ cases, exhausted, excluded, refused, undecided, counts }: Coverage): string {
  const ways = [...(counts.get('way') ?? [])].map(([way, count]) => `${way} ${count}`);
  const all = { cases: ', all there are', sizes: ', all sizes' };
  return [
    `${counted(cases, 'case')}${exhausted === undefined ? '' : all[exhausted]}`,
    ...(ways.length === 0 ? [] : [`: ${ways.join(', ')}`]),
    ...(excluded === 0 ? [] : [`; ${excluded} excluded`]),
    ...(refused === 0 ? [] : [`; ${refused} refused`]),
    ...(undecided === 0 ? [] : [`; ${undecided} undecided`]),
  ].join('');
}

// ── a property that failed ─────────────────────────────────────────────────────────────────────────────────

export const propertyCodes = { failed: 'E0901', undecided: 'E0902', vacuous: 'E0903' } as const;

/** At the check that does not hold. Undefined where all do. */
export function failureDiagnostic(
  file: string,
  property: PropertyInfo,
  { outcome, saved }: TestedProperty,
): Diagnostic | undefined {
  if (outcome.kind === 'passed') return undefined;
  const base = { severity: 'error', secondary: [], fixes: [], code: propertyCodes[outcome.kind] } as const;
  if (outcome.kind === 'vacuous')
    return {
      ...base,
      message: `${property.name} has no case to test`,
      primary: { span: property.span, message: outcome.why },
      notes: [],
      help: ['ask less in its `where`, or give its sizes wider ranges'],
    };
  const { counterexample } = outcome;
  const isItself = saved?.file !== undefined && resolve(saved.file) === resolve(file);
  const check = property.checks[counterexample.check ?? -1];
  const label = check?.label === undefined ? '' : ` (${check.label})`;
  return {
    ...base,
    message:
      outcome.kind === 'failed'
        ? `${property.name}${label} does not hold`
        : `whether ${property.name}${label} holds cannot be decided`,
    primary: { span: check?.span ?? property.span, message: counterexample.why },
    notes: caseNotes(counterexample, isItself ? undefined : saved),
    help: [
      ...(saved?.file === undefined || isItself ? [] : [`it is in ${saved.file}: ricci test ${saved.file}`]),
      `to run it again: ${replayCommand(file, property.name, counterexample)}`,
    ],
  };
}

function caseNotes(
  { case: { sizes, mesh }, way, shrinks }: Counterexample,
  saved: SavedCounterexample | undefined,
): readonly string[] {
  const devices = mesh?.axes.map(({ name, size }) => `${name}=${size}`).join(',');
  const found = sizesText(sizes);
  return [
    `on ${wayText(way)}${devices === undefined ? '' : ` ${devices}`}${found === '' ? '' : `, with ${found}`}`,
    ...(shrinks === 0 ? [] : [`made simpler ${counted(shrinks, 'time')}`]),
    ...(saved === undefined ? [] : [`the counterexample by itself:\n${saved.text.trimEnd()}`]),
    ...(saved?.unsaved === undefined ? [] : [`it was not saved: ${saved.unsaved}`]),
  ];
}

/** Where a target is not to be had, what fails there alone is not passed over. */
export function replayCommand(file: string, name: string, { seed, path, way }: Counterexample): string {
  const target = way.target === 'reference' ? '' : ` --target ${way.target}`;
  return `ricci test ${file} --property ${name} --seed ${seed} --path ${path}${target}`;
}

// ── for programs ───────────────────────────────────────────────────────────────────────────────────────────

export function reportJson(tested: readonly TestedFile[], seed: number): Readonly<Record<string, unknown>> {
  return {
    seed,
    files: tested.map(({ file, reports }) => ({ file, properties: reports.map(propertyJson) })),
  };
}

function propertyJson({ name, outcome, coverage, milliseconds, saved }: TestedProperty): unknown {
  const { cases, excluded, refused, undecided, exhausted = null, counts } = coverage;
  return {
    name,
    outcome: outcome.kind,
    ...(outcome.kind === 'vacuous' ? { why: outcome.why } : {}),
    ...('counterexample' in outcome
      ? { counterexample: counterexampleJson(outcome.counterexample, saved) }
      : {}),
    cases,
    excluded,
    refused,
    undecided,
    exhausted,
    milliseconds: Math.round(milliseconds),
    coverage: Object.fromEntries([...counts].map(([kind, own]) => [kind, Object.fromEntries(own)])),
  };
}

function counterexampleJson(found: Counterexample, saved: SavedCounterexample | undefined): unknown {
  const { case: tried, check, way, why, seed, path, shrinks } = found;
  return {
    check,
    target: way.target,
    mesh: way.onMesh ? Object.fromEntries(tried.mesh!.axes.map(({ name, size }) => [name, size])) : null,
    why,
    seed,
    path,
    shrinks,
    sizes: Object.fromEntries(tried.sizes),
    values: Object.fromEntries(
      [...tried.values].map(([name, { dtype, shape, data }]) => [
        name,
        { dtype, shape, data: Array.from(data as ArrayLike<number>) },
      ]),
    ),
    text: saved?.text ?? null,
    file: saved?.file ?? null,
  };
}

/** As CI systems read it: a suite a file, a case a property. */
export function junitText(tested: readonly TestedFile[]): string {
  const suites = tested.map(({ file, reports }) => {
    const failures = reports.filter(({ outcome }) => outcome.kind !== 'passed').length;
    const seconds = reports.reduce((sum, { milliseconds }) => sum + milliseconds, 0) / 1000;
    const attributes = attributesText({
      name: file,
      tests: reports.length,
      failures,
      time: seconds.toFixed(3),
    });
    return `  <testsuite ${attributes}>\n${reports.map((each) => junitCase(file, each)).join('')}  </testsuite>\n`;
  });
  return `<?xml version="1.0" encoding="UTF-8"?>\n<testsuites name="ricci">\n${suites.join('')}</testsuites>\n`;
}

function junitCase(file: string, { name, outcome, milliseconds }: TestedProperty): string {
  const open = `    <testcase ${attributesText({ classname: file, name, time: (milliseconds / 1000).toFixed(3) })}`;
  if (outcome.kind === 'passed') return `${open}/>\n`;
  const why = outcome.kind === 'vacuous' ? outcome.why : outcome.counterexample.why;
  const again = outcome.kind === 'vacuous' ? '' : replayCommand(file, name, outcome.counterexample);
  const failure = `<failure ${attributesText({ type: outcome.kind, message: why })}>${escaped(again)}</failure>`;
  return `${open}>\n      ${failure}\n    </testcase>\n`;
}

function attributesText(attributes: Readonly<Record<string, string | number>>): string {
  return Object.entries(attributes)
    .map(([name, value]) => `${name}="${escaped(`${value}`)}"`)
    .join(' ');
}

const entities: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' };

/** Control characters, which XML has not, are left out. */
function escaped(text: string): string {
  return [...text]
    .filter((letter) => letter >= ' ' || letter === '\n')
    .map((letter) => entities[letter] ?? letter)
    .join('');
}
