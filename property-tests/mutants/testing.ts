/**
 * For tests: runs the compiler with its text changed. Vite loads the modules, with the change; between one
 * mutant and the next only those are loaded anew that import what was changed, however far around.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { createViteServer } from 'vitest/node';
import { packageRoot } from '../../driver/package-root.ts';
import type { Mutant, Oracle, OracleName } from './mutant.ts';

/** `to` instead of `from`, which stands once in the file. */
export type TextChange = Pick<Mutant, 'file' | 'from' | 'to'>;

export interface World {
  /** The oracle, of the compiler with the fault; without a mutant, of the compiler as it is. */
  readonly oracle: (name: OracleName, mutant?: Mutant) => Promise<Oracle>;
  /** The same of any module: what it exports. */
  readonly module: <T>(path: string, change?: TextChange) => Promise<T>;
  readonly close: () => Promise<void>;
}

/** Of what runs the server's modules, what is asked of it here. */
interface Runner {
  readonly import: <T>(path: string) => Promise<T>;
  readonly evaluatedModules: {
    readonly getModulesByFile: (file: string) => ReadonlySet<LoadedModule> | undefined;
    readonly getModuleById: (id: string) => LoadedModule | undefined;
    readonly invalidateModule: (module: LoadedModule) => void;
  };
}

interface LoadedModule {
  readonly importers: ReadonlySet<string>;
}

export async function openWorld(): Promise<World> {
  let current: TextChange | undefined;
  const server = await createViteServer({
    configFile: false,
    root: packageRoot,
    appType: 'custom',
    logLevel: 'error',
    server: { middlewareMode: true, hmr: false, watch: null, ws: false },
    optimizeDeps: { noDiscovery: true },
    plugins: [
      {
        name: 'mutate',
        enforce: 'pre',
        transform: (text, id) =>
          current !== undefined && id === pathOf(current) ? mutated(current, text) : undefined,
      },
    ],
  });
  const environment = server.environments.ssr;
  if (!('runner' in environment)) throw new Error('the server does not run modules');
  const { moduleGraph } = environment;
  const runner = environment.runner as Runner;
  let changed: string | undefined;

  /** Forgets the file as it was loaded, and all that imports it. */
  function forget(file: string): void {
    for (const module of moduleGraph.getModulesByFile(file) ?? []) moduleGraph.invalidateModule(module);
    const { evaluatedModules } = runner;
    const stale = [...(evaluatedModules.getModulesByFile(file) ?? [])];
    const seen = new Set(stale);
    for (let module = stale.pop(); module !== undefined; module = stale.pop()) {
      for (const importer of module.importers) {
        const next = evaluatedModules.getModuleById(importer);
        if (next === undefined || seen.has(next)) continue;
        seen.add(next);
        stale.push(next);
      }
    }
    for (const module of seen) evaluatedModules.invalidateModule(module);
  }

  function load<T>(path: string, change?: TextChange): Promise<T> {
    if (changed !== undefined) forget(changed);
    current = change;
    changed = change && pathOf(change);
    if (changed !== undefined) forget(changed);
    return runner.import<T>(join(packageRoot, path));
  }

  return {
    async oracle(name, mutant) {
      const path = `property-tests/mutants/oracles/${name}.ts`;
      const { oracle } = await load<{ oracle: Oracle }>(path, mutant);
      return oracle;
    },
    module: load,
    close: () => server.close(),
  };
}

function pathOf({ file }: TextChange): string {
  return join(packageRoot, file);
}

function mutated({ file, from, to }: TextChange, text: string): string {
  if (text.split(from).length !== 2) throw new Error(`${file} has not once: ${from}`);
  return text.replace(from, () => to);
}

/** Whether the mutant still says something of the file. */
export function applies(mutant: Mutant): boolean {
  return readFileSync(pathOf(mutant), 'utf8').split(mutant.from).length === 2;
}
