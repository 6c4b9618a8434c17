/**
 * Collectives over MPI beside the same calls from C, and beside blocking ones: `npm run bench:mpi -- [RANKS]`,
 * for each MPI that is installed with its compiler. Both run in turns, and of each the best of the rounds is
 * compared: a core that someone else uses disturbs the one that waits for it. The last but one column is the
 * median of the ratios of neighbouring rounds, which says how far the best can be trusted.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { packageRoot } from '../../driver/package-root.ts';

const rounds = 7;
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

const ways = ['ricci', 'asked', 'blocking'] as const;
type Way = (typeof ways)[number];
/** Of each call, microseconds of every round by way. */
type Measured = Map<string, { readonly [W in Way]: number[] }>;

function keep(measured: Measured, printed: string): void {
  for (const line of printed.trim().split('\n')) {
    const [verb, size, way, microseconds] = line.split(' ');
    const call = `| ${verb} | ${size} |`;
    const ofCall = measured.get(call) ?? { ricci: [], asked: [], blocking: [] };
    measured.set(call, ofCall);
    ofCall[way as Way].push(Number(microseconds));
  }
}

/** A row of the table. */
function show(call: string, { ricci, asked, blocking }: { readonly [W in Way]: number[] }): string {
  const [mine, same, others] = [ricci, asked, blocking].map((times) => Math.min(...times)) as [
    number,
    number,
    number,
  ];
  const inTurns = ricci.map((time, round) => time / asked[round]!).sort((left, right) => left - right);
  const times = [mine, same, others].map((time) => time.toFixed(1));
  const ratios = [mine / same, inTurns[rounds >> 1]!, mine / others].map((ratio) => ratio.toFixed(2));
  return `${call} ${[...times, ...ratios].join(' | ')} |`;
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
    const measured: Measured = new Map();
    const job = (command: readonly string[]) =>
      run(launcher, [...options, '-n', `${ranks}`, ...command, `${repeats}`, ...sizes.map(String)]);
    for (let round = 0; round < rounds; round++) {
      keep(measured, job([program]));
      keep(measured, job([process.execPath, join(packageRoot, 'dist/bench/mpi/rank.js')]));
    }
    console.log(`${name}, ${ranks} ranks, the best of ${rounds} medians in microseconds\n`);
    console.log(
      '| verb | bytes | ours | same calls from C | blocking | ours / same | in turns | ours / blocking |',
    );
    console.log('|---|---|---|---|---|---|---|---|');
    for (const [call, times] of measured) console.log(show(call, times));
    console.log('');
  }
} finally {
  rmSync(folder, { recursive: true });
}
