/** A property of one case: its sizes and its mesh have one choice, its values are given. */
import type { PropertyDeclaration, Quantifier, SizeExpression } from '../../dsl/syntax/tree.ts';
import type { PropertyInfo } from '../../dsl/types/typed.ts';
import type { Case } from './case.ts';
import { dataOf, nowhere } from './data-expression.ts';
import { inlined } from './inlined.ts';
import type { MovedValues } from './moved-values.ts';
import { usedNames } from './tree-parts.ts';

type Kind<K extends Quantifier['kind']> = Extract<Quantifier, { kind: K }>;

/**
 * Sizes come first, then the mesh, then the values. What the values have beside their types is seen in them,
 * and is left out.
 */
export function pinnedProperty(
  declaration: PropertyDeclaration,
  { function: { sizes, parameters } }: PropertyInfo,
  tried: Case,
): PropertyDeclaration {
  const ranges = sizes.map((name): Quantifier => {
    const size = tried.sizes.get(name)!;
    return { kind: 'size', name: { name, span: nowhere }, ...onlyChoice(size), span: nowhere };
  });
  const values = declaration.quantifiers.filter((each): each is Kind<'value'> => each.kind === 'value');
  const given = values.map((value): Quantifier => {
    const { type } = parameters.find(({ name }) => name === value.name.name)!;
    return { ...value, traits: [], given: dataOf(value.name.name, type, tried.values) };
  });
  const axes = pinnedAxes(tried, sizes);
  const mesh: readonly Quantifier[] =
    axes.length === 0
      ? []
      : [
          {
            kind: 'mesh',
            axes: axes.map(([name, size]) => ({ name: { name, span: nowhere }, ...onlyChoice(size) })),
            span: nowhere,
          },
        ];
  return { ...declaration, quantifiers: [...ranges, ...mesh, ...given], documentation: undefined };
}

/** Those of the mesh in its order, then named ones of one device. */
function pinnedAxes(
  { mesh, sizes: all }: Case,
  sizes: readonly string[],
): readonly (readonly [string, number])[] {
  const onMesh = (mesh?.axes ?? []).map(({ name, size }) => [name, size] as const);
  const named = [...all].filter(([name]) => !sizes.includes(name));
  return [...onMesh, ...named.filter(([name]) => onMesh.every(([own]) => own !== name))];
}

function onlyChoice(size: number): { readonly from: SizeExpression; readonly to: SizeExpression } {
  const natural: SizeExpression = { kind: 'natural', value: size, span: nowhere };
  return { from: natural, to: natural };
}

/** Without values that nothing reads, and then without sizes that nothing names. */
export function withoutUnused(declaration: PropertyDeclaration): PropertyDeclaration {
  const { quantifiers, facts, bindings, conditions, checks } = declaration;
  const read = usedNames([bindings, conditions, checks]);
  const kept = quantifiers.filter((each) => each.kind !== 'value' || read.has(each.name.name));
  const named = usedNames([kept.filter(({ kind }) => kind !== 'size'), facts, bindings, conditions, checks]);
  return {
    ...declaration,
    quantifiers: kept.filter((each) => each.kind !== 'size' || named.has(each.name.name)),
  };
}

/**
 * The property with less in it, one thing at a time; what is tried first leaves out most.
 * @param moved what some of its bindings are
 */
export function* shorterProperties(
  from: PropertyDeclaration,
  moved: MovedValues,
): Generator<PropertyDeclaration> {
  const { quantifiers, facts, bindings, conditions, checks } = from;
  if (facts.length > 0) yield withoutUnused({ ...from, facts: [] });
  if (facts.length > 1)
    for (const [place] of facts.entries()) yield withoutUnused({ ...from, facts: facts.toSpliced(place, 1) });
  if (conditions.length > 0) yield withoutUnused({ ...from, conditions: [] });
  for (const [place] of [...bindings.entries()].reverse())
    yield withoutUnused({ ...from, bindings: bindings.toSpliced(place, 1) });
  for (const [place, { pattern }] of bindings.entries()) {
    const input = pattern.kind === 'tuple' ? undefined : moved.get(pattern.name.name);
    if (input === undefined) continue;
    const others = bindings.toSpliced(place, 1);
    yield withoutUnused({ ...from, quantifiers: [...quantifiers, input], bindings: others });
  }
  for (const [place] of bindings.entries()) {
    const without = inlined(from, place);
    if (without !== undefined) yield without;
  }
  if (checks.length > 1)
    for (const [place] of checks.entries())
      yield withoutUnused({ ...from, checks: checks.toSpliced(place, 1) });
  // The lists that are given say most sizes.
  const kinds = [['size', 'mesh'], ['size'], ['mesh']] as const;
  for (const left of kinds) {
    const kept = quantifiers.filter(({ kind }) => !left.some((each) => each === kind));
    if (kept.length < quantifiers.length) yield { ...from, quantifiers: kept };
  }
  for (const [place, quantifier] of quantifiers.entries()) {
    if (quantifier.kind === 'size') yield { ...from, quantifiers: quantifiers.toSpliced(place, 1) };
    if (quantifier.kind !== 'mesh' || quantifier.axes.length < 2) continue;
    for (const [axis] of quantifier.axes.entries()) {
      const fewer = { ...quantifier, axes: quantifier.axes.toSpliced(axis, 1) };
      yield { ...from, quantifiers: quantifiers.with(place, fewer) };
    }
  }
}
