import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkFile } from './check.ts';
import { declareEntries } from './declarations.ts';
import { packageRoot } from './package-root.ts';

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'ricci-declare-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function declare(source: string): string {
  const file = join(folder, 'model.ricci');
  writeFileSync(file, source);
  const checked = checkFile(file);
  if (checked.kind === 'rejected')
    throw new Error(checked.diagnostics.map(({ message }) => message).join('; '));
  return declareEntries(checked.program, 'model.ricci');
}

const source = `
type Pair(N) = { left: f32[N], right: float[N] }
/// Ends */ here.
export fn scaled(x: f32[M, N], by: Pair(N)[M], c: f32) -> f32[M, 2 * N] =
  for m, (half < 2, n): c * x[m, n] * by.left[m, n] * by.right[m, n]
export fn drawn[N](seed: key) -> f32[N] = for n: uniform(fold_in(seed, n))
export fn parts[Key](x: ix(Key)[S]) -> (ix(Key)[S], f32) = (x, 1)
fn inner(x: f32) -> f32 = x
export fn close(x: f32) -> f32 = x
`;

test('only what is exported is declared; records nest, tuples are tuples', () => {
  const text = declare(source);
  expect(text).not.toMatch(/inner|close/);
  expect(text).toContain("import type { Float, Given, Key, Scalar, Tensor } from 'ricci';");
  expect(text).toContain('/** Ends *\\/ here. */');
  expect(text).toContain('right: Given<Float, readonly [NoInfer<M>, NoInfer<N>]>;');
  expect(text).toContain("out: Tensor<'f32', readonly [M, number]>;");
  expect(text).toContain("out: [Tensor<'i32', readonly [S]>, Scalar<'f32'>];");
});

/** Calls, and whether TypeScript is to accept each. */
const calls: readonly (readonly [accepted: boolean, call: string])[] = [
  [
    true,
    "model.scaled({ x: floats(2, 3), by: { left: floats(2, 3), right: floats(2, 3) }, c: scalar('f32', 1) })",
  ],
  [true, "model.scaled({ x: floats(2, 3), by: { left: floats(2, 3), right: halves }, c: scalar('f32', 1) })"],
  [
    false,
    "model.scaled({ x: floats(2, 3), by: { left: floats(2, 4), right: halves }, c: scalar('f32', 1) })",
  ],
  [
    false,
    "model.scaled({ x: floats(5, 3), by: { left: floats(2, 3), right: halves }, c: scalar('f32', 1) })",
  ],
  [false, "model.scaled({ x: halves, by: { left: floats(2, 3), right: halves }, c: scalar('f32', 1) })"],
  [false, "model.scaled({ x: floats(2, 3), by: { left: floats(2, 3) }, c: scalar('f32', 1) })"],
  [false, 'model.scaled({ x: floats(2, 3), by: { left: floats(2, 3), right: halves }, c: floats(1, 1) })'],
  [
    true,
    "model.scaled({ x: new DeviceTensor('f32', [2, 3], buffer), by: { left: floats(2, 3), right: halves }, c: scalar('f32', 1) })",
  ],
  [
    false,
    "model.scaled({ x: floats(2, 3), by: { left: new DeviceTensor('f32', [3, 3], buffer), right: halves }, c: scalar('f32', 1) })",
  ],
  [true, 'const five: 5 = (await model.drawn({ seed: key(1) }, { N: 5 })).out.shape[0]'],
  [false, 'const six: 6 = (await model.drawn({ seed: key(1) }, { N: 5 })).out.shape[0]'],
  [false, 'model.drawn({ seed: key(1) })'],
  [false, "model.drawn({ seed: scalar('u32', 1) }, { N: 5 })"],
  [true, 'const one: [] | readonly [] = (await model.parts({ x: picks }, { Key: 9 })).out[1].shape'],
  [false, 'model.inner({})'],
];

test('TypeScript refuses the wrong shapes, and only those', () => {
  const header = [
    "import { DeviceTensor, key, load, scalar, type Tensor, tensor } from 'ricci';",
    "import type { Entries } from './model.ricci.d.ts';",
    "declare function floats<M extends number, N extends number>(m: M, n: N): Tensor<'f32', readonly [M, N]>;",
    'declare const buffer: GPUBuffer;',
    "const halves = tensor('f16', [2, 3], [1, 2, 3, 4, 5, 6]);",
    "const picks = tensor('i32', [2], [0, 1]);",
    "const model = await load<Entries>('model.ricci');",
  ];
  writeFileSync(join(folder, 'model.ricci.d.ts'), declare(source));
  writeFileSync(
    join(folder, 'calls.ts'),
    `${[...header, ...calls.map(([, call]) => `${call};`)].join('\n')}\n`,
  );
  symlinkSync(join(packageRoot, 'node_modules'), join(folder, 'node_modules'));
  writeFileSync(join(folder, 'package.json'), '{ "type": "module" }');
  writeFileSync(
    join(folder, 'tsconfig.json'),
    JSON.stringify({
      extends: join(packageRoot, 'tsconfig.json'),
      compilerOptions: { noUnusedLocals: false, paths: { ricci: [join(packageRoot, 'driver/model.ts')] } },
      files: ['calls.ts'],
      include: [],
    }),
  );
  const refused = new Set([...tsc(folder).matchAll(/^calls\.ts\((\d+),/gm)].map((match) => Number(match[1])));
  const expected = calls.flatMap(([accepted], position) => (accepted ? [] : [header.length + position + 1]));
  expect([...refused]).toEqual(expected);
});

/** What the compiler says of a project that has errors. */
function tsc(project: string): string {
  try {
    execFileSync(process.execPath, [join(packageRoot, 'node_modules/typescript/bin/tsc'), '-p', project], {
      cwd: project,
      encoding: 'utf8',
    });
    return '';
  } catch (error) {
    return (error as { stdout: string }).stdout;
  }
}
