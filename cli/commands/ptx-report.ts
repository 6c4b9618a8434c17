/** `ricci compile --target ptx --report`: what each kernel takes, and what it consists of. */

import { countInstructions } from '../../backends/cuda-ptx/instruction-counts.ts';
import { parsePtx } from '../../backends/cuda-ptx/parse.ts';
import { type Assembly, assemble, findPtxas, PtxasRefusal } from '../../backends/cuda-ptx/ptxas.ts';
import type { PtxTarget } from '../../compiler/tiles/ptx-target.ts';
import type { ScheduledStep } from '../../compiler/tiles/scheduled.ts';
import type { TileStatement } from '../../compiler/tiles/tile-program.ts';
import type { CompiledPtx } from '../../driver/compile.ts';
import { UserError } from '../../runtime/errors.ts';
import type { Output } from '../output.ts';
import { alignColumns } from '../table.ts';

/** @throws UserError `device-refused` when ptxas does not take the kernels */
export async function reportPtx(
  { kernels, module, schedule }: CompiledPtx,
  target: PtxTarget,
  environment: NodeJS.ProcessEnv,
  output: Output,
): Promise<void> {
  const ptxas = findPtxas(environment);
  if (ptxas === undefined)
    output.progress('no ptxas in CUDA_HOME or on the PATH: registers, spills and warnings are not told');
  const assembly = ptxas === undefined ? undefined : await assembled(ptxas, target, module);
  const functions = new Map(parsePtx(module).functions.map((each) => [each.name, each]));
  const stages = stagesOf(schedule.steps);
  const reports = kernels.map(({ name, block, grid, sharedBytes }) => ({
    ...assembly?.kernels.find(({ kernel }) => kernel === name),
    ...{ kernel: name, grid, threads: block, sharedBytes, stages: stages.get(name) ?? 1 },
    instructions: countInstructions(functions.get(name)!),
  }));
  const warnings = assembly?.warnings ?? [];
  output.data([...reportTable(reports), ...warnings].join('\n'), {
    ...{ target, ptxas, kernels: reports, warnings },
  });
}

async function assembled(ptxas: string, target: PtxTarget, text: string): Promise<Assembly> {
  try {
    return await assemble(ptxas, target, text);
  } catch (error) {
    if (!(error instanceof PtxasRefusal)) throw error;
    throw new UserError(
      'device-refused',
      `${ptxas} does not take the kernels: ${error.message}`,
      `use the ptxas of a CUDA toolkit that has ${target}; if it has, please report this as a fault of ricci`,
    );
  }
}

/** By kernel: of its pipelines, how many steps there are at most in shared memory. */
function stagesOf(steps: readonly ScheduledStep[]): ReadonlyMap<string, number> {
  const deepest = (body: readonly TileStatement[]): number =>
    body.reduce(
      (most, statement) =>
        Math.max(
          most,
          statement.kind === 'pipeline' ? statement.stages : 1,
          'body' in statement ? deepest(statement.body) : 1,
        ),
      1,
    );
  return new Map(
    steps.flatMap((step): readonly (readonly [string, number])[] => {
      if (step.kind === 'loop') return [...stagesOf(step.steps)];
      return step.kind === 'kernel' ? [[step.program.name, deepest(step.program.body)]] : [];
    }),
  );
}

type Report = Pick<CompiledPtx['kernels'][number], 'grid' | 'sharedBytes'> & {
  readonly kernel: string;
  readonly threads: number;
  readonly stages: number;
  readonly instructions: ReturnType<typeof countInstructions>;
} & Partial<Assembly['kernels'][number]>;

interface Column {
  readonly title: string;
  readonly text: (report: Report) => string;
}

const always: readonly Column[] = [
  { title: 'kernel', text: ({ kernel }) => kernel },
  { title: 'blocks', text: ({ grid }) => grid.join('×').replace(/(×1)+$/, '') },
  { title: 'threads', text: ({ threads }) => `${threads}` },
  { title: 'shared', text: ({ sharedBytes }) => `${sharedBytes}` },
  { title: 'stages', text: ({ stages }) => `${stages}` },
  { title: 'products', text: ({ instructions }) => `${instructions.product}` },
  { title: 'global', text: ({ instructions }) => `${instructions.global}` },
  { title: 'in shared', text: ({ instructions }) => `${instructions.shared}` },
  { title: 'copies', text: ({ instructions }) => `${instructions.copy}` },
  { title: 'barriers', text: ({ instructions }) => `${instructions.barrier}` },
  { title: 'other', text: ({ instructions }) => `${instructions.other}` },
];

const byPtxas: readonly Column[] = [
  { title: 'registers', text: ({ registers }) => `${registers}` },
  { title: 'spilled', text: ({ spillStores = 0, spillLoads = 0 }) => `${spillStores + spillLoads}` },
];

/** `shared` is in bytes of a block, `spilled` in bytes of a thread; counts of instructions come last. */
function reportTable(reports: readonly Report[]): readonly string[] {
  const hasPtxas = reports.some(({ registers }) => registers !== undefined);
  const columns = hasPtxas ? always.toSpliced(4, 0, ...byPtxas) : always;
  return alignColumns(
    [columns.map(({ title }) => title), ...reports.map((report) => columns.map(({ text }) => text(report)))],
    columns.map((_, place) => (place === 0 ? 'left' : 'right')),
  );
}
