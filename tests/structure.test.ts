/** The house: a folder imports only from those above it in this list and from its own. */
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { expect, test } from 'vitest';

const house = [
  'dsl/diagnostics',
  'dsl/syntax',
  'dsl/types',
  'compiler/graph',
  'compiler/lower',
  'compiler/optimize',
  'compiler/tiles',
  'compiler/plan',
  'backends/wgsl',
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
}

function importsOf(file: string): Import[] {
  const text = readFileSync(file, 'utf8');
  const specifiers = [...text.matchAll(/^(?:import|export)\b[^;]*?from '(\.[^']+)'|^import '(\.[^']+)'/gms)];
  return specifiers.map((match) => ({ from: file, to: resolve(dirname(file), match[1] ?? match[2] ?? '') }));
}

/** Imports that go up the list. Tests may reach up to look at a later stage; what ships may not. */
function upward(imports: readonly Import[]): string[] {
  return imports
    .filter(({ from, to }) => room(to) < 0 || room(to) > room(from))
    .map(({ from, to }) => `${relative(root, from)} imports ${relative(root, to)}`);
}

const folders = [...new Set(house.map((folder) => folder.split('/')[0] ?? ''))];
const shipped = folders
  .flatMap((folder) => sourceFiles(join(root, folder)))
  .filter((file) => !/\.test\.ts$|\/testing\.ts$/.test(file));

test('folders import only downwards', () => {
  const imports = shipped.flatMap(importsOf);
  expect(imports.length).toBeGreaterThan(100);
  expect(upward(imports)).toEqual([]);
});

test('an import that goes up is seen', () => {
  const planted = { from: join(root, 'dsl/types/check.ts'), to: join(root, 'compiler/graph/graph.ts') };
  expect(upward([planted])).toHaveLength(1);
});

test('every source file is in a room of the house', () => {
  expect(shipped.filter((file) => room(file) < 0)).toEqual([]);
});
