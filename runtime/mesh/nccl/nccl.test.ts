/** Jobs over NCCL, against stubs of it and of the CUDA driver; and how their ranks find each other. */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../../../driver/package-root.ts';
import { buildStub, missingForStub, type Stub } from '../../cuda/driver/testing.ts';
import { isUserError } from '../../errors.ts';
import { firstNode, slurm, torchrun } from './bootstrap.ts';
import { loadNccl, uniqueIdBytes } from './library.ts';
import { openStore } from './store.ts';
import { buildNcclStub, type NcclStub } from './testing.ts';

const sharded = '--entry two_ways --size T=4,D=6,F=8 --mesh dp=1,sp=1,tp=2 --random 1 --target wasm'.split(
  ' ',
);

/** The last one that a job of this file had: below those that connections are given. */
let port = 20_000 + (process.pid % 10_000);

/** The next one that nobody listens at. */
async function freePort(): Promise<number> {
  const server = createServer();
  const isFree = await new Promise<boolean>((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(++port, '127.0.0.1', () => resolve(true));
  });
  if (!isFree) return freePort();
  await new Promise((closed) => server.close(closed));
  return port;
}

describe('ranks find each other', () => {
  test('by the variables of torchrun', () => {
    const variables = { RANK: '3', WORLD_SIZE: '8', MASTER_ADDR: 'node-1', MASTER_PORT: '29500' };
    const place = { host: 'node-1', port: 29_500, job: 'torchrun 17' };
    const run = { TORCHELASTIC_RUN_ID: '17' };
    expect(torchrun({ ...variables, ...run })).toEqual({ rank: 3, size: 8, place });
    const listens = { ...variables, ...run, TORCHELASTIC_USE_AGENT_STORE: 'True' };
    expect(torchrun(listens)).toMatchObject({ place: { port: 29_501 } });
    expect(torchrun({ RANK: '3' })).toBeUndefined();
    expect(() => torchrun({ RANK: '3', WORLD_SIZE: '8' })).toThrow(/MASTER_ADDR, MASTER_PORT or a number/);
    expect(() => torchrun({ ...variables, RANK: '8' })).toThrow(/rank 8 of 8/);
  });

  test('by those of Slurm', () => {
    const variables = { SLURM_PROCID: '3', SLURM_NTASKS: '8', SLURM_STEP_NODELIST: 'gpu[03-04]' };
    const job = { SLURM_JOB_ID: '11', SLURM_STEP_ID: '2' };
    expect(slurm({ ...variables, ...job })).toEqual({
      ...{ rank: 3, size: 8 },
      place: { host: 'gpu03', port: 20_079, job: 'slurm 11.2' },
    });
    expect(slurm({ ...variables, SLURM_NTASKS: '1' })).toBeUndefined();
  });

  test.each([
    ['gpu03', 'gpu03'],
    ['gpu[03-05,9],x1', 'gpu03'],
    ['a-7,b-[1-2]', 'a-7'],
    ['rack[2-3]-ib', 'rack2-ib'],
  ])('the first of %s', (nodes, first) => {
    expect(firstNode(nodes)).toBe(first);
  });

  test('texts go round, and those of other jobs do not', async () => {
    const place = { host: '127.0.0.1', port: await freePort(), job: 'one' };
    const stores = await Promise.all([2, 0, 1].map((rank) => openStore(place, rank, 3)));
    const stranger = await openStore({ ...place, job: 'another' }, 1, 3);
    await expect(stranger.gather('hello')).rejects.toThrow(/rank 0 ended while ranks met/);
    for (const round of ['a', 'b']) {
      const all = await Promise.all(
        stores.map((store, place) => store.gather(`${round}${[2, 0, 1][place]}`)),
      );
      expect(all).toEqual(Array.from({ length: 3 }, () => [`${round}0`, `${round}1`, `${round}2`]));
    }
    await expect(openStore(place, 0, 3)).rejects.toThrow(/cannot listen at port/);
    for (const store of [...stores, stranger]) store.close();
  });
});

const missing = missingForStub();

describe.runIf(missing === undefined)('against stubs', () => {
  let cuda: Stub;
  let nccl: NcclStub;
  beforeAll(() => {
    [cuda, nccl] = [buildStub(), buildNcclStub()];
  });
  afterAll(() => {
    cuda.remove();
    nccl.remove();
  });
  const environment = () => ({ RICCI_NCCL_LIBRARY: nccl.path, RICCI_CUDA_LIBRARY: cuda.path });

  /** Ranks as torchrun would start them. */
  function runJob(ranks: number, ...command: readonly string[]) {
    return runJobIn({}, ranks, ...command);
  }
  async function runJobIn(
    own: Readonly<Record<string, string>>,
    ranks: number,
    ...command: readonly string[]
  ) {
    const variables = {
      ...{ ...process.env, ...environment(), ...own, WORLD_SIZE: `${ranks}` },
      ...{ MASTER_ADDR: '127.0.0.1', MASTER_PORT: `${await freePort()}` },
    };
    return Promise.all(
      Array.from({ length: ranks }, (_, rank) => {
        const child = spawn(process.execPath, [...command], {
          env: { ...variables, RANK: `${rank}`, LOCAL_RANK: `${rank}` },
          timeout: 200_000,
        });
        const said = { stdout: '', stderr: '' };
        child.stdout.on('data', (text) => (said.stdout += text));
        child.stderr.on('data', (text) => (said.stderr += text));
        return new Promise<{ status: number | null; stdout: string; stderr: string }>((resolve) =>
          child.on('close', (status) => resolve({ status, ...said })),
        );
      }),
    );
  }

  test('collectives, types and groups give the bits of the in-process communicator', async () => {
    const script = join(packageRoot, 'runtime/mesh/mpi/test-jobs/collectives.mjs');
    const [seed] = fc.sample(fc.integer(), 1);
    const ended = await runJob(4, script, `${seed}`, 'nccl', '60');
    expect(ended.map(({ status, stderr }) => ({ status, stderr }))).toEqual(
      Array.from({ length: 4 }, () => ({ status: 0, stderr: '' })),
    );
    const found = JSON.parse(ended[0]!.stdout);
    expect(found).toMatchObject({ wrong: ['[]', '[]', '[]', '[]'], compared: 60 });
    // The barrier has no data to be wrong.
    expect(found.caught).toHaveLength(6);
  });

  // What is begun is told when the event loop turns, which the stub keeps from it.
  const atSum = String.raw`all_reduce\(sum\) of 1024 f32 over sp \(step [45]\)`;
  test.each([
    {
      what: 'has died',
      fault: 'killed',
      says: String.raw`rank 2 \(.*\) died \((signal 9|killed, or crashed in native code)\)`,
      survivors: [0, 1, 3],
    },
    {
      what: 'has died, of which NCCL tells too',
      fault: 'killed',
      asynchronous: 6,
      says: String.raw`rank 2 \(.*\) died \((signal 9|killed, or crashed in native code)\)`,
      survivors: [0, 1, 3],
    },
    {
      what: 'never comes, and NCCL goes on',
      fault: 'never comes',
      asynchronous: 7,
      says: String.raw`rank \d has waited \d+ s in ${atSum} for rank 2 \(last in .*\)`,
      survivors: [0, 1, 2, 3],
    },
  ])(
    'each rank says once that one $what, gives up what it shares and ends',
    async ({ fault, asynchronous = 0, says, survivors }) => {
      const notes = join(nccl.folder, `${fault} ${asynchronous}.notes`);
      const variables = {
        ...{ NCCL_STUB_NOTES: notes, NCCL_STUB_PATIENCE: '200', NCCL_STUB_ASYNC: `${asynchronous}` },
      };
      const script = join(packageRoot, 'runtime/mesh/mpi/test-jobs/faults.mjs');
      // Nobody waits for as long as the stub would: jobs that do are killed, and have no status.
      const ended = await runJobIn(variables, 4, script, fault, 'nccl');
      for (const rank of survivors) {
        const where = rank === 2 ? '; rank 2 stops' : ` while rank ${rank} waited in ${atSum}`;
        const lines = ended[rank]!.stderr.trimEnd().split('\n');
        const last = lines.filter((line) => !line.includes(' has waited 2 s in '));
        expect(last).toEqual([expect.stringMatching(new RegExp(`^ricci: ${says}${where}$`))]);
        expect(ended[rank]).toMatchObject({ status: 1, stdout: '' });
      }
      const aborts = readFileSync(notes, 'utf8');
      // Of the world and of the group.
      for (const rank of survivors) expect(aborts.split(`rank ${rank} aborts`)).toHaveLength(3);
    },
  );

  test('one rank has what it sent, from the host and on the device', async () => {
    const [ended] = await runJob(1, join(packageRoot, 'dist/bench/gpu/one-rank.js'));
    expect(ended).toMatchObject({ status: 0, stderr: '' });
    expect(ended!.stdout).toMatch(/: all collectives of one rank are right\n$/);
  });

  test('ricci run on a mesh of two ranks: the first speaks for both', async () => {
    const file = join(packageRoot, 'property-tests/programs/sharded.ricci');
    const command = [join(packageRoot, 'dist/cli/main.js'), 'run', file, ...sharded];
    const [first, second] = await runJob(2, ...command, '--communicator', 'nccl');
    expect(first).toMatchObject({
      status: 0,
      stderr: '',
      stdout: expect.stringMatching(/^out: f32\[4, 6\] = /),
    });
    expect(second).toMatchObject({ status: 0, stderr: '', stdout: '' });
  });

  test('a unique id goes by value; what NCCL says is told with its names', async () => {
    const library = await loadNccl(environment());
    const id = new Uint8Array(uniqueIdBytes);
    library.call('ncclGetUniqueId', id);
    const handle = new BigUint64Array(1);
    library.call('ncclCommInitRank', handle, 1, id, 0);
    library.call('ncclCommDestroy', handle[0]!);
    expect(() => library.call('ncclCommInitRank', handle, 1, id.fill(0, 127), 0)).toThrow(
      /^ncclCommInitRank failed: ncclInvalidArgument \(invalid argument\)/,
    );
    nccl.fail('ncclCommInitRank', 5);
    expect(said(() => library.call('ncclCommInitRank', handle, 1, id, 0))).toMatch(
      /no-device: ncclCommInitRank failed: ncclInvalidUsage .*a GPU of its own/,
    );
    nccl.fail('ncclAllReduce', 6);
    expect(said(() => library.call('ncclAllReduce', 0, 0, 0, 1, 0, 0, 0))).toMatch(
      /device-lost: ncclAllReduce failed: ncclRemoteError .*what the other ranks say/,
    );
  });

  test('no NCCL, and one that is too old', async () => {
    await expect(loadNccl({ RICCI_NCCL_LIBRARY: '/nowhere/libnccl.so' })).rejects.toThrow(
      /NCCL cannot be used \(.*No such file/,
    );
    nccl.setVersion(21_703);
    await expect(loadNccl(environment())).rejects.toThrow(/too old: 2\.17\.3, and 2\.18\.0 is needed/);
    nccl.setVersion(22_703);
  });
});

function said(attempt: () => void): string {
  try {
    attempt();
    return 'nothing';
  } catch (error) {
    return isUserError(error) ? `${error.code}: ${error.message}; ${error.help}` : String(error);
  }
}
