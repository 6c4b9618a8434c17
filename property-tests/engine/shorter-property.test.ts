/** Properties that say the same in less: numbers for sizes, values for bindings, or bindings put in where named. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { asEntry } from '../../compiler/lower/property-entry.ts';
import { type Checked, checkFile, type Rejected, sourceChecker } from '../../driver/check.ts';
import { standardLibrary } from '../../driver/module-loader.ts';
import { format } from '../../dsl/syntax/format.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import type { PropertyDeclaration } from '../../dsl/syntax/tree.ts';
import { caseAt, domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import { inlined } from './inlined.ts';
import { judgeOf, waysOf } from './judge.ts';
import { movedValues, withMovedSides } from './moved-values.ts';
import { neededImports, surroundingsOf } from './needed-imports.ts';
import { pinnedProperty } from './pinned-property.ts';
import { withPlainSizes } from './plain-sizes.ts';
import { seededChoices } from './random-case.ts';
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

// ── of the standard library ────────────────────────────────────────────────────────────────────────────────

interface Forms {
  /** The property of one case with numbers for sizes, then with each binding put in where it is named. */
  readonly same: readonly PropertyDeclaration[];
  /** The mutants: what is put in is the value of another binding. */
  readonly wrong: readonly PropertyDeclaration[];
}

function formsOf(declaration: PropertyDeclaration, { program }: Checked): Forms {
  const property = program.properties.get(declaration.name.name)!;
  const domain = domainOf(asEntry(program, property), property);
  const choose = seededChoices(3);
  const sizes = domain.drawSizes(choose)!;
  const drawn = caseAt(domain, sizes, choose);
  // Axes of a mesh that the program does not name are drawn too.
  const mesh = domain.names.some(({ isAxis }) => isAxis) ? drawn.mesh : undefined;
  const own = new Map(property.function.sizes.map((name) => [name, sizes.get(name)!]));
  const plain = withPlainSizes(pinnedProperty(declaration, property, { ...drawn, mesh }), own);
  const { bindings } = plain;
  return {
    same: [plain, ...bindings.flatMap((_, place) => inlined(plain, place) ?? [])],
    wrong: bindings.slice(1).flatMap((binding, before) => {
      const changed = { ...binding, value: bindings[before]!.value };
      return inlined({ ...plain, bindings: bindings.with(before + 1, changed) }, before + 1) ?? [];
    }),
  };
}

test('the properties of the standard library hold in every such form', async () => {
  const check = sourceChecker();
  const place = join(standardLibrary, 'alone.ricci');
  const same = { holds: 0, rejected: 0, undecided: 0, fails: 0, refused: 0, excluded: 0 };
  const wrong = { ...same };
  let given = 0;
  for (const name of readdirSync(standardLibrary).filter((each) => each.endsWith('.ricci'))) {
    const path = join(standardLibrary, name);
    const checked = checkFile(path);
    if (checked.kind !== 'checked') throw new Error(path);
    const module = withoutPlaces(parse({ path, text: readFileSync(path, 'utf8') }).module);
    const around = surroundingsOf(module, checked.program.axes, path, standardLibrary);
    const meshes = module.declarations.filter(({ kind }) => kind === 'mesh');
    const checkedAlone = (each: PropertyDeclaration): Checked | Rejected => {
      const declarations = [...neededImports(each, around), ...meshes, each];
      const text = format({ ...module, name: undefined, comments: [], declarations }, '');
      return check({ path: place, text });
    };
    const withValuesGiven = (each: PropertyDeclaration): readonly PropertyDeclaration[] => {
      const sides = withMovedSides(each);
      const found = sides && checkedAlone(sides);
      if (found?.kind !== 'checked') return [];
      const moved = movedValues(found, sides!);
      const bindings = each.bindings.filter(
        ({ pattern }) => pattern.kind === 'tuple' || !moved.has(pattern.name.name),
      );
      given += moved.size;
      return [{ ...each, quantifiers: [...each.quantifiers, ...moved.values()], bindings }];
    };
    const judged = async (each: PropertyDeclaration): Promise<keyof typeof same> => {
      const found = checkedAlone(each);
      if (found.kind === 'rejected') return 'rejected';
      const judge = judgeOf(found, found.program.properties.get(each.name.name)!, {});
      const [tried] = exhaust(domainOf(judge.program, judge.property), 24, 0)!.cases;
      return (await judge.judge(tried!, waysOf(tried!, ['reference']))).kind;
    };
    for (const declaration of module.declarations) {
      if (declaration.kind !== 'property') continue;
      const forms = formsOf(declaration, checked);
      for (const each of [...forms.same, ...withValuesGiven(forms.same[0]!)]) {
        const kind = await judged(each);
        expect(kind, textOf(each)).not.toBe('fails');
        same[kind]++;
      }
      for (const each of forms.wrong) wrong[await judged(each)]++;
    }
  }
  expect(same.holds).toBeGreaterThan(90);
  expect(same.rejected).toBeLessThan(9);
  expect(wrong.fails).toBeGreaterThan(2);
  expect(given).toBeGreaterThan(9);
});
