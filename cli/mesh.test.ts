/** Programs on a mesh, by the command. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { exitStatus } from './exit.ts';
import { runInProcess } from './testing.ts';

let folder = '';
let file = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-mesh-'));
  file = join(folder, 'mlp.ricci');
  writeFileSync(
    file,
    `mesh (dp, tp)

export fn mlp(x: f32[T@dp, D], w1: f32[D, F@tp], w2: f32[F@tp, D]) -> f32[T@dp, D] {
  let h[t, f] = relu(sum d: x[t, d] * w1[d, f])
  let y[t, d] = sum f: h[t, f] * w2[f, d]
  all_reduce(y, tp)
}

export auto fn unreduced(x: f32[T, D@tp]) -> f32[T] = for t: relu(sum d: x[t, d])
`,
  );
});
afterAll(() => rmSync(folder, { recursive: true }));

const entry = ['--entry', 'mlp', '--size', 'T=6,D=8,F=12'];
const random = ['--random', '1', '--target', 'wasm'];

const onTargets = {
  wgsl: ['dp=3,tp=2'],
  wasm: ['dp=2', 'dp=3,tp=2', 'tp=4'],
  reference: ['dp=2', 'dp=3,tp=2', 'tp=4'],
};

/** Sums in another order end in other digits. */
function rounded(text: string): string {
  return text.replace(/-?\d+\.\d+/g, (number) => Number(number).toFixed(4));
}

describe('--mesh', () => {
  test('gives what one device gives, on any target, from a package too', async () => {
    const one = await runInProcess('run', file, ...entry, ...random);
    expect(one.stdout).toMatch(/^out: f32\[6, 8\] = /);
    for (const [target, meshes] of Object.entries(onTargets))
      for (const mesh of meshes) {
        const run = await runInProcess(
          'run',
          file,
          ...entry,
          '--random',
          '1',
          '--mesh',
          mesh,
          '--target',
          target,
        );
        const same = [mesh, target, 0, rounded(one.stdout)];
        expect([mesh, target, run.status, rounded(run.stdout)]).toEqual(same);
      }
    const onMesh = [...entry, '--mesh', 'dp=3,tp=2'];
    for (const target of ['wasm', 'wgsl']) {
      const pkg = join(folder, `${target}.package`);
      const compiled = await runInProcess('compile', file, ...onMesh, '--target', target, '-o', pkg);
      expect(compiled.status).toBe(0);
      const run = await runInProcess('run', pkg, '--random', '1');
      expect(rounded(run.stdout)).toBe(rounded(one.stdout));
      const again = await runInProcess('run', pkg, '--random', '1', '--mesh', 'dp=2');
      expect(again).toMatchObject({ status: exitStatus.usage });
      expect(again.stderr).toContain('--mesh: a package has its entry, mesh and target already');
    }
  });

  test('is explained, with what each device sends', async () => {
    const { stdout } = await runInProcess(
      'explain',
      file,
      ...entry,
      '--mesh',
      'dp=3,tp=2',
      '--adapter',
      'none',
    );
    expect(stdout).toContain(
      'each of 6 devices (dp=3, tp=2) has what follows, and sends 64 bytes: all_reduce @tp once, 64 bytes',
    );
    const alone = await runInProcess('explain', file, ...entry, '--adapter', 'none');
    expect(alone.stdout).not.toContain('each of');
  });

  test.each([
    ['of an axis that there is not', ['--mesh', 'sp=2'], 'there is no mesh axis sp', 'there are: dp, tp'],
    ['without devices', ['--mesh', 'dp=0'], 'the mesh has no device along dp', 'give at least 1'],
    [
      'that does not cut equally',
      ['--mesh', 'dp=4'],
      'the dimension T@dp of mlp does not divide into 4 blocks for T=6, dp=4',
      'or a mesh that divides 6: dp=1 or dp=2 or dp=3',
    ],
  ])('%s is refused', async (_, options, message, help) => {
    const { status, stdout, stderr } = await runInProcess('run', file, ...entry, ...random, ...options);
    expect({ status, stdout }).toEqual({ status: 1, stdout: '' });
    expect(stderr).toContain(message);
    expect(stderr).toContain(help);
  });

  test('is no size', async () => {
    const { status, stderr } = await runInProcess('run', file, '--entry', 'mlp', '--size', 'dp=2');
    expect(status).toBe(exitStatus.usage);
    expect(stderr).toContain('give --mesh dp=2');
  });

  test('on which an auto fn forgets to take a sum has it taken', async () => {
    const args = ['run', file, '--entry', 'unreduced', '--size', 'T=2,D=4', ...random];
    const one = await runInProcess(...args);
    const two = await runInProcess(...args, '--mesh', 'tp=2');
    expect([two.status, rounded(two.stdout)]).toEqual([0, rounded(one.stdout)]);
  });
});
