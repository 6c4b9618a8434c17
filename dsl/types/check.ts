/** The checker: from source text to the typed program, or to what is wrong with it. */
import type { Diagnostic, Source, Span } from '../diagnostics/diagnostic.ts';
import { reportDeepCalls } from './call-depth.ts';
import { checkBody } from './check-body.ts';
import { checkProperty, expressionsOf } from './check-property.ts';
import { declareModule } from './declare-module.ts';
import { depthOf } from './expression-children.ts';
import { verifyFixes } from './fixes.ts';
import { cachingParse, type LoadedProgram, loadProgram, type ModuleLoader, type Parse } from './modules.ts';
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
  const parseText = cachingParse();
  const result = checkOnce(entry, loader, parseText);
  if (result.diagnostics.length === 0) return result;
  const recheck = (edited: Source): readonly Diagnostic[] =>
    edited.path === entry.path
      ? checkOnce(edited, loader, parseText).diagnostics
      : checkOnce(entry, overlay(loader, edited), parseText).diagnostics;
  return { ...result, diagnostics: verifyFixes(result.diagnostics, result.sources, recheck) };
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

function checkOnce(entry: Source, loader: ModuleLoader, parseText: Parse): CheckResult {
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
    const scope = declareModule(module, loaded, scopes, report);
    scopes.set(module.source.path, scope);
    for (const signature of scope.functions.values()) {
      if (signature.broken) continue;
      const checked = checkBody(signature, scope, report, text);
      functions.set(signature.id, checked.info);
      calls.set(signature.id, checked.calls);
      depths.set(signature.id, depthOf(signature.declaration.body));
    }
    for (const signature of scope.properties.values()) {
      const checked = checkProperty(signature, scope, report, text);
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
