/** A program as text at each stage of its way. */
import { printModule } from '../backends/wasm/print.ts';
import { printGraph } from '../compiler/graph/print.ts';
import type { AnyPackage } from '../compiler/plan/package.ts';
import { raiseGraph } from '../compiler/raise/raise-graph.ts';
import { printChoice } from '../compiler/tiles/choices/choice-text.ts';
import { problemTitle } from '../compiler/tiles/choices/problem-title.ts';
import { printTileProgram } from '../compiler/tiles/print.ts';
import { format } from '../dsl/syntax/format.ts';
import { parse } from '../dsl/syntax/parse.ts';
import { checkFile, type Rejected } from './check.ts';
import { type Compiled, type CompiledPtx, type CompiledWasm, type Packaged, programsOf } from './compile.ts';
import type { Lowered } from './lower.ts';
import { requireSource } from './module-loader.ts';
import { showSignature } from './signature.ts';
import type { DeviceStage, GraphStage, SourceStage } from './stages.ts';

export interface Shown {
  readonly kind: 'shown';
  readonly text: string;
}

/** The program as text at each stage, from what it takes to get there. */
export const showSource: { readonly [S in SourceStage]: (path: string) => Shown | Rejected } = {
  tree: (path) => {
    const source = requireSource(path);
    const { module, diagnostics } = parse(source);
    if (diagnostics.length > 0)
      return { kind: 'rejected', diagnostics, sources: new Map([[source.path, source.text]]) };
    return { kind: 'shown', text: format(module, source.text) };
  },
  types: (path) => {
    const checked = checkFile(path);
    if (checked.kind === 'rejected') return checked;
    return { kind: 'shown', text: [...checked.program.entries.values()].map(showSignature).join('\n') };
  },
};

export const showGraph: { readonly [S in GraphStage]: (lowered: Lowered) => string } = {
  graph: (lowered) => printGraph(lowered.graph),
  source: ({ graph, below, placed }) =>
    raiseGraph(placed?.graph ?? graph, { below, ...(placed && { placed }) }).text,
  optimized: (lowered) => printGraph(lowered.optimized),
};

/** What was chosen for each problem. */
function showSchedule({ schedule: { chosen } }: Packaged<AnyPackage>): string {
  return chosen.map(({ problem, choice }) => `${problemTitle(problem)}: ${printChoice(choice)}`).join('\n');
}

/** Stages that all targets have. */
const showPackaged = {
  schedule: showSchedule,
  tiles: ({ schedule }: Packaged<AnyPackage>) =>
    programsOf(schedule.steps).map(printTileProgram).join('\n\n'),
  plan: (compiled: Packaged<AnyPackage>) => JSON.stringify(compiled.package.manifest, undefined, 2),
};

export const showDevice: {
  readonly [S in Exclude<DeviceStage, 'wasm' | 'ptx'>]: (compiled: Compiled) => string;
} = {
  ...showPackaged,
  wgsl: ({ kernels }) => kernels.map(({ name, code }) => `// ${name}\n${code}`).join('\n\n'),
};

export const showWasm: {
  readonly [S in Exclude<DeviceStage, 'wgsl' | 'ptx'>]: (compiled: CompiledWasm) => string;
} = { ...showPackaged, wasm: ({ module }) => printModule(module.code) };

export const showPtx: {
  readonly [S in Exclude<DeviceStage, 'wgsl' | 'wasm'>]: (compiled: CompiledPtx) => string;
} = { ...showPackaged, ptx: ({ module }) => module };
