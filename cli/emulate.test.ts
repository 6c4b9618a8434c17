import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { packageRoot } from '../driver/package-root.ts';
import { readNpy } from '../runtime/weights/npy.ts';
import { tensorValues } from '../runtime/weights/tensor-data.ts';
import { runInProcess } from './testing.ts';

const folder = mkdtempSync(join(tmpdir(), 'ricci-emulate-'));
afterAll(() => rmSync(folder, { recursive: true }));
const kernels = join(packageRoot, 'backends/cuda-ptx/emulator/kernels');
const vector = join(kernels, 'vector.ptx');
const emulate = (...args: readonly string[]) => runInProcess('emulate', ...args);
const saxpy = ['--kernel', 'saxpy', '--grid', '2', '--block', '64'];
const all = ['--arg', 'a=0.5', '--arg', 'x=f32[100]=3', '--arg', 'y=f32[100]=1', '--arg', 'n=100'];

test('runs a kernel and prints what it changed', async () => {
  const { status, stdout, stderr } = await emulate(vector, ...saxpy, ...all);
  expect(stdout).toBe('y: f32[100] = 2.5 2.5 2.5 2.5 2.5 2.5 2.5 2.5 …\n');
  expect(stderr).toMatch(/^[\d.]+ k instructions of threads in [\d.]+ s\n$/);
  expect(status).toBe(0);
});

test('reads and writes .npy files', async () => {
  const file = join(folder, 'y.npy');
  const first = await emulate(vector, ...saxpy, ...all, '-o', `y=${file}`);
  expect(first.status, first.stderr).toBe(0);
  expect(tensorValues(readNpy(file))).toEqual(new Float64Array(100).fill(2.5));
  const args = ['--arg', 'a=2', '--arg', `x=${file}`, '--arg', 'y=f32[100]=1', '--arg', '100', '--json'];
  const { stdout } = await emulate(vector, ...saxpy, ...args);
  expect(JSON.parse(stdout).outputs).toEqual([
    { path: 'y', dtype: 'f32', shape: [100], values: Array.from({ length: 100 }, () => 6) },
  ]);
});

test('a fault is told with the lines of the PTX and of the source', async () => {
  const args = all.map((each) => each.replace('y=f32[100]', 'y=f32[99]'));
  const { status, stderr } = await emulate(vector, ...saxpy, ...args);
  expect(status).toBe(1);
  expect(stderr).toContain(
    'vector.ptx:105:2: out of bounds: thread 35 of block (1, 0, 0) reads 4 bytes at 0 bytes past the end of y, which has 396 bytes (ld.global.f32, from vector.cu:10)',
  );
});

test('what is not supported in one kernel is no hindrance to another, which takes a structure', async () => {
  const text = join(folder, 'two.ptx');
  const head = '.version 8.0\n.target sm_80\n.address_size 64\n';
  const half = 'ld.param.u16 %h, [h]; ld.param.u64 %d, [to]; st.global.u16 [%d], %h;';
  const parameters = '.param .align 2 .b8 h[2], .param .u64 to';
  const copy = `.entry copy(${parameters}) { .reg .b16 %h; .reg .b64 %d; ${half} ret; }`;
  writeFileSync(text, `${head}.entry odd() { { frob.u32 {%a, %b}; } }\n${copy}`);
  const { stdout } = await emulate(text, '--kernel', 'copy', '--arg', 'f16(0.5)', '--arg', 'y=f16[1]');
  expect(stdout).toContain('y: f16[1] = 0.5');
  const refused = await emulate(text, '--kernel', 'odd');
  expect(refused.stderr).toMatch(/two\.ptx:4:\d+: frob\.u32 is no instruction that is known here/);
});

test('buffers of any type, structures of several fields, and what a kernel prints', async () => {
  const sums = join(folder, 'sums.npy');
  const first = await emulate(
    ...[join(kernels, 'doubles.ptx'), '--kernel', 'double_sum', '--grid', '2', '--block', '64'],
    ...['--arg', 'x=f64[100]=0.125', '--arg', 'total=f64[1]=1e-3', '--arg', '100', '-o', `total=${sums}`],
  );
  expect(first.stdout, first.stderr).toBe('total: f64[1] = 12.501\n');
  // 1e-3 and sixteen times 6.25 / 16, added up in f64.
  expect([...new Float64Array(Uint8Array.from(readFileSync(sums).subarray(-8)).buffer)][0]).toBeCloseTo(
    12.501,
    12,
  );
  const again = await emulate(
    ...[join(kernels, 'doubles.ptx'), '--kernel', 'double_sum', '--block', '32'],
    ...['--arg', `x=${sums}`, '--arg', 'f64[1]=0', '--arg', '1'],
  );
  expect(again.stdout).toContain('f64[1] = 12.501');
  const text = join(folder, 'fields.ptx');
  const loads = 'ld.param.f64 %d, [h+8]; ld.param.s16 %s, [h+18]; cvt.rn.f64.s16 %e, %s; add.f64 %d, %d, %e;';
  const registers = '.reg .b16 %s; .reg .b64 %p; .reg .f64 %d; .reg .f64 %e;';
  writeFileSync(
    text,
    `.version 8.0\n.target sm_80\n.address_size 64\n.entry fields(.param .align 8 .b8 h[24], .param .u64 to) { ${registers} ${loads} ld.param.u64 %p, [to]; st.global.f64 [%p], %d; ret; }`,
  );
  const { stdout } = await emulate(text, '--arg', 'i32(1)+f64(2.5)+i16(3, -4)', '--arg', 'y=f64[1]');
  expect(stdout).toBe('y: f64[1] = -1.5\n');
  const said = await emulate(
    ...[join(kernels, 'recursion.ptx'), '--kernel', 'speaks', '--block', '1', '--arg', 'i32[1]=7'],
  );
  expect(said.stdout).toBe('thread 0 of 1: 7   |  2.33|0x7 1099511627776%\n');
});

test('a fault in a function of a header tells of the call', async () => {
  const args = [
    '--kernel',
    'double_sum',
    '--block',
    '64',
    '--arg',
    'f64[64]=1',
    '--arg',
    'f32[1]=0',
    '--arg',
    '64',
  ];
  const { stderr } = await emulate(join(kernels, 'doubles.ptx'), ...args);
  expect(stderr).toMatch(
    /out of bounds: .* \(atom\.global\.add\.f64, from sm_60_atomic_functions\.hpp:\d+, called at doubles\.cu:12\)/,
  );
});

describe('what is wrong gets one clear error', () => {
  const text = join(folder, 'wrong.ptx');
  const written = (body: string): string => {
    writeFileSync(text, body);
    return text;
  };
  const head = '.version 8.0\n.target sm_80\n.address_size 64\n';
  test.each([
    [[vector], 1, /has 3 kernels\n.*--kernel vector_add or saxpy or half_axpy/],
    [[vector, '--kernel', 'saxby'], 1, /has no kernel saxby/],
    [[vector, ...saxpy], 1, /saxpy takes 4 arguments, and 0 are given/],
    [[vector, ...saxpy, '--arg', 'f33[4]'], 2, /f33 is no element type: there are f32/],
    [[vector, ...saxpy, '--arg', 'u16[4]=70000'], 2, /70000 is neither a number that u16 has/],
    [[vector, ...saxpy, '--arg', 'f32(1)+i8(300)'], 2, /\(300\) are no numbers of i8/],
    [[vector, ...saxpy, '--arg', 'f32[four]'], 2, /\[four\] is no shape/],
    [[vector, ...saxpy, '--arg', 'f32[4]=many'], 2, /many is neither a number that f32 has nor 'random'/],
    [[vector, ...saxpy, '--arg', 'nothing'], 2, /--arg nothing is no argument/],
    [
      [vector, ...saxpy, ...all.slice(0, 6), '--arg', '0.5'],
      1,
      /argument 4 of saxpy is \.u32, which has no value 0.5/,
    ],
    [
      [vector, ...saxpy, ...all.slice(0, 6), '--arg', 'f32[4]'],
      1,
      /argument 4 of saxpy has 4 bytes, and a pointer 8/,
    ],
    [[vector, ...saxpy, '--arg', 'f16(0.5, b)'], 2, /\(0\.5, b\) are no numbers of f16/],
    [[vector, ...saxpy, '--most', 'all', ...all], 2, /--most all is no number of instructions/],
    [[vector, ...saxpy, '--block', '2000', ...all], 1, /2000 threads is too large: at most 1024/],
    [[vector, ...saxpy, '--grid', '0', ...all], 2, /--grid 0 is not one to three whole numbers/],
    [[vector, ...saxpy, '--shared', '300000', ...all], 1, /are more than the 232448 of a block/],
    [[vector, ...saxpy, '--copies', 'soon', ...all], 2, /neither late nor early nor a seed/],
    [[vector, ...saxpy, '--checks', 'some', ...all], 2, /give all, shared, memory or none/],
    [[vector, ...saxpy, '-o', 'z=z.npy', ...all], 2, /no buffer is called z\n.*name one of x, y/],
    [[vector, ...saxpy, '--arg', 'missing.npy'], 1, /missing\.npy/],
    [[join(folder, 'none.ptx')], 1, /none\.ptx: /],
    [[folder], 1, /is a directory/],
  ] as const)('%j', async (args, wanted, pattern) => {
    const { status, stderr } = await emulate(...args);
    expect(stderr).toMatch(pattern);
    expect(status).toBe(wanted);
  });

  test.each([
    ['', /1:1: a PTX text begins with \.version/],
    ['.version 8.0\n§', /2:1: "§" begins nothing that PTX has/],
    [`${head}.entry k() { frob.u32 %r1; }`, /4:14: frob\.u32 is no instruction that is known here/],
    [
      `${head}.entry k() { .reg .u32 %r1; add.u32 %r1, %r1; }`,
      /4:29: add\.u32 takes at least 3 operands, and has 2/,
    ],
    [`${head}.entry k() { .reg .u32 %r1; add.u32 %r1, %r1, %r2; }`, /4:47: %r2 is not declared/],
    [
      `${head}.entry k() { .reg .u32 %r1; add.wide.u32 %r1, %r1, 1; }`,
      /add\.wide\.u32: add has no \.wide here/,
    ],
    [
      `${head}.entry k() { .reg .u32 %r1; st.global.u32 %r1, %r1; }`,
      /st\.global\.u32 has an address in brackets here, not %r1/,
    ],
    [`${head}.entry k() { bra NOWHERE; }`, /there is no label NOWHERE/],
    [
      `${head}.func f() { call f; ret; } .entry k() { call f; ret; }`,
      /stack overflow: thread 0 of block \(0, 0, 0\) calls f with 2048 calls open/,
    ],
    [`${head}.entry k() { ret;`, /a block is not closed/],
    [
      `${head}.entry k() { tex.2d.v4.f32.f32 {%f1}, [t, {%f2, %f3}]; }`,
      /4:14: tex\.2d\.v4\.f32\.f32: textures and surfaces are not supported/,
    ],
    [
      `${head}.entry k() { .reg .b32 %r; mov.u32 %r, %envreg3; }`,
      /4:40: %envreg3 is not supported: what a driver says or counts is not there/,
    ],
    [
      `${head}.extern .func malloc(); .entry k() { call malloc; ret; }`,
      /4:38: malloc is declared only, and nothing here can run it/,
    ],
    [
      `${head}.entry k(.param .align 2 .b8 h[2]) { ret; }`,
      /argument 1 of k is a structure of 2 bytes, and 2 is one number/,
      ['--arg', '2'],
    ],
    [
      `${head}.entry k() { AGAIN: bra AGAIN; }`,
      /no end: in block \(0, 0, 0\) it goes on after 100000 instructions of threads/,
      ['--most', '100000'],
    ],
  ] as const)('%j', async (body, pattern, args: readonly string[] = []) => {
    const { status, stderr } = await emulate(written(body), ...args);
    expect(stderr).toMatch(pattern);
    expect(status).toBe(1);
  });
});
