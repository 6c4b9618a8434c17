/** What the declarations of a module say, before any body is looked at. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type {
  FunctionDeclaration,
  Identifier,
  RecordDeclaration,
  SizeExpression,
  TypeExpression,
} from '../syntax/tree.ts';
import { type Facts, noFacts, withFact } from './facts.ts';
import { insertFix, type Report } from './report.ts';
import type { FunctionSignature, ModuleScope, RecordEntry } from './scope.ts';
import { natural, parameter, type Size } from './size.ts';
import { factOf, type TypeScope, typeOf } from './type-expressions.ts';
import type { RecordInfo, Type } from './typed.ts';
import { errorType } from './types.ts';

// ── records ────────────────────────────────────────────────────────────────────────────────────────────────

/** A record whose fields are filled in once all records of the module have their names. */
export interface OpenRecord {
  readonly declaration: RecordDeclaration;
  readonly info: RecordInfo & { readonly fields: { name: string; type: Type }[] };
}

export function openRecord(declaration: RecordDeclaration, module: ModuleScope): OpenRecord {
  const parameters = declaration.sizes.map(({ name }) => name);
  return { declaration, info: { name: declaration.name.name, module: module.path, parameters, fields: [] } };
}

export function fillRecord(record: OpenRecord, module: ModuleScope, report: Report): void {
  const { declaration, info } = record;
  reportDuplicates(declaration.sizes, 'size', report);
  reportDuplicates(
    declaration.fields.map(({ name }) => name),
    'field',
    report,
  );
  const sizes = new Map(info.parameters.map((name) => [name, parameter(name)] as const));
  const scope: TypeScope = {
    module,
    report,
    facts: noFacts,
    sizes,
    axes: module.axes,
    declaration: undefined,
  };
  for (const { name, type } of declaration.fields) {
    info.fields.push({ name: name.name, type: typeOf(type, scope, 'float allowed') });
  }
}

/** Records that contain themselves lose the field that does it. */
export function breakRecordCycles(records: readonly OpenRecord[], report: Report): void {
  for (const { declaration, info } of records) {
    info.fields.forEach((field, i) => {
      if (!mentions(field.type, info, new Set())) return;
      info.fields[i] = { name: field.name, type: errorType };
      report({
        code: 'E0210',
        message: `${info.name} contains itself`,
        at: declaration.fields[i]?.name.span ?? declaration.span,
        help: ['an array of records has a leading dimension instead: layers: Layer(D)[L]'],
      });
    });
  }
}

function mentions(type: Type, record: RecordInfo, seen: Set<RecordInfo>): boolean {
  if (type.kind === 'tuple') return type.elements.some((element) => mentions(element, record, seen));
  if (type.kind !== 'record') return false;
  if (type.record === record) return true;
  if (seen.has(type.record)) return false;
  seen.add(type.record);
  return type.record.fields.some((field) => mentions(field.type, record, seen));
}

export function recordEntry(record: OpenRecord): RecordEntry {
  return { info: record.info, span: record.declaration.name.span };
}

// ── functions ──────────────────────────────────────────────────────────────────────────────────────────────

export function signatureOf(
  declaration: FunctionDeclaration,
  module: ModuleScope,
  report: Report,
  broken: boolean,
): FunctionSignature {
  const types = declaration.parameters.map(({ type }) => type);
  const axes = signatureAxes([...types, declaration.result], module);
  const names = sizeNames(declaration, axes);
  reportDuplicates(declaration.sizes, 'size', report);
  reportDuplicates(
    declaration.parameters.map(({ name }) => name),
    'parameter',
    report,
  );
  reportUnfixed(declaration, names, axes, report);
  const sizes = new Map<string, Size>([...axes.keys(), ...names].map((name) => [name, parameter(name)]));
  const bare = { module, report, facts: noFacts, sizes, axes, declaration };
  const facts = declaration.facts.flatMap((fact) => factOf(fact, bare) ?? []);
  const assumed = facts.reduce<Facts>((known, fact) => withFact(known, fact), axisFacts(axes));
  const scope: TypeScope = { ...bare, facts: assumed };
  return {
    id: `${module.path}#${declaration.name.name}`,
    name: declaration.name.name,
    declaration,
    sizes: [...names],
    explicitSizes: declaration.sizes.length,
    parameters: declaration.parameters.map(({ name, type, span }) => ({
      name: name.name,
      type: typeOf(type, scope, 'float allowed'),
      span,
    })),
    result: typeOf(declaration.result, scope, 'no float'),
    facts,
    assumed,
    axes,
    broken,
  };
}

/** A mesh has at least one device along each axis. */
export function axisFacts(axes: ReadonlyMap<string, Span>): Facts {
  const one = natural(1);
  return [...axes.keys()].reduce<Facts>(
    (known, axis) => withFact(known, { relation: '<=', left: one, right: parameter(axis) }),
    noFacts,
  );
}

/** The axes of the module, and those that the types of a signature place dimensions over. */
export function signatureAxes(types: readonly TypeExpression[], module: ModuleScope): Map<string, Span> {
  const axes = new Map(module.axes);
  for (const axis of types.flatMap(axesOfType)) {
    if (!axes.has(axis.name)) axes.set(axis.name, axis.span);
  }
  return axes;
}

function axesOfType(type: TypeExpression): readonly Identifier[] {
  if (type.kind === 'tuple') return type.elements.flatMap(axesOfType);
  const placed = type.dims.flatMap(({ placement }) => (placement.kind === 'axes' ? placement.axes : []));
  return [...placed, ...type.pending.map(({ axis }) => axis)];
}

/** Size parameters in order of first appearance; those in brackets first. */
function sizeNames(declaration: FunctionDeclaration, axes: ReadonlyMap<string, Span>): Set<string> {
  const types = declaration.parameters.map(({ type }) => type);
  return new Set([...declaration.sizes.map(({ name }) => name), ...sizesUsedIn(types, axes)]);
}

/** The names of sizes in types, in order of first appearance. */
export function sizesUsedIn(
  types: readonly TypeExpression[],
  axes: ReadonlyMap<string, Span>,
): ReadonlySet<string> {
  const names = types.flatMap(namesOfType).map(({ name }) => name);
  return new Set(names.filter((name) => isSizeName(name) && !axes.has(name)));
}

/**
 * Sizes that only the result or the facts mention have no value: they are reported, and then taken as given.
 */
function reportUnfixed(
  declaration: FunctionDeclaration,
  names: Set<string>,
  axes: ReadonlyMap<string, Span>,
  report: Report,
): void {
  const factSizes = declaration.facts.flatMap(({ left, right }) => [
    ...namesOfSize(left),
    ...namesOfSize(right),
  ]);
  for (const { name, span } of [...namesOfType(declaration.result), ...factSizes]) {
    if (names.has(name) || axes.has(name) || !isSizeName(name)) continue;
    names.add(name);
    const last = declaration.sizes.at(-1);
    const nameEnd = declaration.name.span.end;
    const file = declaration.span.file;
    const help = `declare it in brackets, ${declaration.name.name}[${name}](…): callers then give it`;
    report({
      code: 'E0407',
      message: `no argument fixes the size ${name}`,
      at: span,
      help: [help],
      fixes: [
        last === undefined
          ? insertFix(help, file, nameEnd, `[${name}]`)
          : insertFix(help, file, last.span.end, `, ${name}`),
      ],
    });
  }
}

function isSizeName(name: string): boolean {
  return /^[A-Z]/.test(name);
}

type Named = { readonly name: string; readonly span: Span };

function namesOfType(type: TypeExpression): readonly Named[] {
  if (type.kind === 'tuple') return type.elements.flatMap(namesOfType);
  return [...type.sizes, ...type.dims.map(({ size }) => size)].flatMap(namesOfSize);
}

export function namesOfSize(size: SizeExpression): readonly Named[] {
  if (size.kind === 'natural') return [];
  return size.kind === 'name' ? [size] : [...namesOfSize(size.left), ...namesOfSize(size.right)];
}

export function reportDuplicates(names: readonly Identifier[], noun: string, report: Report): void {
  const first = new Map<string, Span>();
  for (const { name, span } of names) {
    const earlier = first.get(name);
    if (earlier === undefined) {
      first.set(name, span);
      continue;
    }
    report({
      code: 'E0204',
      message: `the ${noun} ${name} is defined twice`,
      at: span,
      secondary: [{ span: earlier, message: 'first defined here' }],
      help: ['give one of the two another name'],
    });
  }
}
