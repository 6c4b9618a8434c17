/** What parts of a syntax tree name, and what of a module a part needs. */
import { posix } from 'node:path';
import type { Declaration, Import, Module } from '../../dsl/syntax/tree.ts';
import { nowhere } from './data-expression.ts';

type Node = Readonly<Record<string, unknown>>;

/** The part, and everything in it. */
function* nodesOf(part: unknown): Generator<Node> {
  const pending = [part];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    yield next as Node;
    for (const child of Object.values(next)) if (child !== undefined) pending.push(child);
  }
}

function isNamed(value: unknown): value is { readonly name: string } {
  return typeof value === 'object' && value !== null && 'name' in value && typeof value.name === 'string';
}

/** The names of values, functions, sizes, types and modules that are used in it, its own among them. */
export function usedNames(part: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  for (const node of nodesOf(part)) {
    if (node.kind === 'name' && typeof node.name === 'string') names.add(node.name);
    // The path of a type.
    if ('qualifier' in node)
      for (const each of [node.qualifier, node.name]) if (isNamed(each)) names.add(each.name);
  }
  return names;
}

/** Every name that stands in it at all: mesh axes are among them. */
export function allNames(part: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  for (const node of nodesOf(part)) if (typeof node.name === 'string') names.add(node.name);
  return names;
}

/** The same tree, as if a program had made it: formatted, it takes nothing from the text it came from. */
export function withoutPlaces<T>(part: T): T {
  if (Array.isArray(part)) return part.map(withoutPlaces) as T;
  if (typeof part !== 'object' || part === null) return part;
  const entries = Object.entries(part).map(([key, value]) => [
    key,
    key === 'span' ? nowhere : withoutPlaces(value as unknown),
  ]);
  return Object.fromEntries(entries) as T;
}

/** What a module declares, to be declared elsewhere. */
export interface Surroundings {
  readonly module: Module;
  /** By the text of the import: the name under which its module is used. */
  readonly qualifiers: ReadonlyMap<string, string>;
  /** From the folder of the new module to that of this one. */
  readonly way: string;
}

/** The declarations that a property needs, in order, without their documentation. */
export function neededBy(
  property: unknown,
  { module, qualifiers, way }: Surroundings,
): readonly Declaration[] {
  const named = module.declarations.filter((each) => each.kind === 'function' || each.kind === 'record');
  const needed = new Set<Declaration>();
  const names = new Set(usedNames(property));
  for (let found = true; found; ) {
    const more = named.filter((each) => !needed.has(each) && names.has(each.name.name));
    found = more.length > 0;
    for (const each of more) {
      needed.add(each);
      for (const name of usedNames(each)) names.add(name);
    }
  }
  const axes = allNames([property, ...needed]);
  const part: Parts = {
    import: (each) => {
      const imported = each.names.filter(({ name }) => names.has(name));
      const isUsed = imported.length > 0 || names.has(qualifierOf(each, qualifiers));
      return isUsed ? moved({ ...each, names: imported }, way) : undefined;
    },
    mesh: (each) => {
      const used = each.axes.filter(({ name }) => axes.has(name));
      return used.length > 0 ? { ...each, axes: used } : undefined;
    },
    function: (each) => (needed.has(each) ? { ...each, documentation: undefined } : undefined),
    record: (each) => (needed.has(each) ? { ...each, documentation: undefined } : undefined),
    property: () => undefined,
  };
  return module.declarations.flatMap(
    (each) => (part[each.kind] as (each: Declaration) => Declaration | undefined)(each) ?? [],
  );
}

/** What of a declaration is needed. */
type Parts = {
  readonly [K in Declaration['kind']]: (each: Extract<Declaration, { kind: K }>) => Declaration | undefined;
};

function qualifierOf({ alias, from }: Import, qualifiers: ReadonlyMap<string, string>): string {
  return alias?.name ?? qualifiers.get(from.text) ?? from.text;
}

/** Files are imported by their place beside the importing one. */
function moved(declaration: Import, way: string): Import {
  const { from } = declaration;
  if (from.kind === 'name' || posix.isAbsolute(from.text)) return declaration;
  const path = posix.join(way, from.text);
  return { ...declaration, from: { ...from, text: path.startsWith('.') ? path : `./${path}` } };
}
