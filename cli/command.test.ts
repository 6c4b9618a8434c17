/** What the commands answer when nothing is wrong; see `bad-input.test.ts` for the rest. */
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { stages } from '../driver/stages.ts';
import { npyBytes, readNpy } from '../runtime/weights/npy.ts';
import { openSafetensors } from '../runtime/weights/safetensors.ts';
import { tensorFromValues, tensorValues } from '../runtime/weights/tensor-data.ts';
import { runCommand } from './command.ts';
import { runInProcess } from './testing.ts';

const source = `
/// Twice a product.
export fn f[K](x: bf16[N, 3], w: float[3, M]) -> f32[N, M] where K <= N =
  for n, m: f32(K) * (sum d: x[n, d] * w[d, m])
export fn pair(x: f32[N]) -> (f32[N], f32) = (2 * x, sum n: x[n])
export fn odd() -> f32[3] = for i < 3: 1 / f32(i) - 1 / f32(i)
export fn steps(x: f32[N]) -> f32[N] = fold i < 3 from h = x: h + x
`;

let folder: string;
const at = (name: string) => join(folder, name);
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-command-'));
  writeFileSync(at('m.ricci'), source);
  writeFileSync(at('wrong.ricci'), 'export fn f(x: f32) -> f32 = y');
  writeFileSync(at('x.npy'), npyBytes(tensorFromValues('f32', [2, 3], [1, 2, 3, 4, 5, 6])));
  writeFileSync(at('w.npy'), npyBytes(tensorFromValues('f16', [3, 1], [1, 0, 2])));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The words of a line, `@NAME` a file of the folder. */
function ricci(line: string) {
  return runInProcess(...line.split(' ').map((word) => word.replace('@', `${folder}/`)));
}

async function json(line: string): Promise<Record<string, unknown>> {
  const { stdout, stderr } = await ricci(`${line} --json`);
  expect(stderr).toBe('');
  expect(stdout).toMatch(/^\{.*\}\n$/);
  const answer = JSON.parse(stdout) as Record<string, unknown>;
  expect(answer.version).toBe(1);
  return answer;
}

test('every option of every command is in --help', async () => {
  const { stdout, status } = await runInProcess('--help');
  expect(status).toBe(0);
  expect(stdout).toContain('Exit status: 0 fine');
  for (const name of ['check', 'fmt', 'explain', 'compile', 'run', 'declare']) {
    expect(stdout).toContain(`\n  ${name} `);
    const help = await runInProcess(name, '--help');
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toContain('--json');
  }
});

test('colours are for those who want them', async () => {
  let written = '';
  const err = { write: (text: string) => (written += text) };
  await runCommand(['check', at('wrong.ricci')], { out: err, err, colour: true, outColour: false });
  expect(written).toContain('\x1b[');
  expect((await ricci('check @wrong.ricci')).stderr).not.toContain('\x1b');
});

describe('explain', () => {
  const line = 'explain @m.ricci --entry f --size N=5,M=7,K=2 --adapter none';

  test('the signature, at the sizes, and what it costs', async () => {
    const { stdout, status } = await ricci(line);
    expect(status).toBe(0);
    expect(stdout).toBe(`\
export fn f[K](x: bf16[N, 3], w: float[3, M]) -> f32[N, M] where K <= N

at N=5, M=7, K=2
f(x: bf16[5, 3], w: float[3, 7]) -> f32[5, 7]

inputs   x    bf16[5, 3]   30 bytes
         w    f32[3, 7]    84 bytes
outputs  out  f32[5, 7]   140 bytes

node                result  type       FLOPs       read    written
contraction over 3  out     f32[5, 7]    245  114 bytes  140 bytes
total                                    245  114 bytes  140 bytes

245 FLOPs, 0 of them exp, log and the like; 254 bytes moved: 1.0 FLOPs a byte
peak memory of the graph: 254 bytes, inputs and outputs included
no plan for a device: not asked for
`);
  });

  test('inputs that are given fix sizes and dtypes', async () => {
    const answer = await json(
      'explain @m.ricci --entry f --input x=@x.npy --input w=@w.npy --size K=1 --adapter none',
    );
    expect(answer).toMatchObject({
      sizes: { K: 1, N: 2, M: 1 },
      inputs: [
        { path: 'x', dtype: 'bf16', shape: [2, 3], bytes: 12 },
        { path: 'w', dtype: 'f16', shape: [3, 1], bytes: 6 },
      ],
      outputs: [{ path: 'out', dtype: 'f32', shape: [2, 1], bytes: 8 }],
    });
    expect(answer).not.toHaveProperty('plan');
  });

  test('a loop counts all its steps, and shows one', async () => {
    const { nodes, totals } = (await json('explain @m.ricci --entry steps --size N=8 --adapter none')) as {
      nodes: { what: string; flops: number; step: { flops: number }[] }[];
      totals: object;
    };
    expect(nodes).toMatchObject([{ what: 'loop of 3 steps', flops: 24, step: [{ what: 'map', flops: 8 }] }]);
    expect(totals).toMatchObject({ flops: 24 });
  });

  test('with an adapter, what is planned on it', async () => {
    const { plan } = (await json('explain @m.ricci --entry pair --size N=8')) as { plan: object };
    expect(plan).toMatchObject({ kernels: expect.any(Number), launches: expect.any(Number) });
  });
});

describe('compile', () => {
  test.each(stages)('shows the stage %s', async (stage) => {
    const target = stage === 'wasm' || stage === 'ptx' ? stage : 'wgsl';
    const line = `compile @m.ricci --entry pair --target ${target} --show ${stage}`;
    const answer = await json(stage === 'tree' || stage === 'types' ? line : `${line} --size N=4`);
    expect(answer).toMatchObject({
      stage,
      text: expect.stringMatching(/pair|kernel|fn|entry|threadColumns=/),
    });
  });

  test('a report of kernels in PTX, with ptxas and without', async () => {
    const line = 'compile @m.ricci --entry pair --size N=300 --target ptx --report';
    const { kernels } = (await json(line)) as { kernels: readonly object[] };
    for (const each of kernels)
      expect(each).toMatchObject({ threads: expect.any(Number), instructions: { product: 0 } });
    const { CUDA_HOME: home, PATH: path } = process.env;
    try {
      process.env.CUDA_HOME = '';
      process.env.PATH = at('nothing');
      const { stdout, stderr } = await ricci(line);
      expect(stderr).toMatch(/^no ptxas in CUDA_HOME or on the PATH: registers, spills and warnings/m);
      expect(stdout.split('\n')[0]).toMatch(/^kernel +blocks +threads +shared +stages +products/);
      expect(stdout.trimEnd().split('\n')).toHaveLength(kernels.length + 1);
    } finally {
      process.env.PATH = path;
      if (home === undefined) delete process.env.CUDA_HOME;
      else process.env.CUDA_HOME = home;
    }
  });

  test('the tree of a file that is not well-typed', async () => {
    const { status, stdout } = await ricci('compile @wrong.ricci --show tree');
    expect({ status, stdout }).toEqual({ status: 0, stdout: 'export fn f(x: f32) -> f32 = y\n' });
    expect((await ricci('compile @wrong.ricci --show types')).stderr).toContain('E0201');
  });

  test('a package runs as its file does', async () => {
    const compiled = await json('compile @m.ricci --entry pair --size N=4 -o @pair.package');
    expect(compiled).toMatchObject({ package: at('pair.package'), kernels: expect.any(Number) });
    const fromFile = await json('run @m.ricci --entry pair --size N=4 --random 3');
    expect(fromFile.outputs).toMatchObject([{ path: 'out.0' }, { path: 'out.1' }]);
    expect(await json('run @pair.package --random 3')).toEqual(fromFile);
  });

  test('a package of PTX runs as its file does, and says where', async () => {
    const compiled = await json(
      'compile @m.ricci --entry f --size N=5,K=3,M=2 --target ptx --arch sm_90a -o @f.ptx.package',
    );
    expect(compiled).toMatchObject({ package: at('f.ptx.package'), kernels: expect.any(Number) });
    const fromFile = await json('run @m.ricci --entry f --size N=5,K=3,M=2 --random 3 --target ptx');
    expect(await json('run @f.ptx.package --random 3')).toEqual(fromFile);
    expect(fromFile.outputs).toMatchObject([{ path: 'out', dtype: 'f32', shape: [5, 2] }]);
    const { stderr } = await ricci('run @f.ptx.package --random 3');
    expect(stderr.match(/^.*: running in the emulator.*$/gm)).toHaveLength(1);
  });

  test('what is compiled for a GPU of later is what that runs', async () => {
    const words = 'compile @m.ricci --entry f --size N=5,K=3,M=2 --target ptx --show ptx';
    const [usual, later] = [await ricci(words), await ricci(`${words} --arch sm_100`)];
    expect(later.stdout).toBe(usual.stdout);
    expect(later.stderr).toContain('a GPU of sm_100 runs what is written for sm_80');
  });

  test('a package of WebAssembly runs as its file does', async () => {
    const compiled = await json(
      'compile @m.ricci --entry f --size N=5,K=3,M=2 --target wasm -o @f.wasm.package',
    );
    expect(compiled).toMatchObject({ package: at('f.wasm.package'), kernels: expect.any(Number) });
    const fromFile = await json('run @m.ricci --entry f --size N=5,K=3,M=2 --random 3 --target wasm');
    expect(await json('run @f.wasm.package --random 3')).toEqual(fromFile);
    expect(fromFile.outputs).toMatchObject([{ path: 'out', dtype: 'f32', shape: [5, 2] }]);
    expect((await ricci('run @f.wasm.package --random 3 --target wasm')).stderr).toMatch(/a package has its/);
    expect((await ricci('run @f.wasm.package --random 3 --size N=1')).stderr).toMatch(
      /has its sizes already/,
    );
  });

  test('a package of a bounded size runs as its file does at each', async () => {
    await json('compile @m.ricci --entry f --size N<=9,K=3,M=2 --target wasm -o @bounded.package');
    for (const size of [5, 9, 3]) {
      const fromFile = await json(`run @m.ricci --entry f --size N=${size},K=3,M=2 --random 3 --target wasm`);
      expect(await json(`run @bounded.package --size N=${size} --random 3`)).toEqual(fromFile);
    }
    expect((await ricci('run @bounded.package --random 3')).stderr).toMatch(/the size N of f is not known/);
    expect((await ricci('run @bounded.package --random 3 --size N=10')).stderr).toMatch(/for N from 3 to 9/);
  });
});

describe('run', () => {
  const line = 'run @m.ricci --entry f --target reference --size K=2';

  test('.npy in, .npy out', async () => {
    const answer = await json(`${line} --input x=@x.npy --input w=@w.npy -o @y.npy`);
    expect(answer).toMatchObject({
      outputs: [{ path: 'out', dtype: 'f32', shape: [2, 1], file: at('y.npy') }],
    });
    expect([...tensorValues(readNpy(at('y.npy')))]).toEqual([14, 32]);
  });

  test('results of a tuple by path, replacing what was there and keeping its mode', async () => {
    writeFileSync(at('y.safetensors'), 'old', { mode: 0o600 });
    await ricci('run @m.ricci --entry pair --target reference --size N=2 --random 1 -o @y.safetensors');
    const written = openSafetensors(at('y.safetensors'));
    expect(written.names).toEqual(['out.0', 'out.1']);
    expect(statSync(at('y.safetensors')).mode & 0o777).toBe(0o600);
  });

  test('what JSON has no number for is a string', async () => {
    const answer = await json('run @m.ricci --entry odd --target reference');
    expect(answer.outputs).toMatchObject([{ path: 'out', values: ['NaN', 0, 0] }]);
  });

  test('random inputs are those of the seed', async () => {
    const run = async (seed: number) => (await ricci(`${line} --size N=2,M=2 --random ${seed}`)).stdout;
    expect(await run(1)).toBe(await run(1));
    expect(await run(1)).not.toBe(await run(2));
  });
});

test('check answers for all its files at once', async () => {
  expect(await json('check @m.ricci @m.ricci')).toMatchObject({ diagnostics: [] });
  const { diagnostics } = await json('check @wrong.ricci @m.ricci @wrong.ricci');
  expect(diagnostics).toMatchObject([{ code: 'E0201' }, { code: 'E0201' }]);
});

test('declare writes beside the file what it prints', async () => {
  const { stdout } = await ricci('declare --stdout @m.ricci');
  expect(stdout).toContain('/** Twice a product. */');
  expect(await ricci('declare @m.ricci')).toEqual({
    status: 0,
    stdout: `${at('m.ricci')}.d.ts\n`,
    stderr: '',
  });
  expect(readFileSync(`${at('m.ricci')}.d.ts`, 'utf8')).toBe(stdout);
});

test('with --json every failure is an object on standard output', async () => {
  expect(await json('run @nothing.ricci')).toMatchObject({ error: { code: 'file-access' } });
  expect(await json('run @m.ricci --nothing')).toMatchObject({ error: { code: 'usage' } });
  expect(await json('explain @m.ricci')).toMatchObject({ error: { code: 'wrong-input' } });
});
