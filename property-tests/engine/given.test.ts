/** What is given is what is run: every number of every type, at the sizes that it says, and nothing else. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { roundTo } from '../../compiler/graph/rounding.ts';
import { checkSource } from '../../driver/check.ts';
import { format } from '../../dsl/syntax/format.ts';
import type { DataExpression, Module } from '../../dsl/syntax/tree.ts';
import { type Dtype, dtypes, isFloatDtype, rangeOfIntegers } from '../../dsl/types/dtype.ts';
import type { Case } from './case.ts';
import { nowhere, numberText } from './data-expression.ts';
import { domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import { judgeOf } from './judge.ts';
import { seededChoices } from './random-case.ts';
import { runProperty } from './run-property.ts';
import { simplerCases } from './shrink-case.ts';

function opened(text: string) {
  const checked = checkSource({ path: '/given.ricci', text });
  if (checked.kind === 'rejected') throw new Error(`${checked.diagnostics[0]?.message}\n${text}`);
  const property = checked.program.properties.get('p')!;
  const judge = judgeOf(checked, property, {});
  return { judge, domain: domainOf(judge.program, property) };
}

function onlyCase(text: string): Case {
  const found = exhaust(opened(text).domain, 256, 1);
  expect(found).toMatchObject({ isAll: true, cases: { length: 1 } });
  return found!.cases[0]!;
}

describe('sizes', () => {
  test('are those of the lists', () => {
    const { sizes } = onlyCase(`property p
      forall x: f32[N] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11], y: f32[2 * M, A + 1] = [[1, 2, 3], [4, 5, 6]]
      check x == x`);
    expect(Object.fromEntries(sizes)).toEqual({ N: 11, M: 1, A: 2 });
  });

  test('that no list says are still drawn, above the indices that are given', () => {
    const { domain } = opened('property p forall i: ix(E)[2] = [100, 0], x: f32[N] check x == x');
    const choose = seededChoices(3);
    const drawn = Array.from({ length: 50 }, () => domain.drawSizes(choose)!);
    expect(Math.min(...drawn.map((sizes) => sizes.get('E')!))).toBe(101);
    expect(new Set(drawn.map((sizes) => sizes.get('N'))).size).toBeGreaterThan(3);
  });

  test('leave the orders of the axes open', () => {
    const { domain } = opened(`property p
      forall x: f32[4@(a, b)] = [1, 2, 3, 4], mesh { a: 2..2, b: 2..2, c: 1..1 } check x == x
      mesh (a, b, c)`);
    const meshes = exhaust(domain, 256, 1)!.cases.map(({ mesh }) =>
      mesh!.axes.map(({ name }) => name).join(''),
    );
    expect(meshes).toEqual(['abc', 'bac']);
  });

  test('above which a mesh begins do not keep a case off one device', async () => {
    const { judge } = opened('mesh (a)\nproperty p forall mesh { a: 2..2 }, x: f32[4@a] check x == x');
    const options = { runs: 5, seed: 1, path: undefined, exhaust: 256, targets: ['reference'] as const };
    const { outcome, coverage } = await runProperty(judge, { ...options, onCase: () => {} });
    expect(outcome.kind).toBe('passed');
    expect(coverage.refused).toBe(0);
    expect([...coverage.counts.get('way')!.keys()]).toEqual(['reference', 'reference on a mesh']);
  });
});

test('what is given is not made simpler', () => {
  const { domain } = opened('property p forall x: f32[2] = [7, 8], y: f32[N] check x == x');
  const choose = seededChoices(3);
  const sizes = new Map([['N', 3]]);
  const tried: Case = { sizes, mesh: undefined, values: domain.drawValues(sizes, choose) };
  const simpler = [...simplerCases(tried, domain)];
  expect(simpler.length).toBeGreaterThan(3);
  for (const { values } of simpler) expect([...(values.get('x')!.data as Float64Array)]).toEqual([7, 8]);
});

// ── numbers ────────────────────────────────────────────────────────────────────────────────────────────────

const doubles = fc.oneof(
  fc.double(),
  fc.float(),
  fc.double({ min: -600, max: 600 }),
  fc.constantFrom(0, -0, 1e20, 2 ** 53, 3.4028234663852886e38, 2 ** -149, 65504, 448, -57344),
);

function valuesOf(dtype: Dtype): fc.Arbitrary<number> {
  if (dtype === 'bool') return fc.nat(1);
  if (isFloatDtype(dtype)) return doubles.map((value) => roundTo(dtype, value));
  const { least, most } = rangeOfIntegers(dtype);
  return fc.integer({ min: least, max: most });
}

const stored = fc.constantFrom(...dtypes).chain((dtype) =>
  fc.record({
    dtype: fc.constant(dtype),
    values: fc.array(valuesOf(dtype), { minLength: 1, maxLength: 40 }),
  }),
);

type Text = (dtype: Dtype, value: number) => string;

/** The values that a formatted program runs with, of those that are written into it. */
function through(text: Text, dtype: Dtype, values: readonly number[]): readonly number[] {
  const elements = values.map((value): DataExpression => {
    return dtype === 'bool'
      ? { kind: 'boolean', value: value !== 0, span: nowhere }
      : { kind: 'number', text: text(dtype, value), span: nowhere };
  });
  const named = (name: string) => ({ name, span: nowhere });
  const x = { kind: 'name', name: 'x', span: nowhere } as const;
  const sizes = [
    { size: { kind: 'name', name: 'N', span: nowhere }, placement: { kind: 'none' }, span: nowhere },
  ] as const;
  const path = { qualifier: undefined, name: named(dtype), span: nowhere };
  const type = { kind: 'named', path, sizes: [], dims: sizes, pending: [], span: nowhere } as const;
  const given = { kind: 'list', elements, span: nowhere } as const;
  const module: Module = {
    path: '',
    name: undefined,
    comments: [],
    span: nowhere,
    declarations: [
      {
        kind: 'property',
        name: named('p'),
        quantifiers: [{ kind: 'value', name: named('x'), type, traits: [], given, span: nowhere }],
        facts: [],
        bindings: [],
        conditions: [],
        checks: [{ relation: '==', left: x, right: x, label: undefined, span: nowhere }],
        documentation: undefined,
        span: nowhere,
      },
    ],
  };
  return [...(onlyCase(format(module, '')).values.get('x')!.data as Float64Array)];
}

test('every number of every type comes through a file as it is', () => {
  fc.assert(
    fc.property(stored, ({ dtype, values }) => {
      expect(through(numberText, dtype, values)).toEqual(values);
    }),
    { numRuns: 60 },
  );
});

const mutants: Readonly<Record<string, Text>> = {
  'fewer digits': (dtype, value) =>
    Number.isFinite(value) && isFloatDtype(dtype)
      ? `${Number(value.toPrecision(3))}`
      : numberText(dtype, value),
  'no sign': (dtype, value) => numberText(dtype, value).replace('-', ''),
  'no infinities': (dtype, value) => (Number.isFinite(value) ? numberText(dtype, value) : '0'),
};

test.each(Object.entries(mutants))('which is seen with %s', (_, text) => {
  const { failed } = fc.check(
    fc.property(stored, ({ dtype, values }) => {
      expect(through(text, dtype, values)).toEqual(values);
    }),
    { numRuns: 60, endOnFailure: true },
  );
  expect(failed).toBe(true);
});
