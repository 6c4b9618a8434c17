/** The checker: from source text to the typed program, or to what is wrong with it. */
import type { Diagnostic, Source, Span } from '../diagnostics/diagnostic.ts';
import type { Module } from '../syntax/tree.ts';
import { reportDeepCalls } from './call-depth.ts';
import { type CheckedBody, checkBody } from './check-body.ts';
import { checkProperty, expressionsOf } from './check-property.ts';
import { declareModule } from './declare-module.ts';
import { depthOf } from './expression-children.ts';
import { verifyFixes } from './fixes.ts';
import {
  cachingParse,
  type LoadedModule,
  type LoadedProgram,
  loadProgram,
  type ModuleLoader,
  type Parse,
} from './modules.ts';
import { checkPlacement } from './placing/check-placement.ts';
import { placeProperty } from './placing/place-property.ts';
import { reportRecursion } from './recursion.ts';
import { diagnosticOf, type Problem } from './report.ts';
import { axesOf, type ModuleScope } from './scope.ts';
import type { FunctionInfo, PropertyInfo, TypedProgram } from './typed.ts';

export type { ModuleLoader } from './modules.ts';

export interface CheckResult {
  /** Complete only when there are no errors. */
  readonly program: TypedProgram;
  /** In the order of the modules, each after what it imports, and of the text. */
  readonly diagnostics: readonly Diagnostic[];
  /** The text of every file that was read, by path, for showing diagnostics. */
  readonly sources: ReadonlyMap<string, string>;
}

/** Checks a file and all that it imports. Never throws for bad input; every error has a way out. */
export function checkProgram(entry: Source, loader: ModuleLoader): CheckResult {
  const memory = newMemory();
  const result = checkOnce(entry, loader, memory);
  if (result.diagnostics.length === 0) return result;
  const recheck = (edited: Source): readonly Diagnostic[] =>
    edited.path === entry.path
      ? checkOnce(edited, loader, memory).diagnostics
      : checkOnce(entry, overlay(loader, edited), memory).diagnostics;
  return { ...result, diagnostics: verifyFixes(result.diagnostics, result.sources, recheck) };
}

/** As `checkProgram`, of one text after another: what they import is checked once. No fixes are offered. */
export function programChecker(loader: ModuleLoader): (entry: Source) => CheckResult {
  const memory = newMemory();
  return (entry) => checkOnce(entry, loader, memory);
}

/** The loader with one file's text replaced. */
function overlay(loader: ModuleLoader, edited: Source): ModuleLoader {
  const replace = (source: Source | undefined): Source | undefined =>
    source?.path === edited.path ? edited : source;
  return {
    standardNames: loader.standardNames,
    standard: (name) => replace(loader.standard(name)),
    file: (from, relative) => replace(loader.file(from, relative)),
  };
}

/** What is known of texts that were checked before. */
interface Memory {
  readonly parseText: Parse;
  /** By path, as they were last. */
  readonly modules: Map<string, CheckedModule>;
}

function newMemory(): Memory {
  return { parseText: cachingParse(), modules: new Map() };
}

/** An imported module: what it declares, and what its bodies are. */
interface CheckedModule {
  readonly tree: Module;
  /** The modules whose names it sees. */
  readonly before: readonly CheckedModule[];
  readonly scope: ModuleScope;
  readonly bodies: readonly CheckedFunction[];
  readonly problems: readonly Problem[];
}

interface CheckedFunction extends CheckedBody {
  readonly depth: number;
}

function checkOnce(entry: Source, loader: ModuleLoader, { parseText, modules }: Memory): CheckResult {
  const problems: Problem[] = [];
  const report = (problem: Problem): void => {
    problems.push(problem);
  };
  const loaded = loadProgram(entry, loader, report, parseText);
  const sources = new Map(loaded.modules.map(({ source }) => [source.path, source.text] as const));
  const text = (span: Span): string => (sources.get(span.file) ?? '').slice(span.start, span.end);
  const scopes = new Map<string, ModuleScope>();
  const functions = new Map<string, FunctionInfo>();
  const properties = new Map<string, PropertyInfo>();
  const calls = new Map<string, ReadonlyMap<string, Span>>();
  const depths = new Map<string, number>();
  for (const module of loaded.modules) {
    const isEntry = module === loaded.entry;
    const known = isEntry ? undefined : remembered(module, loaded, modules);
    const own = known ?? checkModule(module);
    if (!isEntry) modules.set(module.source.path, own);
    scopes.set(module.source.path, own.scope);
    problems.push(...own.problems);
    for (const { info, calls: called, depth } of own.bodies) {
      functions.set(info.id, info);
      calls.set(info.id, called);
      depths.set(info.id, depth);
    }
    for (const signature of own.scope.properties.values()) {
      const checked = checkProperty(signature, own.scope, report, text);
      properties.set(signature.name, checked.info);
      calls.set(signature.id, checked.calls);
      const parts = expressionsOf(signature.declaration);
      depths.set(
        signature.id,
        parts.map(depthOf).reduce((most, depth) => Math.max(most, depth + 1), 1),
      );
    }
  }
  const isAcyclic = reportRecursion(functions, calls, report);
  if (isAcyclic) reportDeepCalls(depths, calls, report);
  const syntaxErrors = loaded.modules.flatMap((module) => module.syntaxErrors);
  const program = programOf(loaded, scopes, functions, properties, calls);
  const isTyped = problems.length + syntaxErrors.length === 0;
  // Without an axis everything is on every device.
  if (isTyped && program.axes.length > 0) {
    const own = scopes.get(loaded.entry.source.path);
    const check = { program, report, text };
    for (const signature of own?.functions.values() ?? [])
      checkPlacement(functions.get(signature.id)!, signature, check);
    for (const [name, signature] of own?.properties ?? [])
      properties.set(name, placeProperty(properties.get(name)!, signature, check));
  }
  return {
    program,
    diagnostics: [...syntaxErrors, ...inSourceOrder(problems, loaded).map(diagnosticOf)],
    sources,
  };

  function checkModule(module: LoadedModule): CheckedModule {
    const own: Problem[] = [];
    const reportOwn = (problem: Problem): void => {
      own.push(problem);
    };
    const scope = declareModule(module, loaded, scopes, reportOwn);
    const bodies = [...scope.functions.values()].flatMap((signature): readonly CheckedFunction[] => {
      if (signature.broken) return [];
      const checked = checkBody(signature, scope, reportOwn, text);
      return [{ ...checked, depth: depthOf(signature.declaration.body) }];
    });
    return { tree: module.tree, before: basesOf(module, loaded, modules), scope, bodies, problems: own };
  }
}

/** What was found of the module, if neither it nor anything that it depends on is another since. */
function remembered(
  module: LoadedModule,
  loaded: LoadedProgram,
  modules: Memory['modules'],
): CheckedModule | undefined {
  const known = modules.get(module.source.path);
  if (known?.tree !== module.tree) return undefined;
  const before = basesOf(module, loaded, modules);
  const isSame =
    before.length === known.before.length && before.every((base, place) => base === known.before[place]);
  return isSame ? known : undefined;
}

/** The modules whose names a module sees: the prelude and what it imports. They were checked already. */
function basesOf(
  { source, imports }: LoadedModule,
  { prelude, belowPrelude }: LoadedProgram,
  modules: Memory['modules'],
): readonly CheckedModule[] {
  const seen = prelude === undefined || belowPrelude.has(source.path) ? [] : [prelude];
  return [...seen, ...imports.map(({ target }) => target)].flatMap(
    (base) => modules.get(base.source.path) ?? [],
  );
}

/** Each once, by module and position. */
function inSourceOrder(problems: readonly Problem[], loaded: LoadedProgram): readonly Problem[] {
  const order = new Map(loaded.modules.map(({ source }, i) => [source.path, i] as const));
  const rank = ({ at }: Problem): number => order.get(at.file) ?? 0;
  const seen = new Set<string>();
  return [...problems]
    .sort(
      (left, right) =>
        rank(left) - rank(right) || left.at.start - right.at.start || left.at.end - right.at.end,
    )
    .filter(({ code, at, message }) => {
      const key = `${code} ${at.file} ${at.start} ${at.end} ${message}`;
      return !seen.has(key) && seen.add(key);
    });
}

function programOf(
  loaded: LoadedProgram,
  scopes: ReadonlyMap<string, ModuleScope>,
  functions: ReadonlyMap<string, FunctionInfo>,
  properties: ReadonlyMap<string, PropertyInfo>,
  calls: ReadonlyMap<string, ReadonlyMap<string, Span>>,
): TypedProgram {
  const own = [...(scopes.get(loaded.entry.source.path)?.functions.values() ?? [])].flatMap(
    ({ id }) => functions.get(id) ?? [],
  );
  const exported = own.filter((info) => info.exported);
  const entries = exported.length > 0 ? exported : own;
  const checked = [...properties.values()].flatMap(({ id }) => [...(calls.get(id)?.keys() ?? [])]);
  const called = checked.flatMap((id) => functions.get(id) ?? []);
  return {
    functions: reachable([...own, ...called], functions, calls),
    entries: new Map(entries.map((info) => [info.name, info] as const)),
    properties,
    axes: [...axesOf([...scopes.values()])],
  };
}

function reachable(
  from: readonly FunctionInfo[],
  functions: ReadonlyMap<string, FunctionInfo>,
  calls: ReadonlyMap<string, ReadonlyMap<string, Span>>,
): ReadonlyMap<string, FunctionInfo> {
  const found = new Map<string, FunctionInfo>();
  const pending = [...from];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    if (found.has(next.id)) continue;
    found.set(next.id, next);
    for (const id of calls.get(next.id)?.keys() ?? []) pending.push(...[functions.get(id) ?? []].flat());
  }
  return found;
}
