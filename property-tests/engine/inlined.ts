/** Bindings of a property put in where they are named. */
import type {
  Binding,
  Expression,
  IndexPattern,
  LetPattern,
  PropertyDeclaration,
} from '../../dsl/syntax/tree.ts';
import { nowhere } from './data-expression.ts';
import { boundNames, usedNames } from './tree-parts.ts';

/**
 * The property without the binding at a place, its value standing wherever it was named. Undefined where that
 * might mean something else: a value with a type is rounded to it, a part of a tuple has no expression of its
 * own, and a name in the value may stand for something else where it would come to stand.
 */
export function inlined(property: PropertyDeclaration, place: number): PropertyDeclaration | undefined {
  const { bindings, conditions, checks, quantifiers } = property;
  const binding = bindings[place]!;
  const value = expressionOf(binding);
  if (value === undefined || binding.pattern.kind === 'tuple') return undefined;
  const { name } = binding.pattern.name;
  const others = bindings.toSpliced(place, 1);
  const before = bindings.slice(0, place).flatMap(({ pattern }) => namesOf(pattern));
  const after = bindings.slice(place + 1).flatMap(({ pattern }) => namesOf(pattern));
  const quantified = quantifiers.flatMap((each) =>
    each.kind === 'value' || each.kind === 'size' ? [each.name.name] : [],
  );
  const ofProperty = [...quantified, ...before];
  // A name that the value binds itself is not free in it, unless it stands for something around it as well.
  const bound = boundNames(value);
  const free = [...usedNames(value)].filter((each) => !bound.has(each) || ofProperty.includes(each));
  const inside = boundNames([others.map((each) => [each.value, indicesOf(each)]), conditions, checks]);
  if ([name, ...free].some((each) => inside.has(each) || after.includes(each))) return undefined;
  if (ofProperty.includes(name)) return undefined;
  return {
    ...property,
    bindings: substituted(others, { name, value }),
    conditions: substituted(conditions, { name, value }),
    checks: substituted(checks, { name, value }),
  };
}

/** As an expression: `h[f] = e` is `for f: e`. */
function expressionOf({ pattern, type, value }: Binding): Expression | undefined {
  if (type !== undefined) return undefined;
  if (pattern.kind !== 'element') return value;
  return { kind: 'comprehension', indices: pattern.indices, body: value, span: nowhere };
}

/** The names that a binding gives. */
export function namesOf(pattern: LetPattern): readonly string[] {
  return pattern.kind === 'tuple' ? pattern.elements.flatMap(namesOf) : [pattern.name.name];
}

/** They are in scope in the value. */
function indicesOf({ pattern }: Binding): readonly IndexPattern[] {
  return pattern.kind === 'element' ? pattern.indices : [];
}

/** Where `h[f] = e` is read as `h[i]`, it is `e` with `i` for `f`. */
function substituted<T>(part: T, binding: Substitution): T {
  if (Array.isArray(part)) return part.map((each: unknown) => substituted(each, binding)) as T;
  if (typeof part !== 'object' || part === null) return part;
  const node = part as unknown as Expression;
  if (node.kind === 'name' && node.name === binding.name) return binding.value as T;
  const read = node.kind === 'subscript' ? elementOf(node, binding) : undefined;
  if (read !== undefined) return read as T;
  const entries = Object.entries(part).map(([key, each]: [string, unknown]) => [
    key,
    substituted(each, binding),
  ]);
  return Object.fromEntries(entries) as T;
}

interface Substitution {
  readonly name: string;
  readonly value: Expression;
}

/** The element, or the row, of a comprehension that is read; undefined where it is not as simple as that. */
function elementOf(
  { base, subscripts }: Extract<Expression, { kind: 'subscript' }>,
  binding: Substitution,
): Expression | undefined {
  const { name, value } = binding;
  if (base.kind !== 'name' || base.name !== name || value.kind !== 'comprehension') return undefined;
  const { indices, body } = value;
  const inner = boundNames([body, indices.slice(subscripts.length)]);
  let found = body;
  for (const [place, subscript] of subscripts.entries()) {
    const index = indices[place];
    if (index?.kind !== 'index' || subscript.kind !== 'at') return undefined;
    const at = substituted(subscript.value, binding);
    // Neither is the index another one inside, nor does what it becomes.
    const others = indices.slice(place + 1).flatMap((each) => [...boundNames(each)]);
    if ([...usedNames(at)].some((each) => inner.has(each) || others.includes(each))) return undefined;
    if (inner.has(index.name.name)) return undefined;
    found = substituted(found, { name: index.name.name, value: at });
  }
  const left = indices.slice(subscripts.length);
  return left.length === 0 ? found : { ...value, indices: left, body: found };
}
