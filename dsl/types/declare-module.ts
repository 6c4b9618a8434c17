/** The names of a module: its imports, records, functions and axes. */
import type { Span } from '../diagnostics/diagnostic.ts';
import type { Declaration, Identifier, Import } from '../syntax/tree.ts';
import { closestName } from './did-you-mean.ts';
import type { LoadedModule, LoadedProgram } from './modules.ts';
import { propertySignatureOf } from './property-signature.ts';
import { type Report, replaceFix, silent } from './report.ts';
import { axesOf, type ModuleScope } from './scope.ts';
import {
  breakRecordCycles,
  fillRecord,
  openRecord,
  recordEntry,
  reportDuplicates,
  signatureOf,
} from './signatures.ts';

type Kind<K extends Declaration['kind']> = Extract<Declaration, { kind: K }>;

export function declareModule(
  module: LoadedModule,
  program: LoadedProgram,
  scopes: ReadonlyMap<string, ModuleScope>,
  report: Report,
): ModuleScope {
  const { tree, source, syntaxErrors } = module;
  const scope: ModuleScope = {
    path: source.path,
    functions: new Map(),
    properties: new Map(),
    records: new Map(),
    modules: new Map(),
    bareFunctions: new Map(),
    bareRecords: new Map(),
    axes: new Map(),
    importPosition: tree.name?.span.end ?? 0,
    incomplete: syntaxErrors.some(({ severity }) => severity === 'error'),
  };
  const prelude = program.prelude;
  if (prelude !== undefined && !program.belowPrelude.has(source.path)) {
    const names = scopes.get(prelude.source.path);
    if (names !== undefined) importAll(names, scope);
  }
  for (const { declaration, target } of module.imports) {
    const names = scopes.get(target.source.path);
    if (names !== undefined) importModule(declaration, target, names, scope, report);
  }
  reportHiddenImports(module.imports, report);
  const meshes = declarationsOf(tree.declarations, 'mesh');
  for (const axis of meshes.flatMap(({ axes }) => axes)) scope.axes.set(axis.name, axis.span);
  const records = declarationsOf(tree.declarations, 'record');
  const functions = declarationsOf(tree.declarations, 'function');
  const properties = declarationsOf(tree.declarations, 'property');
  reportDuplicates(
    meshes.flatMap(({ axes }) => axes),
    'axis',
    report,
  );
  reportDuplicates(
    [...records, ...functions, ...properties].map(({ name }) => name),
    'name',
    report,
  );
  const broken = (span: Span): boolean =>
    syntaxErrors.some(({ primary }) => primary.span.start < span.end && span.start <= primary.span.end);
  const open = records.map((declaration) => openRecord(declaration, scope));
  for (const record of open) scope.records.set(record.info.name, recordEntry(record));
  for (const record of open) fillRecord(record, scope, broken(record.declaration.span) ? silent : report);
  breakRecordCycles(open, report);
  for (const declaration of functions) {
    if (scope.functions.has(declaration.name.name)) continue;
    const isBroken = broken(declaration.span);
    const signature = signatureOf(declaration, scope, isBroken ? silent : report, isBroken);
    scope.functions.set(signature.name, signature);
  }
  const axes = axesOf([...scopes.values(), scope]);
  for (const declaration of properties) {
    const { name } = declaration.name;
    if (broken(declaration.span) || scope.properties.has(name) || scope.functions.has(name)) continue;
    const signature = propertySignatureOf(declaration, scope, axes, report);
    scope.properties.set(signature.name, signature);
  }
  return scope;
}

function declarationsOf<K extends Declaration['kind']>(
  declarations: readonly Declaration[],
  kind: K,
): readonly Kind<K>[] {
  return declarations.filter((declaration): declaration is Kind<K> => declaration.kind === kind);
}

function importAll(from: ModuleScope, into: ModuleScope): void {
  for (const [name, signature] of from.functions) into.bareFunctions.set(name, signature);
  for (const [name, record] of from.records) into.bareRecords.set(name, record);
}

function importModule(
  declaration: Import,
  target: LoadedModule,
  names: ModuleScope,
  into: ModuleScope,
  report: Report,
): void {
  into.modules.set(qualifierOf(declaration, target), names);
  for (const name of declaration.names) {
    const signature = names.functions.get(name.name);
    const record = names.records.get(name.name);
    if (signature !== undefined) into.bareFunctions.set(name.name, signature);
    if (record !== undefined) into.bareRecords.set(name.name, record);
    if (signature === undefined && record === undefined && !names.incomplete) {
      reportMissing(name, declaration, names, report);
    }
  }
}

/** What the module is called in this file: the alias, its own name, or that of its file. */
function qualifierOf(declaration: Import, target: LoadedModule): string {
  const { alias, from } = declaration;
  if (alias !== undefined) return alias.name;
  if (from.kind === 'name') return from.text;
  const file = target.source.path.split('/').at(-1) ?? target.source.path;
  return target.tree.name?.name ?? file.replace(/\.ricci$/, '');
}

/** Names that imports of different modules give: only the last would be seen. */
function reportHiddenImports(imports: LoadedModule['imports'], report: Report): void {
  const first = new Map<string, { readonly target: LoadedModule; readonly span: Span }>();
  const note = (key: string, target: LoadedModule, span: Span, message: string, help: string): void => {
    const earlier = first.get(key);
    if (earlier === undefined) first.set(key, { target, span });
    else if (earlier.target !== target)
      report({
        code: 'E0204',
        message,
        at: span,
        secondary: [{ span: earlier.span, message: 'first imported here' }],
        help: [help],
      });
  };
  for (const { declaration, target } of imports) {
    const qualifier = qualifierOf(declaration, target);
    const span = declaration.alias?.span ?? declaration.from.span;
    note(
      `${qualifier}.`,
      target,
      span,
      `two modules are imported as ${qualifier}`,
      'name one of them with `as`',
    );
    for (const { name, span: at } of declaration.names)
      note(
        name,
        target,
        at,
        `${name} is imported from two modules`,
        'leave one out, and write its module before it',
      );
  }
}

function reportMissing(name: Identifier, declaration: Import, names: ModuleScope, report: Report): void {
  const all = [...names.functions.keys(), ...names.records.keys()];
  const close = closestName(name.name, all);
  report({
    code: 'E0205',
    message: `${declaration.from.text} has no ${name.name}`,
    at: name.span,
    help: [close === undefined ? `it has ${all.join(', ')}` : `did you mean ${close}?`],
    fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, name.span, close)],
  });
}
