/**
 * Collectives over MPI beside the same calls from C: `node dist/bench/mpi/main.js [RANKS]`, for each MPI that
 * is installed with its compiler. Both run in turns, and of each the best of the rounds is compared: a core
 * that someone else uses disturbs the one that waits for it.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../driver/package-root.ts';

const rounds = 5;
const repeats = 50;
/** Bytes of a block: what one rank gives one other, or all. */
const sizes = [4, 4096, 65_536, 2 ** 20, 2 ** 22];

const libraries = [
  { name: 'MPICH', launcher: 'mpiexec.mpich', compiler: 'mpicc.mpich', options: [] },
  { name: 'Open MPI', launcher: 'mpiexec.openmpi', compiler: 'mpicc.openmpi', options: ['--oversubscribe'] },
];
const ranks = Number(process.argv[2] ?? availableParallelism());
const environment = { ...process.env, OMPI_ALLOW_RUN_AS_ROOT: '1', OMPI_ALLOW_RUN_AS_ROOT_CONFIRM: '1' };

function run(command: string, options: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(command, options, {
    encoding: 'utf8',
    env: environment,
  });
  if (status !== 0) throw new Error(`${command} failed: ${error?.message ?? stderr}`);
  return stdout;
}

function isInstalled(command: string): boolean {
  return spawnSync(command, ['--version']).status === 0;
}

/** Takes the lower of two medians for each call. */
function keepBest(best: Map<string, number>, printed: string): void {
  for (const line of printed.trim().split('\n')) {
    const [verb, size, microseconds] = line.split(' ');
    const call = `${verb} ${size}`;
    best.set(call, Math.min(best.get(call) ?? Number.POSITIVE_INFINITY, Number(microseconds)));
  }
}

const folder = mkdtempSync(join(tmpdir(), 'ricci-bench-'));
try {
  for (const { name, launcher, compiler, options } of libraries) {
    if (!isInstalled(launcher) || !isInstalled(compiler)) {
      console.log(`${name}: ${launcher} or ${compiler} is not installed`);
      continue;
    }
    const program = join(folder, launcher);
    run(compiler, ['-O2', join(packageRoot, 'bench/mpi/calls.c'), '-o', program]);
    const [fromC, fromRicci] = [new Map<string, number>(), new Map<string, number>()];
    const job = (command: readonly string[]) =>
      run(launcher, [...options, '-n', `${ranks}`, ...command, `${repeats}`, ...sizes.map(String)]);
    for (let round = 0; round < rounds; round++) {
      keepBest(fromC, job([program]));
      keepBest(fromRicci, job([process.execPath, join(packageRoot, 'dist/bench/mpi/rank.js')]));
    }
    console.log(`${name}, ${ranks} ranks: microseconds from C, from Ricci, ratio`);
    for (const [call, microseconds] of fromC) {
      const mine = fromRicci.get(call) ?? Number.NaN;
      const columns = [microseconds.toFixed(1), mine.toFixed(1), (mine / microseconds).toFixed(2)];
      console.log(`${call.padEnd(24)}${columns.map((text) => text.padStart(12)).join('')}`);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
