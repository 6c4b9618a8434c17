/** The command as the ranks of a job, under each MPI that is installed: MPICH and Open MPI. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../driver/package-root.ts';
import { makeCheckpoint } from '../examples/mixtral/make-checkpoint.ts';
import { isInstalled, jobEnvironment, type Launched, launchers } from '../runtime/mesh/mpi/testing.ts';
import { traceFaults } from '../runtime/trace/testing.ts';
import { writeSafetensors } from '../runtime/weights/safetensors.ts';
import { tensorFromValues } from '../runtime/weights/tensor-data.ts';
import { type CommandResult, runBuilt, runInProcess } from './testing.ts';

const main = 'dist/cli/main.js';
const random = ['--random', '1', '--target', 'wasm'];
const mpi = ['--communicator', 'mpi'];

/** Milliseconds. What hangs fails; a busy machine may take minutes. */
const longest = 250_000;

function runJob({ command, options }: Launched, script: string, args: readonly string[]): CommandResult {
  const { status, stdout, stderr } = spawnSync(
    command,
    [...options, '-n', '4', process.execPath, script, ...args],
    { cwd: packageRoot, encoding: 'utf8', env: jobEnvironment, timeout: longest },
  );
  return { status, stdout, stderr };
}

const folder = mkdtempSync(join(tmpdir(), 'ricci-ranks-'));
const machine = join(folder, 'machine.json');
beforeAll(() => {
  makeCheckpoint(folder, readFileSync(join(packageRoot, 'LICENSE')));
  // Devices so slow that even a small model is worth dividing.
  const link = { bytesPerSecond: 1e10, latencySeconds: 1e-6 };
  writeFileSync(machine, JSON.stringify({ flopsPerSecond: 1e6, link }));
});
afterAll(() => rmSync(folder, { recursive: true }));

type Values = readonly number[];

/** All values of all results. */
function valuesOf({ status, stdout, stderr }: CommandResult): Values {
  expect({ status, stderr: status === 0 ? '' : stderr }).toEqual({ status: 0, stderr: '' });
  const { outputs } = JSON.parse(stdout) as { outputs: readonly { values: readonly number[] }[] };
  return outputs.flatMap(({ values }) => values);
}

const known = new Map<string, readonly [alone: Values, onMesh: Values]>();

/** The same for all launchers. */
async function inOneProcess(
  run: readonly string[],
  mesh: readonly string[],
): Promise<readonly [Values, Values]> {
  const key = [...run, ...mesh].join(' ');
  const values = known.get(key) ?? [
    valuesOf(await runInProcess(...run)),
    valuesOf(await runInProcess(...run, ...mesh)),
  ];
  known.set(key, values);
  return values;
}

/** How the program is run once it is compiled. */
async function asPackage(
  args: readonly string[],
  placed: readonly string[],
  on: readonly string[],
): Promise<readonly string[]> {
  const pkg = join(folder, 'compiled.package');
  const compiled = await runInProcess('compile', ...args, ...placed, ...on, '-o', pkg);
  expect(compiled).toMatchObject({ status: 0 });
  const inputs = args.includes('--checkpoint') ? ['--checkpoint', folder] : [];
  return ['run', pkg, ...inputs, '--random', '1', '--json', ...mpi];
}

/** The largest difference, relative to the largest value. */
function errorOf(got: Values, wanted: Values): number {
  expect(got.length).toBe(wanted.length);
  const scale = Math.max(...wanted.map(Math.abs));
  return Math.max(...wanted.map((value, at) => Math.abs(value - got[at]!))) / scale;
}

interface Program {
  readonly name: string;
  readonly args: readonly string[];
  readonly mesh: string;
  readonly placing?: readonly string[];
  /** Relative to the largest: rounding of the results' type, and of f32 sums in another order. */
  readonly tolerance: number;
  /**
   * Nothing is summed over devices: what the ranks compute is what a mesh in one process does, bit by bit.
   */
  readonly exact: boolean;
  /** Under every launcher; the others under the first. */
  readonly everywhere: boolean;
  /** What the ranks run on; the others, in WebAssembly. */
  readonly on?: readonly string[];
}

const attention = ['property-tests/programs/tour-attention.ricci', '--size', 'S=8,G=4,R=2,A=4'];
const sharded = ['property-tests/programs/sharded.ricci', '--size', 'T=4,D=8,F=8,L=3'];
const programs: readonly Program[] = [
  {
    name: 'ring attention',
    args: [...attention, '--entry', 'ring'],
    mesh: 'sp=4',
    tolerance: 2 ** -7,
    exact: true,
    everywhere: true,
  },
  {
    name: 'Ulysses',
    args: [...attention, '--entry', 'ulysses'],
    mesh: 'sp=4',
    tolerance: 2 ** -7,
    exact: true,
    everywhere: false,
    on: ['--adapter', 'software'],
  },
  {
    name: 'Mixtral, placed by the compiler',
    args: ['stdlib/mixtral.ricci', '--checkpoint', folder, '--size', 'S=16'],
    mesh: 'dp=2,tp=2',
    placing: ['--auto', '--machine', machine],
    tolerance: 2 ** -20,
    exact: false,
    everywhere: true,
  },
  {
    name: 'layers of a tensor-parallel MLP in a fold, along two axes',
    args: [...sharded, '--entry', 'layers'],
    mesh: 'dp=2,tp=2',
    tolerance: 2 ** -20,
    exact: false,
    everywhere: false,
  },
];

const inFold = ['run', ...sharded, '--entry', 'layers', ...random, ...mpi, '--mesh', 'tp=4'];

/** What is done to rank 2, and what the others then say. */
const faults: readonly (readonly [string, string])[] = [
  [
    'is killed',
    String.raw`rank 2 \(process \d+ on \S+\) died \((signal 9|killed, or crashed in native code)\) while ` +
      String.raw`rank \d waited in all_reduce\(sum\) of 32 f32 over tp \(step \d\)`,
  ],
  [
    'has an option that there is not',
    String.raw`rank 2 \(process \d+ on \S+\) gave up: unknown option '--bad' ` +
      String.raw`while rank \d waited in (barrier|all_gather of 1 u8) over world \(step \d\)`,
  ],
  [
    'has options that do not go together',
    String.raw`rank 2 \(process \d+ on \S+\) gave up: --communicator mpi runs kernels in each rank, and the reference has none ` +
      String.raw`while rank \d waited in (barrier|all_gather of 1 u8) over world \(step \d\)`,
  ],
  [
    'has another mesh',
    String.raw`rank 2 \(process \d+ on \S+\) gave up: the mesh \(tp=2\) has 2 devices, but there are 4 ranks ` +
      String.raw`while rank \d waited in (barrier|all_gather of 1 u8) over world \(step \d\)`,
  ],
];

for (const launched of launchers) {
  const installed = isInstalled(launched);
  if (!installed)
    console.warn(`${launched.name} is not installed (${launched.command}): its tests are skipped`);

  test.runIf(process.env.CI === 'true')(`${launched.name} is installed where CI runs`, () => {
    expect(installed).toBe(true);
  });

  describe.skipIf(!installed)(launched.name, () => {
    const isFirst = launched === launchers[0];
    test.each(programs.filter(({ everywhere }) => isFirst || everywhere))(
      '$name: what one process computes',
      async ({ args, mesh, placing = [], tolerance, exact, on = ['--target', 'wasm'] }) => {
        const run = ['run', ...args, '--random', '1', ...on, '--json'];
        const placed = ['--mesh', mesh, ...placing];
        const [one, inProcess] = await inOneProcess(run, placed);
        // Under the first each rank compiles for itself, and all must come to the same program.
        const job = valuesOf(
          runJob(launched, main, isFirst ? [...run, ...placed, ...mpi] : await asPackage(args, placed, on)),
        );
        expect(errorOf(job, one)).toBeLessThanOrEqual(tolerance);
        expect(errorOf(job, inProcess)).toBeLessThanOrEqual(exact ? 0 : tolerance);
        // Blocks of other ranks, and one rank's alone.
        const block = one.length / 4;
        expect(errorOf([...job.slice(block), ...job.slice(0, block)], one)).toBeGreaterThan(tolerance);
        expect(
          errorOf(
            job.map((value, at) => (at < block ? value : 0)),
            one,
          ),
        ).toBeGreaterThan(tolerance);
      },
    );

    // What is read and written, and what is wrong with a command line, is the same under every launcher.
    test.runIf(isFirst)('a package, its results in a file that rank 0 writes', async () => {
      const [pkg, file] = [join(folder, `${launched.name}.package`), join(folder, `${launched.name}.npy`)];
      const entry = [...sharded, '--entry', 'layers', '--mesh', 'tp=4', '--target', 'wasm'];
      expect(await runInProcess('compile', ...entry, '-o', pkg)).toMatchObject({ status: 0 });
      const { status, stdout } = runJob(launched, main, ['run', pkg, '--random', '1', ...mpi, '-o', file]);
      expect({ status, lines: stdout.split('\n').length }).toEqual({ status: 0, lines: 3 });
      expect(stdout).toMatch(new RegExp(`^out: f32\\[4, 8\\] = .*\nwritten to ${file}\n$`));
    });

    test.runIf(isFirst)('inputs of a file, of which each rank reads its blocks', async () => {
      const [inputs, cut] = ['x', 'cut'].map((name) => join(folder, `${launched.name}-${name}.safetensors`));
      const values = (count: number) => Float32Array.from({ length: count }, (_, at) => ((at % 13) - 6) / 8);
      const shapes = { x: [4, 8], w: [3, 8, 8], back: [3, 8, 8] };
      const tensors = Object.entries(shapes).map(([path, shape]) => {
        const count = shape.reduce((product, extent) => product * extent, 1);
        return [path, tensorFromValues('f32', shape, values(count))] as const;
      });
      writeSafetensors(inputs!, new Map(tensors));
      const mesh = ['--entry', 'layers', '--mesh', 'dp=2,tp=2', '--target', 'wasm', '--json'];
      const run = ['run', sharded[0]!, ...mesh, '--inputs'];
      const inProcess = valuesOf(await runInProcess(...run, inputs!));
      const job = valuesOf(runJob(launched, main, [...run, inputs!, ...mpi]));
      expect(errorOf(job, inProcess)).toBeLessThanOrEqual(2 ** -20);
      expect(Math.max(...job.map(Math.abs))).toBeGreaterThan(0.1);

      const whole = readFileSync(inputs!);
      writeFileSync(cut!, whole.subarray(0, whole.byteLength - 8));
      const failed = runJob(launched, main, [...run, cut!, ...mpi]);
      expect(failed.status).toBe(1);
      expect(failed.stdout.match(/truncated/g)).toHaveLength(1);
    });

    test.runIf(isFirst)('one trace of all ranks, which rank 0 writes', () => {
      const trace = join(folder, `${launched.name}.json`);
      const layers = [...sharded, '--entry', 'layers', '--mesh', 'dp=2,tp=2', ...random, ...mpi];
      expect(runJob(launched, main, ['run', ...layers, '--trace', trace]).status).toBe(0);
      const text = readFileSync(trace, 'utf8');
      // A step of each of 3 layers.
      expect(traceFaults(text, { devices: 4, exchanges: 3, of: 2 })).toEqual([]);
      expect(text).toContain('all ranks share it');
      const nowhere = ['run', ...layers, '--trace', join(folder, 'nothing', 'trace.json')];
      const { status, stdout, stderr } = runJob(launched, main, nowhere);
      expect(status).toBeGreaterThan(0);
      // Launchers may have something to say.
      expect(stdout).not.toContain('out: ');
      expect(stderr).toContain('gave up: cannot write');
    });

    test.runIf(isFirst)('a command line that is wrong is one error of all ranks', () => {
      const { status, stdout, stderr } = runJob(launched, main, [...inFold, '--bad']);
      expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
      expect(stderr.match(/^error: .*$/gm)).toEqual(["error: unknown option '--bad'"]);
    });

    test.runIf(isFirst)('a mesh of another size is one error of all ranks', () => {
      const { status, stdout, stderr } = runJob(launched, main, [...inFold.slice(0, -1), 'tp=2']);
      expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
      expect(stderr.match(/^error: .*\n.*$/gm)).toEqual([
        'error: the mesh (tp=2) has 2 devices, but there are 4 ranks\n' +
          '  = help: start 2 ranks, as mpiexec -n 2 does, or choose a mesh of 4',
      ]);
    });

    test.each(isFirst ? faults : faults.slice(0, 2))('rank 2 %s, and the others say so', (fault, says) => {
      const { status, stdout, stderr } = runJob(launched, 'cli/test-jobs/rank-2.mjs', [fault, ...inFold]);
      expect(status, stderr).toBeGreaterThan(0);
      // Launchers may have something to say.
      expect(stdout).not.toContain('out: ');
      const ranks = [...stderr.matchAll(new RegExp(`^ricci: ${says}$`, 'gm'))].map(
        ([line]) => /while rank (\d)/.exec(line)?.[1],
      );
      expect(ranks.filter((rank) => rank !== '2').toSorted(), stderr).toEqual(['0', '1', '3']);
    });
  });
}

test.skipIf(!launchers.some(isInstalled))('without a launcher there is one rank', () => {
  const alone = runBuilt('cli/main.js', inFold);
  expect(alone).toMatchObject({ status: 1, stdout: '' });
  expect(alone.stderr).toContain('the mesh (tp=4) has 4 devices, but there is 1 rank\n');
  expect(alone.stderr).toContain('as mpiexec -n 4 does');
  const { status, stdout } = runBuilt('cli/main.js', [...inFold.slice(0, -1), 'tp=1']);
  expect({ status, results: stdout.startsWith('out: f32[4, 8] = ') }).toEqual({ status: 0, results: true });
});

test.each([
  [['--communicator', 'tcp'], "argument 'tcp' is invalid"],
  [
    [...mpi, '--target', 'reference'],
    '--communicator mpi runs kernels in each rank, and the reference has none',
  ],
])('%s is wrong by itself', async (options, message) => {
  const { status, stdout, stderr } = await runInProcess('run', ...sharded, '--random', '1', ...options);
  expect({ status, stdout }).toEqual({ status: 2, stdout: '' });
  expect(stderr).toContain(message);
});
