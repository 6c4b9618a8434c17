/** The tour's properties hold where they are tried, as entries like any other; a mutant of each does not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { asEntry } from '../compiler/lower/property-entry.ts';
import { type Checked, checkFile, lower } from '../driver/compile.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import type { TensorData } from '../runtime/weights/tensor-data.ts';
import { distance } from './run-entry.ts';

const path = join(import.meta.dirname, 'properties/tour.ricci');
/** To be checked from another folder. */
const text = readFileSync(path, 'utf8').replaceAll('"../', `"${import.meta.dirname}/`);
const folder = mkdtempSync(join(tmpdir(), 'ricci-properties-'));
afterAll(() => rmSync(folder, { recursive: true }));

function checkTour(change: (text: string) => string): Checked {
  const file = join(folder, 'tour.ricci');
  writeFileSync(file, change(text));
  const outcome = checkFile(file);
  if (outcome.kind === 'checked') return outcome;
  throw new Error(outcome.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

const unchanged = (text: string): string => text;

interface Case {
  readonly property: string;
  /** With devices along `sp`: on a mesh. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Makes the property false. */
  readonly mutant: readonly [before: string, after: string];
  readonly tolerance: number;
}

const cases: readonly Case[] = [
  {
    property: 'upcycling_keeps_the_dense_model',
    sizes: { T: 3, D: 4, F: 2 },
    mutant: ['moe.moe[8]', 'moe.moe[4]'],
    tolerance: 1e-5,
  },
  {
    property: 'permuting_experts_changes_nothing',
    sizes: { D: 4, E: 5, F: 3 },
    mutant: ['experts[E - 1 - e]', 'experts[e]'],
    tolerance: 1e-5,
  },
  {
    property: 'a_wide_window_is_no_window',
    sizes: { G: 2, R: 3, A: 4 },
    mutant: ['windowed[8]', 'windowed[7]'],
    tolerance: 1e-5,
  },
  ...[{}, { sp: 2 }].map(
    (mesh): Case => ({
      property: 'schemes_agree',
      sizes: { S: 4, G: 2, R: 2, A: 3, ...mesh },
      mutant: ['ring(q, k, v)', 'ring(q, k, k)'],
      // Results are bf16, and pieces that merge add in another order: one ulp.
      tolerance: 2 ** -7,
    }),
  ),
];

type Tensors = ReadonlyMap<string, TensorData>;

function run({ program, sources }: Checked, { property, sizes }: Case): Tensors {
  const found = program.properties.get(property)!;
  const checked: Checked = { kind: 'checked', program: asEntry(program, found), sources };
  const solved = solveEntrySizes(checked.program, property, new Map(), new Map(Object.entries(sizes)));
  if (solved.kind === 'rejected') throw new Error(solved.diagnostics.map(({ message }) => message).join());
  const inputs = new Map(
    describeEntry(checked.program, property).inputs.map(
      (input) => [input.path, randomInput(input, solved.sizes, 5)] as const,
    ),
  );
  const instance = { entry: property, sizes: solved.sizes, inputDtypes: new Map() };
  const mesh = { axes: program.axes.map((name) => ({ name, size: sizes[name] ?? 1 })) };
  const lowered = lower(checked, sizes.sp === undefined ? instance : { ...instance, mesh });
  if (lowered.kind === 'rejected') throw new Error(lowered.diagnostics.map(({ message }) => message).join());
  return lowered.device ? runReferenceOnMesh(lowered.device, inputs) : runReference(lowered.graph, inputs);
}

/** How far the two sides of the one check are apart. */
function apart(outputs: Tensors): number {
  return distance(new Map([['side', outputs.get('out.0')!]]), new Map([['side', outputs.get('out.1')!]]));
}

describe.each(cases)('$property, $sizes', (each) => {
  const { mutant, tolerance } = each;

  test('holds', () => {
    const outputs = run(checkTour(unchanged), each);
    expect([...outputs.keys()]).toEqual(['out.0', 'out.1']);
    expect(apart(outputs)).toBeLessThanOrEqual(tolerance);
  });

  test(`does not with ${mutant[1]}`, () => {
    expect(text).toContain(mutant[0]);
    const changed = checkTour((text) => text.replace(...mutant));
    expect(apart(run(changed, each))).toBeGreaterThan(tolerance);
  });
});

test('all of them are tried, and none is an entry by itself', () => {
  const { program } = checkTour(unchanged);
  expect(new Set(program.properties.keys())).toEqual(new Set(cases.map(({ property }) => property)));
  expect([...program.entries.keys()]).toEqual([]);
});
