/** The properties beside this hold where they are tried, as entries like any other; a mutant of each does not. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { describeEntry, solveEntrySizes } from '../compiler/lower/entry.ts';
import { asEntry } from '../compiler/lower/property-entry.ts';
import { type Checked, checkFile } from '../driver/check.ts';
import { lower } from '../driver/lower.ts';
import { randomInput } from '../driver/random-inputs.ts';
import { runReference } from '../driver/run-reference.ts';
import { runReferenceOnMesh } from '../driver/run-reference-mesh.ts';
import type { PropertyInfo, Trait } from '../dsl/types/typed.ts';
import { type TensorData, tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { distance } from './run-entry.ts';

type File = 'tour' | 'laws';

const folder = mkdtempSync(join(tmpdir(), 'ricci-properties-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** To be checked from another folder. */
function textOf(file: File): string {
  const text = readFileSync(join(import.meta.dirname, `properties/${file}.ricci`), 'utf8');
  return text.replaceAll('"../', `"${import.meta.dirname}/`);
}

function checkChanged(file: File, change: (text: string) => string): Checked {
  const path = join(folder, `${file}.ricci`);
  writeFileSync(path, change(textOf(file)));
  const outcome = checkFile(path);
  if (outcome.kind === 'checked') return outcome;
  throw new Error(outcome.diagnostics.map(({ code, message }) => `${code} ${message}`).join('\n'));
}

const unchanged = (text: string): string => text;

interface Case {
  readonly file: File;
  readonly property: string;
  /** With devices along `sp`: on a mesh. */
  readonly sizes: Readonly<Record<string, number>>;
  /** Makes the property false. */
  readonly mutant: readonly [before: string, after: string];
  /** Of `~=`; nothing for other relations. */
  readonly tolerance: number;
}

const cases: readonly Case[] = [
  {
    file: 'tour',
    property: 'upcycling_keeps_the_dense_model',
    sizes: { T: 3, D: 4, F: 2 },
    mutant: ['moe.moe[8]', 'moe.moe[4]'],
    tolerance: 1e-5,
  },
  {
    file: 'tour',
    property: 'permuting_experts_changes_nothing',
    sizes: { D: 4, E: 5, F: 3 },
    mutant: ['experts[E - 1 - e]', 'experts[e]'],
    tolerance: 1e-5,
  },
  {
    file: 'tour',
    property: 'a_wide_window_is_no_window',
    sizes: { G: 2, R: 3, A: 4 },
    mutant: ['windowed[8]', 'windowed[7]'],
    tolerance: 0,
  },
  ...[{}, { sp: 2 }].map(
    (mesh): Case => ({
      file: 'tour',
      property: 'schemes_agree',
      sizes: { S: 4, G: 2, R: 2, A: 3, ...mesh },
      mutant: ['ring(q, k, v)', 'ring(q, k, k)'],
      // Results are bf16, and pieces that merge add in another order: one ulp.
      tolerance: 2 ** -7,
    }),
  ),
  {
    file: 'laws',
    property: 'attention_is_causal',
    sizes: { S: 5, G: 2, R: 2, A: 3 },
    mutant: ['then v[s, g, a]', 'then later_v[s, g, a]'],
    tolerance: 0,
  },
  {
    file: 'laws',
    property: 'a_block_is_causal',
    sizes: { S: 4, D: 3, F: 2, G: 2, R: 1, P: 1 },
    mutant: ['if s <= t then x[s, d]', 'if s < t then x[s, d]'],
    tolerance: 0,
  },
  {
    file: 'laws',
    property: 'attention_is_equivariant',
    sizes: { S: 3, U: 4, G: 2, R: 2, A: 3 },
    mutant: ['for u: v[p[u]]', 'v'],
    tolerance: 1e-5,
  },
  {
    file: 'laws',
    property: 'experts_have_no_order',
    sizes: { D: 4, E: 5, F: 3 },
    mutant: ['experts[p[e]]', 'experts[e]'],
    tolerance: 1e-5,
  },
  {
    file: 'laws',
    property: 'documents_are_apart',
    sizes: { S: 6, G: 2, R: 2, A: 3 },
    mutant: ['attention.documents(q, k, other, document)', 'attention.causal(q, k, other)'],
    tolerance: 0,
  },
  {
    file: 'laws',
    property: 'scales_cancel_in_a_norm',
    sizes: { D: 5 },
    mutant: ['rms_norm(for d: c * x[d]', 'rms_norm(for d: c + x[d]'],
    tolerance: 1e-5,
  },
  {
    file: 'laws',
    property: 'mixing_distinct_experts',
    sizes: { D: 3, E: 5, F: 2, K: 3 },
    mutant: ['weight[r[i]]', 'weight[i]'],
    tolerance: 1e-5,
  },
];

type Tensors = ReadonlyMap<string, TensorData>;

type Change<K extends Trait['kind']> = (
  values: Float64Array,
  length: number,
  trait: Extract<Trait, { kind: K }>,
) => Float64Array;

/** Values that have the trait, along a last dimension of the length. */
const changes: { readonly [K in Trait['kind']]: Change<K> } = {
  permutation: (values, length) => values.map((_, place) => (place + 1) % length),
  ascending: (values) => values.toSorted(),
  distinct: (values, length) => values.map((_, place) => place % length),
  positive: (values) => values.map((value) => Math.abs(value) + 1),
  range: (values, _, { from, to }) => values.map((value) => from + (Math.abs(value) % (to - from))),
};

function withTraits(tensor: TensorData, traits: readonly Trait[]): TensorData {
  const { dtype, shape } = tensor;
  const values = traits.reduce(
    (changed, trait) => (changes[trait.kind] as Change<Trait['kind']>)(changed, shape.at(-1) ?? 1, trait),
    tensorValues(tensor),
  );
  return tensorFromValues(dtype, shape, values);
}

function run({ program, sources }: Checked, info: PropertyInfo, { sizes }: Case): Tensors {
  const { name } = info;
  const checked: Checked = { kind: 'checked', program: asEntry(program, info), sources };
  const solved = solveEntrySizes(checked.program, name, new Map(), new Map(Object.entries(sizes)));
  if (solved.kind === 'rejected') throw new Error(solved.diagnostics.map(({ message }) => message).join());
  const inputs = new Map(
    describeEntry(checked.program, name).inputs.map((input) => {
      const random = randomInput(input, solved.sizes, 5);
      return [input.path, withTraits(random, info.traits.get(input.path) ?? [])] as const;
    }),
  );
  const instance = { entry: name, sizes: solved.sizes, inputDtypes: new Map() };
  const mesh = { axes: program.axes.map((axis) => ({ name: axis, size: sizes[axis] ?? 1 })) };
  const lowered = lower(checked, sizes.sp === undefined ? instance : { ...instance, mesh });
  if (lowered.kind === 'rejected') throw new Error(lowered.diagnostics.map(({ message }) => message).join());
  return lowered.device ? runReferenceOnMesh(lowered.device, inputs) : runReference(lowered.graph, inputs);
}

/** How far the sides of the checks are apart, at most. */
function apart(checked: Checked, each: Case): number {
  const info = checked.program.properties.get(each.property)!;
  const outputs = run(checked, info, each);
  const side = (position: number): Tensors => new Map([['side', outputs.get(`out.${position}`)!]]);
  expect(outputs.size).toBe(2 * info.checks.length + info.conditions.length);
  for (const position of info.conditions)
    expect([...tensorValues(outputs.get(`out.${position}`)!)]).not.toContain(0);
  return info.checks.reduce((most, check) => {
    if (check.relation === 'holds') throw new Error('none of these is a bool');
    return Math.max(most, distance(side(check.left), side(check.right)));
  }, 0);
}

describe.each(cases)('$property, $sizes', (each) => {
  const { file, mutant, tolerance } = each;

  test('holds', () => {
    expect(apart(checkChanged(file, unchanged), each)).toBeLessThanOrEqual(tolerance);
  });

  test(`does not with ${mutant[1]}`, () => {
    expect(textOf(file)).toContain(mutant[0]);
    const changed = checkChanged(file, (text) => text.replace(...mutant));
    expect(apart(changed, each)).toBeGreaterThan(tolerance);
  });
});

test.each(['tour', 'laws'] as const)('all of the %s are tried, and none is an entry by itself', (file) => {
  const { program } = checkChanged(file, unchanged);
  const tried = cases.filter((each) => each.file === file).map(({ property }) => property);
  expect(new Set(program.properties.keys())).toEqual(new Set(tried));
  expect([...program.entries.keys()]).toEqual([]);
});
