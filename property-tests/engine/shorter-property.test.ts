/** Properties that say the same in less: numbers for sizes, and bindings put in where they are named. */
import { describe, expect, test } from 'vitest';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import type { PropertyDeclaration } from '../../dsl/syntax/tree.ts';
import { inlined } from './inlined.ts';
import { withPlainSizes } from './plain-sizes.ts';
import { withoutPlaces } from './tree-parts.ts';

function propertyOf(text: string): PropertyDeclaration {
  const { module, diagnostics } = parse({ path: 'p.ricci', text });
  expect(diagnostics).toEqual([]);
  return withoutPlaces(module.declarations.find((each) => each.kind === 'property')!);
}

function textOf(property: PropertyDeclaration): string {
  const span = { file: '', start: 0, end: 0 };
  return format({ path: '', name: undefined, declarations: [property], comments: [], span }, '');
}

/** As the formatter writes it. */
function written(text: string): string {
  return textOf(propertyOf(text));
}

describe('numbers for sizes', () => {
  const plain = (text: string, sizes: Readonly<Record<string, number>>): string =>
    textOf(withPlainSizes(propertyOf(text), new Map(Object.entries(sizes))));

  test('stand in types, ranges, calls, facts and values, and what is said of numbers alone is left out', () => {
    const text = `property p
      forall S: 1..4, G: 2..2, mesh { sp: 1..G }, x: f32[S * G@sp, D], y: Pair(D)[S / G], i: ix(S + 1)
      where sp | S, S <= 4 * G
      let a = f[S - 1](x) * S
      let b[s < S, (g < G, d)] = x[(s, g), d] as [S@sp, D]
      given fold k < G from t = 0: t + D
      check a === g(b, S -> G) / G`;
    expect(plain(text, { S: 4, G: 2, D: 3 })).toBe(
      written(`property p
        forall mesh { sp: 1..2 }, x: f32[8@sp, 3], y: Pair(3)[2], i: ix(5)
        where sp | 4
        let a = f[3](x) * 4
        let b[s < 4, (g < 2, d)] = x[(s, g), d] as [4@sp, 3]
        given fold k < 2 from t = 0: t + 3
        check a === g(b, 4 -> 2) / 2`),
    );
  });

  test('do not stand for what only has the name of a size', () => {
    const text = 'property p forall x: f32[N, M] check (for N: x[N, M - 1]) == x.N';
    expect(plain(text, { N: 2, M: 3 })).toBe(
      written('property p forall x: f32[N, 3] check (for N: x[N, 3 - 1]) == x.N'),
    );
  });

  test('leave a quotient that is no number', () => {
    expect(plain('property p forall x: f32[N / 2, 1 - N] check true', { N: 3 })).toBe(
      written('property p forall x: f32[3 / 2, 1 - 3] check true'),
    );
  });
});

describe('a binding put in where it is named', () => {
  const without = (text: string, place: number): string | undefined => {
    const property = inlined(propertyOf(text), place);
    return property && textOf(property);
  };
  const examples: readonly (readonly [string, string | undefined])[] = [
    ['let a = f(x) given a > 0 check a + 1 == a * 2', 'given f(x) > 0 check f(x) + 1 == f(x) * 2'],
    ['let a = x + 1 check a * 2 == y', 'check (x + 1) * 2 == y'],
    // The element of a comprehension that is read, a row of it, and all of it.
    ['let a[i, j] = x[j, i] check a[k, 0] == y', 'check x[0, k] == y'],
    ['let a[i, j < 4] = x[j, i] check a[k] == y', 'check (for j < 4: x[j, k]) == y'],
    ['let a[i] = x[i] check f(a) == y', 'check f(for i: x[i]) == y'],
    ['let a[i] = x[i] check a[:] == y', 'check (for i: x[i])[:] == y'],
    ['let a[(i, j)] = x[j, i] check a[(k, 0)] == y', 'check (for (i, j): x[j, i])[(k, 0)] == y'],
    // A name that would come to stand for something else.
    ['let a = f(x) check (for x: a) == y', undefined],
    ['let a = f(x) check (for a: a) == y', undefined],
    ['let a = f(x) check per_device sp (a) { a } == y', undefined],
    ['let a[i] = x[i] check a[j] == (for i: y[i])', 'check x[j] == (for i: y[i])'],
    ['let a[i] = sum j: x[i, j] check (for j: a[j]) == y', 'check (for j: (for i: sum j: x[i, j])[j]) == y'],
    // Rounded, and a part of a tuple.
    ['let a: bf16[N] = f(x) check a == y', undefined],
    ['let (a, b) = f(x) check a == y', undefined],
  ];

  test.each(examples)('%s', (text, expected) => {
    const head = 'property p forall x: f32[N], y: f32[N]';
    expect(without(`${head} ${text}`, 0)).toBe(expected && written(`${head} ${expected}`));
  });

  test('is of those that come before it, and not of another with its name', () => {
    const head = 'property p forall x: f32[N]';
    const two = `${head} let a = f(x) let b = g(a) check b == a`;
    expect(without(two, 0)).toBe(written(`${head} let b = g(f(x)) check b == f(x)`));
    expect(without(two, 1)).toBe(written(`${head} let a = f(x) check g(a) == a`));
    expect(without(`${head} let a = f(x) let a = g(a) check a == x`, 0)).toBeUndefined();
    expect(without(`${head} let a = f(x) let a = g(a) check a == x`, 1)).toBeUndefined();
    expect(without(`${head} let a = f(x) let x = g(a) check a == x`, 0)).toBeUndefined();
  });
});
