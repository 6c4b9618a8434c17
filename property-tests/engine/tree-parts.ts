/** What parts of a syntax tree name. */
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

/**
 * The names that something in it stands for from there on, as indices and what a `let` names do; those that a
 * view of a device takes along are among them.
 */
export function boundNames(part: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  const add = (...each: readonly unknown[]): void => {
    for (const name of each) if (isNamed(name)) names.add(name.name);
  };
  for (const node of nodesOf(part)) {
    // Of an index, and of a pattern; of an expression the name is a text.
    if (node.kind === 'index' || node.kind === 'element' || node.kind === 'name') add(node.name);
    if (node.kind === 'count') add(node.index);
    if (node.kind === 'perDevice') add(...(node.captures as readonly unknown[]));
    if (node.kind === 'ring') add(node.source, ...(node.travelling as readonly unknown[]));
  }
  return names;
}

/** The names, without a module's, of what is called in it, and of types. */
export function calledNames(part: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  for (const node of nodesOf(part)) {
    if (node.kind === 'call' && isNamed(node.callee)) names.add(node.callee.name);
    if ('qualifier' in node && node.qualifier === undefined && isNamed(node.name)) names.add(node.name.name);
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
