/** Numbers in the place of sizes. */
import type { Fact, PropertyDeclaration, SizeExpression } from '../../dsl/syntax/tree.ts';
import { nowhere } from './data-expression.ts';
import { boundNames } from './tree-parts.ts';

type Sizes = ReadonlyMap<string, number>;

/**
 * The property with a number wherever one of the sizes is named, and without what is quantified of them. It
 * means the same, since a whole number takes the type that is wanted of it as a size does. A size is left
 * where its name stands for something else in a part of the property.
 */
export function withPlainSizes(property: PropertyDeclaration, all: Sizes): PropertyDeclaration {
  const bound = boundNames(property);
  const sizes = new Map([...all].filter(([name]) => !bound.has(name)));
  const { quantifiers, facts, bindings, conditions, checks } = property;
  return {
    ...property,
    quantifiers: quantifiers
      .filter((each) => each.kind !== 'size' || !sizes.has(each.name.name))
      .map((each) => plain(each, sizes)),
    facts: facts.map((fact) => plainFact(fact, sizes)).filter((fact) => !isOfNumbers(fact)),
    bindings: plain(bindings, sizes),
    conditions: plain(conditions, sizes),
    checks: plain(checks, sizes),
  };
}

function plainFact(fact: Fact, sizes: Sizes): Fact {
  return { ...fact, left: plainSize(fact.left, sizes), right: plainSize(fact.right, sizes) };
}

/** It holds, as all facts do of a case, and need not be said. */
function isOfNumbers({ left, right }: Fact): boolean {
  return left.kind === 'natural' && right.kind === 'natural';
}

/** Under these keys of a node stand sizes; everywhere else a name is a value's. */
const sizeKeys: ReadonlySet<string> = new Set(['size', 'sizes', 'bound', 'from', 'to']);

function plain<T>(part: T, sizes: Sizes): T {
  if (Array.isArray(part)) return part.map((each: unknown) => plain(each, sizes)) as T;
  if (typeof part !== 'object' || part === null) return part;
  if ('kind' in part && part.kind === 'name' && 'name' in part && typeof part.name === 'string') {
    const size = sizes.get(part.name);
    return size === undefined ? part : ({ kind: 'number', text: `${size}`, span: nowhere } as T);
  }
  const entries = Object.entries(part).map(([key, value]: [string, unknown]) => [
    key,
    sizeKeys.has(key) ? plainSizes(value as SizeExpression, sizes) : plain(value, sizes),
  ]);
  return Object.fromEntries(entries) as T;
}

function plainSizes<T extends SizeExpression | readonly SizeExpression[] | undefined>(
  part: T,
  sizes: Sizes,
): T {
  if (Array.isArray(part)) return part.map((each: SizeExpression) => plainSize(each, sizes)) as unknown as T;
  return (part === undefined ? part : plainSize(part as SizeExpression, sizes)) as T;
}

const operations: {
  readonly [O in Extract<SizeExpression, { kind: 'binary' }>['operator']]: (
    left: number,
    right: number,
  ) => number;
} = {
  '+': (left, right) => left + right,
  '-': (left, right) => left - right,
  '*': (left, right) => left * right,
  '/': (left, right) => left / right,
};

function plainSize(size: SizeExpression, sizes: Sizes): SizeExpression {
  if (size.kind === 'name') {
    const value = sizes.get(size.name);
    return value === undefined ? size : { kind: 'natural', value, span: nowhere };
  }
  if (size.kind !== 'binary') return size;
  const [left, right] = [plainSize(size.left, sizes), plainSize(size.right, sizes)];
  if (left.kind === 'natural' && right.kind === 'natural') {
    const value = operations[size.operator](left.value, right.value);
    if (Number.isSafeInteger(value) && value >= 0) return { kind: 'natural', value, span: nowhere };
  }
  return { ...size, left, right };
}
