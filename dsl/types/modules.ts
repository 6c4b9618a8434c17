/** Finding and parsing a file and all that it imports. */
import type { Diagnostic, Source } from '../diagnostics/diagnostic.ts';
import { type Extent, type Parsed, parse } from '../syntax/parse.ts';
import type { Import, Module } from '../syntax/tree.ts';
import { closestName } from './did-you-mean.ts';
import { type Report, replaceFix } from './report.ts';

/** Where imports get their text; the checker itself reads no files. */
export interface ModuleLoader {
  readonly standard: (name: string) => Source | undefined;
  /** A file named relative to the file that imports it. */
  readonly file: (fromPath: string, relative: string) => Source | undefined;
  readonly standardNames: readonly string[];
}

export interface LoadedModule {
  readonly source: Source;
  readonly tree: Module;
  readonly syntaxErrors: readonly Diagnostic[];
  readonly imports: readonly { readonly declaration: Import; readonly target: LoadedModule }[];
}

export interface LoadedProgram {
  /** Every module after those that it imports; the checked file is the last. */
  readonly modules: readonly LoadedModule[];
  readonly entry: LoadedModule;
  /** Imported into every module but itself and what it imports. */
  readonly prelude: LoadedModule | undefined;
  /** The paths of the prelude and of what it imports. */
  readonly belowPrelude: ReadonlySet<string>;
}

export type Parse = (source: Source, extent: Extent) => Parsed;

/** One parse for each text, so that re-checking a file after a fix does not parse the library again. */
export function cachingParse(): Parse {
  const cache = new Map<string, { text: string; extent: Extent; result: Parsed }>();
  return (source, extent) => {
    const known = cache.get(source.path);
    if (known?.text === source.text && known.extent === extent) return known.result;
    const result = parse(source, extent);
    cache.set(source.path, { text: source.text, extent, result });
    return result;
  };
}

export function loadProgram(
  entry: Source,
  loader: ModuleLoader,
  report: Report,
  parseText: Parse,
): LoadedProgram {
  const loaded = new Map<string, LoadedModule>();
  const underWay: string[] = [];

  function load(source: Source): LoadedModule {
    underWay.push(source.path);
    const { module: tree, diagnostics: syntaxErrors } = parseText(
      source,
      source.path === entry.path ? 'all' : 'without properties',
    );
    const imports = tree.declarations.flatMap((declaration) => {
      if (declaration.kind !== 'import') return [];
      const target = resolve(source, declaration);
      return target === undefined ? [] : [{ declaration, target }];
    });
    underWay.pop();
    const module = { source, tree, syntaxErrors, imports };
    loaded.set(source.path, module);
    return module;
  }

  function resolve(from: Source, declaration: Import): LoadedModule | undefined {
    const { kind, text } = declaration.from;
    const target = kind === 'name' ? loader.standard(text) : loader.file(from.path, text);
    if (target === undefined) {
      reportUnknownModule(declaration, loader, report);
      return undefined;
    }
    const start = underWay.indexOf(target.path);
    if (start >= 0) {
      const circle = [...underWay.slice(start), target.path].map((path) => path.split('/').at(-1));
      report({
        code: 'E0203',
        message: 'this import closes a circle',
        at: declaration.from.span,
        notes: [circle.join(' imports ')],
        help: ['move what both modules need into a third one'],
      });
      return undefined;
    }
    return loaded.get(target.path) ?? load(target);
  }

  const preludeSource = loader.standard('prelude');
  const prelude =
    preludeSource === undefined || preludeSource.path === entry.path ? undefined : load(preludeSource);
  const belowPrelude = new Set(loaded.keys());
  const entryModule = load(entry);
  return { modules: [...loaded.values()], entry: entryModule, prelude, belowPrelude };
}

function reportUnknownModule(declaration: Import, loader: ModuleLoader, report: Report): void {
  const { kind, text, span } = declaration.from;
  const close = kind === 'name' ? closestName(text, loader.standardNames) : undefined;
  report({
    code: 'E0202',
    message:
      kind === 'name' ? `the standard library has no module ${text}` : `there is no file ${text} to import`,
    at: span,
    help: [
      kind === 'file'
        ? 'the path is relative to this file and ends in .ricci'
        : close === undefined
          ? `its modules are ${loader.standardNames.join(', ')}; a file of yours is imported as "./${text}.ricci"`
          : `did you mean ${close}?`,
    ],
    fixes: close === undefined ? [] : [replaceFix(`did you mean ${close}?`, span, close)],
  });
}
