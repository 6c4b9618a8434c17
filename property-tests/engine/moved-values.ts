/** Bindings of a property that only move what it quantifies, as values that are given. */
import { float64 } from '../../compiler/graph/float64.ts';
import { asEntry } from '../../compiler/lower/property-entry.ts';
import type { Checked } from '../../driver/check.ts';
import { lower } from '../../driver/lower.ts';
import type {
  Check,
  Expression,
  ExpressionKind,
  PropertyDeclaration,
  Quantifier,
  SizeExpression,
  TypeExpression,
} from '../../dsl/syntax/tree.ts';
import { childExpressions } from '../../dsl/types/expression-children.ts';
import { evaluateSize } from '../../dsl/types/size.ts';
import type { Type } from '../../dsl/types/typed.ts';
import { dataOf, nowhere } from './data-expression.ts';
import { domainOf } from './domain.ts';
import { exhaust } from './exhaust.ts';
import { namesOf } from './inlined.ts';
import { runOnReference } from './runs.ts';
import { boundNames, usedNames } from './tree-parts.ts';

/** By the name of the binding. */
export type MovedValues = ReadonlyMap<string, Quantifier>;

export const noMovedValues: MovedValues = new Map();

/**
 * A property of the same values, of which `movedValues` reads what the bindings are. Undefined where none is of
 * the kind. What a function gives is not: the program would no longer be asked for it.
 */
export function withMovedSides(property: PropertyDeclaration): PropertyDeclaration | undefined {
  const names = movedBindings(property);
  const checks = names.map((name): Check => {
    const side: Expression = { kind: 'name', name, span: nowhere };
    return { relation: '==', left: side, right: side, label: undefined, span: nowhere };
  });
  return names.length === 0 ? undefined : { ...property, conditions: [], checks };
}

/** @param checked the program with a property of `withMovedSides`, of one case */
export function movedValues(checked: Checked, declaration: PropertyDeclaration): MovedValues {
  const { name } = declaration.name;
  const property = checked.program.properties.get(name)!;
  const program = asEntry(checked.program, property);
  const [tried] = exhaust(domainOf(program, property), 1, 0)?.cases ?? [];
  if (tried === undefined) return noMovedValues;
  const { sizes, values } = tried;
  const lowered = lower({ ...checked, program }, { entry: name, sizes, inputDtypes: new Map() });
  const { result } = property.function;
  if (lowered.kind === 'rejected' || result.kind !== 'tuple') return noMovedValues;
  const outputs = runOnReference(lowered.graph)(float64, values);
  const found = movedBindings(declaration).flatMap(
    (own, place): readonly (readonly [string, Quantifier])[] => {
      const { left } = property.checks[place]!;
      const type = result.elements[left]!;
      const output = outputs.get(`out.${left}`);
      const written = output && typeAt(type, output.shape, sizes);
      if (written === undefined) return [];
      const given = dataOf('value', type, new Map([['value', output!]]));
      const quantified = {
        name: { name: own, span: nowhere },
        type: written,
        traits: [],
        given,
        span: nowhere,
      };
      return [[own, { kind: 'value', ...quantified }]];
    },
  );
  return new Map(found);
}

/** The names of bindings that are made of quantified values alone, none of which is changed. */
function movedBindings({ quantifiers, bindings }: PropertyDeclaration): readonly string[] {
  const known = new Set(
    quantifiers.flatMap((each) => (each.kind === 'value' || each.kind === 'size' ? [each.name.name] : [])),
  );
  const all = bindings.flatMap(({ pattern }) => namesOf(pattern));
  const found: string[] = [];
  for (const { pattern, type, value } of bindings) {
    if (pattern.kind === 'tuple' || type !== undefined || !isMoved(value)) continue;
    const { name } = pattern.name;
    const indices = boundNames([pattern.kind === 'element' ? pattern.indices : [], value]);
    const isClear = !known.has(name) && all.indexOf(name) === all.lastIndexOf(name);
    if (!isClear || all.some((each) => indices.has(each))) continue;
    if (![...usedNames([value, pattern])].every((each) => known.has(each) || indices.has(each))) continue;
    known.add(name);
    found.push(name);
  }
  return found;
}

type Node<K extends ExpressionKind> = Extract<Expression, { kind: K }>;

/** Where each number that comes of it is one that went in, whatever it is computed in. */
const moving: { readonly [K in ExpressionKind]?: (expression: Node<K>) => boolean } = {
  boolean: () => true,
  name: () => true,
  field: ({ base }) => isMoved(base),
  subscript: ({ base, subscripts }) =>
    isMoved(base) && subscripts.every((each) => each.kind === 'whole' || isReckoned(each.value)),
  comprehension: ({ body }) => isMoved(body),
  if: ({ condition, then, otherwise }) => isReckoned(condition) && isMoved(then) && isMoved(otherwise),
};

function isMoved(expression: Expression): boolean {
  const rule = moving[expression.kind] as ((expression: Expression) => boolean) | undefined;
  return rule?.(expression) ?? false;
}

/** Without a call: of whole numbers, and of comparisons of what is moved. */
function isReckoned(expression: Expression): boolean {
  return expression.kind !== 'call' && childExpressions(expression).every(isReckoned);
}

/** What is written for the type of a tensor of the shape; undefined of other types. */
function typeAt(
  type: Type,
  shape: readonly number[],
  sizes: ReadonlyMap<string, number>,
): TypeExpression | undefined {
  if (type.kind !== 'tensor' || type.element.kind === 'float') return undefined;
  const { element } = type;
  const range = element.kind === 'ix' ? [natural(evaluateSize(element.range, sizes)!)] : [];
  const name = { name: element.kind === 'ix' ? 'ix' : element.dtype, span: nowhere };
  return {
    kind: 'named',
    path: { qualifier: undefined, name, span: nowhere },
    sizes: range,
    dims: shape.map((extent) => ({ size: natural(extent), placement: { kind: 'none' }, span: nowhere })),
    pending: [],
    span: nowhere,
  };
}

function natural(value: number): SizeExpression {
  return { kind: 'natural', value, span: nowhere };
}
