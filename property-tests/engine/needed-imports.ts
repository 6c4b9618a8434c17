/** What a property imports in a file of its own: what it names of its module, and of what that imports. */
import { realpathSync } from 'node:fs';
import { basename, dirname, posix, relative, resolve } from 'node:path';
import { moduleLoader, standardLibrary } from '../../driver/module-loader.ts';
import { parse } from '../../dsl/syntax/parse.ts';
import type { Identifier, Import, Module, PropertyDeclaration } from '../../dsl/syntax/tree.ts';
import { nowhere } from './data-expression.ts';
import { allNames, calledNames, usedNames } from './tree-parts.ts';

/** A module, as a file in another folder sees it. */
export interface Surroundings {
  readonly module: Module;
  /** Of meshes: of this module, and of all that it imports. */
  readonly axes: readonly string[];
  /** How the module itself is imported there. */
  readonly from: Import['from'];
  /** From the folder of the file to that of the module. */
  readonly way: string;
  /** By the text of an import: the name under which what it imports is used, where no alias is written. */
  readonly qualifiers: ReadonlyMap<string, string>;
}

/**
 * A module of the standard library is imported by its name, any other by its place.
 * @param axes of meshes: of the module, and of all that it imports
 * @param file the module's, as the user named it
 * @param folder of the file that imports it
 */
export function surroundingsOf(
  module: Module,
  axes: readonly string[],
  file: string,
  folder: string,
): Surroundings {
  const way = relative(resolve(folder), resolve(dirname(file))).replaceAll('\\', '/');
  const imports = importsOf(module);
  return {
    module,
    axes,
    from: isStandard(file)
      ? named('name', basename(file, '.ricci'))
      : named('file', besides(way, basename(file))),
    way,
    qualifiers: new Map(imports.map(({ from }) => [from.text, qualifierOf(from, file)] as const)),
  };
}

/**
 * Every name stands in the file for what it stands for in the module: its own definitions come first there,
 * so that nothing else is imported under their names here.
 */
export function neededImports(property: PropertyDeclaration, around: Surroundings): readonly Import[] {
  const { module, from, way, qualifiers } = around;
  const used = usedNames(property);
  const called = calledNames(property);
  const own = module.declarations.flatMap((each): readonly Identifier[] =>
    (each.kind === 'function' || each.kind === 'record') && called.has(each.name.name) ? [each.name] : [],
  );
  const hidden = new Set(own.map(({ name }) => name));
  const needed = importsOf(module)
    .map((each) => ({
      ...each,
      names: each.names.filter(({ name }) => called.has(name) && !hidden.has(name)),
    }))
    .filter((each) => each.names.length > 0 || used.has(qualifier(each, qualifiers)));
  const imports = needed.map((each) => moved(each, way));
  if (own.length === 0) return imports;
  const name = module.name?.name ?? basename(from.text, '.ricci');
  const isTaken = needed.some((each) => qualifier(each, qualifiers) === name);
  const alias = isTaken ? { name: newName(name, allNames(module)), span: nowhere } : undefined;
  return [...imports, { kind: 'import', from, alias, names: own, span: nowhere }];
}

function importsOf({ declarations }: Module): readonly Import[] {
  return declarations.filter((each): each is Import => each.kind === 'import');
}

function newName(name: string, taken: ReadonlySet<string>): string {
  return taken.has(name) ? newName(`${name}_`, taken) : name;
}

function qualifier({ alias, from }: Import, qualifiers: ReadonlyMap<string, string>): string {
  return alias?.name ?? qualifiers.get(from.text) ?? from.text;
}

function qualifierOf({ kind, text }: Import['from'], file: string): string {
  const source = kind === 'file' ? moduleLoader.file(file, text) : undefined;
  return (source && parse(source).module.name?.name) ?? basename(text, '.ricci');
}

function isStandard(file: string): boolean {
  const library = realpathSync(standardLibrary);
  try {
    return realpathSync(dirname(file)) === library;
  } catch {
    return false;
  }
}

function named(kind: Import['from']['kind'], text: string): Import['from'] {
  return { kind, text, span: nowhere };
}

/** Files are imported by their place beside the importing one. */
function moved(declaration: Import, way: string): Import {
  const { from } = declaration;
  if (from.kind === 'name' || posix.isAbsolute(from.text)) return declaration;
  return { ...declaration, from: named('file', besides(way, from.text)) };
}

function besides(way: string, file: string): string {
  const path = posix.join(way, file);
  return path.startsWith('.') || posix.isAbsolute(path) ? path : `./${path}`;
}
