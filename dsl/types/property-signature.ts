/** What a property quantifies, before its checks are looked at. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Identifier, PropertyDeclaration, Quantifier, SizeExpression } from '../syntax/tree.ts';
import { noFacts, prove, withFacts } from './facts.ts';
import { type GivenValue, givenValueOf, requireTraits } from './given-values.ts';
import { type Report, replaceFix } from './report.ts';
import type { BodySignature, ModuleScope } from './scope.ts';
import { axisFacts, namesOfSize, reportDuplicates, signatureAxes, sizesUsedIn } from './signatures.ts';
import { natural, parameter, type Size, sameSize } from './size.ts';
import { traitsOf } from './traits.ts';
import { factOf, requireAxis, sizeOf, type TypeScope, typeOf } from './type-expressions.ts';
import type { PropertyInfo, SizeRange, Type, TypedFact } from './typed.ts';
import { showName } from './types.ts';

export interface PropertySignature
  extends BodySignature,
    Pick<PropertyInfo, 'id' | 'name' | 'ranges' | 'mesh' | 'traits' | 'given'> {
  readonly declaration: PropertyDeclaration;
  /** How many of `sizes` have a range: they come first. */
  readonly rangedSizes: number;
  /** Those stated, the ends of the ranges, and what the values that are given say of sizes. */
  readonly facts: readonly TypedFact[];
}

type Kind<K extends Quantifier['kind']> = Extract<Quantifier, { kind: K }>;

/** A size or an axis with the range that is written for it. */
interface Ranged {
  readonly name: Identifier;
  readonly from: SizeExpression;
  readonly to: SizeExpression;
}

/** @param knownAxes those of all modules: an axis of any of them may be given a range */
export function propertySignatureOf(
  declaration: PropertyDeclaration,
  module: ModuleScope,
  knownAxes: ReadonlySet<string>,
  report: Report,
): PropertySignature {
  const { quantifiers } = declaration;
  const values = quantifiersOf(quantifiers, 'value');
  const meshes = quantifiersOf(quantifiers, 'mesh');
  const meshAxes = meshes.flatMap((mesh) => mesh.axes);
  const types = values.map(({ type }) => type);
  const axes = signatureAxes(types, module);
  for (const { name } of meshAxes) requireKnownAxis(name, axes, knownAxes, module, report);
  for (const { name } of meshAxes) if (!axes.has(name.name)) axes.set(name.name, name.span);

  reportDuplicates(quantifiers.flatMap(namesOf), 'quantified name', report);
  const ranged = quantifiersOf(quantifiers, 'size').filter((size) => !isAxis(size, axes, report));
  const rangedNames = new Set(ranged.map(({ name }) => name.name));
  const sizeNames = new Set([...rangedNames, ...sizesUsedIn(types, axes)]);
  const sizes = new Map([...axes.keys(), ...sizeNames].map((name) => [name, parameter(name)] as const));
  const bare = { module, report, facts: noFacts, sizes, axes, declaration };

  const stated = declaration.facts.flatMap((fact) => factOf(fact, bare) ?? []);
  const known = withFacts(axisFacts(axes), stated);
  const ranges = rangesOf([...ranged, ...meshAxes], { ...bare, facts: known });
  for (const { name, span } of ranged) {
    if (!isMentioned(name, declaration)) reportUnused(name, span, quantifiers, report);
  }
  const ends = [...ranges.values()].flatMap(endsOf);
  const withEnds: TypeScope = { ...bare, facts: withFacts(axisFacts(axes), [...stated, ...ends]) };
  const typed = values.map((value) => ({ value, type: typeOf(value.type, withEnds, 'float allowed') }));
  const given = givenValuesOf(typed, withEnds);
  const facts = [...stated, ...ends, ...[...given.values()].flatMap((own) => own.facts)];
  const assumed = withFacts(axisFacts(axes), facts);
  const scope: TypeScope = { ...bare, facts: assumed };
  const traits = typed.map(({ value, type }) => {
    const own = traitsOf(value, type, scope);
    const data = given.get(value);
    if (data !== undefined) requireTraits(value, data, own, scope);
    return [value.name.name, own] as const;
  });
  return {
    id: `${module.path}#${declaration.name.name}`,
    name: declaration.name.name,
    declaration,
    sizes: [...sizeNames],
    rangedSizes: rangedNames.size,
    parameters: typed.map(({ value: { name, span }, type }) => ({ name: name.name, type, span })),
    facts,
    assumed,
    axes,
    ranges: new Map(
      ranged.flatMap(({ name: { name } }) => {
        const range = ranges.get(name);
        return range === undefined ? [] : [[name, { from: range.from, to: range.to }] as const];
      }),
    ),
    mesh: meshRanges(meshAxes, ranges),
    traits: new Map(traits.filter(([, stated]) => stated.length > 0)),
    given: new Map(
      [...given.values()].flatMap(({ tensors }) => tensors.map(({ path, data }) => [path, data])),
    ),
  };
}

/** Those that fit their types. What one says of sizes, the next must fit. */
function givenValuesOf(
  typed: readonly { readonly value: Kind<'value'>; readonly type: Type }[],
  scope: TypeScope,
): ReadonlyMap<Kind<'value'>, GivenValue> {
  const given = new Map<Kind<'value'>, GivenValue>();
  let { facts } = scope;
  for (const { value, type } of typed) {
    const own = givenValueOf(value, type, { ...scope, facts });
    if (own === undefined) continue;
    given.set(value, own);
    facts = withFacts(facts, own.facts);
  }
  return given;
}

function quantifiersOf<K extends Quantifier['kind']>(
  quantifiers: readonly Quantifier[],
  kind: K,
): readonly Kind<K>[] {
  return quantifiers.filter((quantifier): quantifier is Kind<K> => quantifier.kind === kind);
}

const quantifiedNames: {
  readonly [K in Quantifier['kind']]: (quantifier: Kind<K>) => readonly Identifier[];
} = {
  value: ({ name }) => [name],
  size: ({ name }) => [name],
  mesh: ({ axes }) => axes.map(({ name }) => name),
  target: () => [],
};

function namesOf(quantifier: Quantifier): readonly Identifier[] {
  return (quantifiedNames[quantifier.kind] as (quantifier: Quantifier) => readonly Identifier[])(quantifier);
}

/** An axis that nothing is placed over, here or in a module that is imported, is a slip of the pen. */
function requireKnownAxis(
  axis: Identifier,
  own: ReadonlyMap<string, Span>,
  known: ReadonlySet<string>,
  module: ModuleScope,
  report: Report,
): void {
  const axes = new Map([...[...known].map((name) => [name, axis.span] as const), ...own]);
  requireAxis(axis, { axes, report, module });
}

/** A size that has the name of an axis is reported: as a size it would not be that of the mesh. */
function isAxis(size: Kind<'size'>, axes: ReadonlyMap<string, Span>, report: Report): boolean {
  const { name, span } = size;
  const axis = axes.get(name.name);
  if (axis === undefined) return false;
  report({
    code: 'E0204',
    message: `${name.name} is a mesh axis, and quantified as a size here`,
    at: span,
    secondary: [{ span: axis, message: 'the axis' }],
    help: [`write mesh { ${name.name}: … } to quantify the devices along it, or give the size another name`],
  });
  return true;
}

// ── ranges ─────────────────────────────────────────────────────────────────────────────────────────────────

type Range = SizeRange & { readonly name: string; readonly span: Span };

/** Those that are in order. In an end stand sizes without a range, and those whose range comes before. */
function rangesOf(written: readonly Ranged[], scope: TypeScope): ReadonlyMap<string, Range> {
  const inOrder = written.toSorted((left, right) => left.name.span.start - right.name.span.start);
  const order = new Map(inOrder.map(({ name }, position) => [name.name, position] as const));
  const ranges = new Map<string, Range>();
  let { facts } = scope;
  for (const [position, { name, from, to }] of inOrder.entries()) {
    const later = [...namesOfSize(from), ...namesOfSize(to)].find(
      (used) => (order.get(used.name) ?? -1) >= position,
    );
    if (later !== undefined) reportLater(name, later, scope.report);
    if (later !== undefined || ranges.has(name.name)) continue;
    const here = { ...scope, facts };
    const [low, high] = [sizeOf(from, here), sizeOf(to, here)];
    if (low === undefined || high === undefined) continue;
    const range = { name: name.name, from: low, to: high, span: { ...name.span, end: to.span.end } };
    ranges.set(name.name, range);
    if (!isEmpty(range, here)) facts = withFacts(facts, endsOf(range));
  }
  return ranges;
}

/** Whether no number is in the range, or none for which the facts hold; then it is reported. */
function isEmpty(range: Range, { facts, axes, report }: TypeScope): boolean {
  const { name, from, to } = range;
  const size = parameter(name);
  const isBelow = (left: Size, right: Size): boolean => prove(facts, { relation: '<', left, right });
  const isReversed = isBelow(to, from);
  const hasNoMesh = axes.has(name) && isBelow(to, natural(1));
  const isRuledOut = isBelow(to, size) || isBelow(size, from);
  if (isReversed) reportEmpty(range, report);
  else if (hasNoMesh) reportNoMesh(range, report);
  else if (isRuledOut) reportRuledOut(range, report);
  return isReversed || hasNoMesh || isRuledOut;
}

/** Of one number, that it is that: other sizes are known by it. */
function endsOf({ name, from, to, span }: Range): readonly TypedFact[] {
  const size = parameter(name);
  if (sameSize(from, to)) return [{ relation: '==', left: size, right: from, span }];
  return [
    { relation: '<=', left: from, right: size, span },
    { relation: '<=', left: size, right: to, span },
  ];
}

function meshRanges(axes: readonly Ranged[], ranges: ReadonlyMap<string, Range>): PropertyInfo['mesh'] {
  if (axes.length === 0) return undefined;
  return axes.flatMap(({ name: { name: axis } }) => {
    const range = ranges.get(axis);
    return range === undefined ? [] : [{ axis, from: range.from, to: range.to }];
  });
}

// ── what is said ───────────────────────────────────────────────────────────────────────────────────────────

function reportLater(size: Identifier, used: Identifier, report: Report): void {
  report({
    code: 'E0412',
    message: `the range of ${size.name} depends on ${used.name}, whose range does not come before it`,
    at: used.span,
    help: [
      size.name === used.name
        ? 'both ends are numbers, or sizes with a range before this one'
        : `write the range of ${used.name} first`,
    ],
  });
}

function reportEmpty({ name, from, to, span }: Range, report: Report): void {
  const [low, high] = [showName(from), showName(to)];
  const help = `the lower end comes first: ${name}: ${high}..${low}`;
  report({
    code: 'E0412',
    message: `the range of ${name} is empty: nothing is from ${low} to ${high}`,
    at: span,
    help: [help],
    fixes: [replaceFix(help, span, `${name}: ${high}..${low}`)],
  });
}

function reportNoMesh({ name, span }: Range, report: Report): void {
  report({
    code: 'E0412',
    message: `no mesh has as few devices along ${name}`,
    at: span,
    help: ['a mesh has at least one device along each axis, and both ends belong to the range'],
  });
}

function reportRuledOut({ name, span }: Range, report: Report): void {
  report({
    code: 'E0412',
    message: `the \`where\` leaves nothing of the range of ${name}`,
    at: span,
    help: ['change the range or the facts: a property is stated of sizes for which both hold'],
  });
}

/** Whether types, other ranges, facts or checks say its name. */
function isMentioned(
  { name, span }: Identifier,
  { quantifiers, facts, bindings, conditions, checks }: PropertyDeclaration,
): boolean {
  const others = quantifiers.filter((quantifier) => quantifier.span.start !== span.start);
  return namesWithin([others, facts, bindings, conditions, checks]).has(name);
}

/** Every name that stands for a size or a value in a part of the tree. */
function namesWithin(part: unknown): ReadonlySet<string> {
  const names = new Set<string>();
  const pending = [part];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (typeof next !== 'object' || next === null) continue;
    if ('kind' in next && next.kind === 'name' && 'name' in next && typeof next.name === 'string')
      names.add(next.name);
    for (const child of Object.values(next)) if (child !== undefined) pending.push(child);
  }
  return names;
}

function reportUnused(size: Identifier, at: Span, quantifiers: readonly Quantifier[], report: Report): void {
  const position = quantifiers.findIndex(({ span }) => span.start === size.span.start);
  const [before, after] = [quantifiers[position - 1], quantifiers[position + 1]];
  const help = `leave it out, or use it as a size: in a type, a range, or a call like f[${size.name}](…)`;
  const alone =
    before === undefined ? after && { ...at, end: after.span.start } : { ...at, start: before.span.end };
  report({
    code: 'E0413',
    message: `the property does not depend on the size ${size.name}`,
    at,
    help: [help],
    fixes: alone === undefined ? [] : [replaceFix(help, alone, '')],
  });
}
