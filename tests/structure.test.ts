/** The house: a folder imports only from those above it in this list and from its own. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const house = [
  'dsl/diagnostics',
  'dsl/syntax',
  'dsl/placement',
  'dsl/types',
  'compiler/graph',
  'compiler/lower',
  'compiler/optimize',
  'compiler/partition',
  'compiler/bounded',
  'compiler/raise',
  'compiler/tiles',
  'compiler/plan',
  'backends/formulas',
  'backends/writing',
  'backends/wgsl',
  'backends/wasm',
  'backends/cuda-ptx',
  'runtime',
  'driver',
  'property-tests',
  'cli',
  'examples',
  'bench',
  'tests',
];

const root = resolve(import.meta.dirname, '..');

function sourceFiles(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(path).isDirectory()) return sourceFiles(path);
    return /\.ts$/.test(name) ? [path] : [];
  });
}

function room(path: string): number {
  const inside = relative(root, path);
  return house.findIndex((folder) => inside.startsWith(`${folder}/`));
}

interface Import {
  readonly from: string;
  readonly to: string;
  /** `import type …`: erased, so that nothing is imported when the program runs. */
  readonly isTypeOnly: boolean;
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const specifiers = [
    ...text.matchAll(/^(?:import|export)( type)?\b[^;]*?from '(\.[^']+)'|^import '(\.[^']+)'/gms),
  ];
  return specifiers.map((match) => ({
    from: file,
    to: resolve(dirname(file), match[2] ?? match[3] ?? ''),
    isTypeOnly: match[1] !== undefined,
  }));
}

/** Imports that go up the list. Tests may reach up to look at a later stage; what ships may not. */
function upward(imports: readonly Import[]): string[] {
  return imports
    .filter(({ from, to }) => room(to) < 0 || room(to) > room(from))
    .map(({ from, to }) => `${relative(root, from)} imports ${relative(root, to)}`);
}

/** Files that import each other, however far around. Types may: they need no order in which files are run. */
function cycles(imports: readonly Import[]): string[] {
  const targets = new Map<string, string[]>();
  for (const { from, to, isTypeOnly } of imports)
    if (!isTypeOnly) targets.set(from, [...(targets.get(from) ?? []), to]);
  const found: string[] = [];
  const done = new Set<string>();
  const visit = (file: string, path: readonly string[]): void => {
    const start = path.indexOf(file);
    if (start >= 0) found.push([...path.slice(start), file].map((part) => relative(root, part)).join(' → '));
    if (start >= 0 || done.has(file)) return;
    for (const target of targets.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of targets.keys()) visit(file, []);
  return found;
}

const folders = [...new Set(house.map((folder) => folder.split('/')[0] ?? ''))];
const shipped = folders
  .flatMap((folder) => sourceFiles(join(root, folder)))
  .filter((file) => !/\.test\.ts$|\/testing\.ts$/.test(file));

function planted(from: string, to: string): Import {
  return { from: join(root, from), to: join(root, to), isTypeOnly: false };
}

test('folders import only downwards', () => {
  const imports = shipped.flatMap(importsOf);
  expect(imports.length).toBeGreaterThan(100);
  expect(upward(imports)).toEqual([]);
});

test('an import that goes up is seen', () => {
  expect(upward([planted('dsl/types/check.ts', 'compiler/graph/graph.ts')])).toHaveLength(1);
});

test('no file imports itself, however far around', () => {
  expect(cycles(shipped.flatMap(importsOf))).toEqual([]);
});

test('an import that closes a circle is seen, if it is of more than types', () => {
  const around = [planted('cli/a.ts', 'cli/b.ts'), planted('cli/b.ts', 'cli/c.ts')];
  expect(cycles([...around, planted('cli/c.ts', 'cli/a.ts')])).toEqual([
    'cli/a.ts → cli/b.ts → cli/c.ts → cli/a.ts',
  ]);
  expect(cycles([...around, { ...planted('cli/c.ts', 'cli/a.ts'), isTypeOnly: true }])).toEqual([]);
});

test('every source file is in a room of the house', () => {
  expect(shipped.filter((file) => room(file) < 0)).toEqual([]);
});

/**
 * One text in quotes, or one pattern, may reach over the edge: breaking it would only make it harder to read
 * or to find.
 */
function isOverlong(line: string): boolean {
  return line.length > 110 && line.replace(/`[^`]*`|'[^']*'|\/\^.*\$\//u, '').length > 110;
}

test('lines end by column 110', () => {
  const overlong = shipped.flatMap((file) =>
    readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line, place) => (isOverlong(line) ? [`${relative(root, file)}:${place + 1}`] : [])),
  );
  expect(overlong).toEqual([]);
  expect(isOverlong(`  return ${'a + '.repeat(30)}b;`)).toBe(true);
});
