/** Faults that are planted in kernels, each of which must be found, named, and placed. */
import { describe, expect, test } from 'vitest';
import { parsePtx } from '../parse.ts';
import type { FaultKind } from './fault.ts';
import { type Argument, type Launch, launch } from './launch.ts';
import { faultOf, given, kernelText, value, wanted } from './testing.ts';

/** A text in which the `occurrence`th place (from 0) of one thing is another, on the same line. */
function planted(text: string, from: string | RegExp, to: string, occurrence = 0): string {
  let at = -1;
  const pattern = typeof from === 'string' ? from.replace(/[.*+?^${}()|[\]\\]/g, '\\$&') : from.source;
  const changed = text.replace(new RegExp(pattern, 'g'), (found) => (++at === occurrence ? to : found));
  if (changed === text) throw new Error(`there is no ${from} to change`);
  return changed;
}

function lineOf(text: string, part: string | RegExp, occurrence = 0): number {
  const lines = text.split('\n');
  const found = lines.flatMap((line, at) => (line.match(part) === null ? [] : [at + 1]));
  return found[occurrence]!;
}

const zeros = (count: number): Float32Array => new Float32Array(count);

interface Planted {
  readonly name: string;
  readonly text: string;
  readonly launch: Omit<Launch, 'module'>;
  readonly kind: FaultKind;
  readonly line: number;
}

function from(
  file: string,
  change: (text: string) => string,
  parts: Omit<Launch, 'module'>,
): Omit<Planted, 'name' | 'kind' | 'line'> {
  return { text: change(kernelText(file)), launch: parts };
}

const sizes = (block: number, grid = 1): Pick<Launch, 'grid' | 'block'> => ({
  grid: [grid, 1, 1],
  block: [block, 1, 1],
});

const vectorAdd = (...lengths: readonly [number, number, number, number]): Omit<Launch, 'module'> => ({
  ...{ kernel: 'vector_add', ...sizes(64, 2) },
  arguments: [
    given('a', zeros(lengths[0])),
    given('b', zeros(lengths[1])),
    wanted('c', zeros(lengths[2])),
    value(lengths[3]),
  ],
});
const transpose: Omit<Launch, 'module'> = {
  ...{ kernel: 'transpose', grid: [1, 1, 1], block: [32, 8, 1] },
  arguments: [given('in', zeros(1024)), wanted('out', zeros(1024)), value(32), value(32)],
};
const product: Omit<Launch, 'module'> = {
  ...{ kernel: 'product', grid: [1, 1, 1], block: [16, 16, 1] },
  arguments: [
    ...[given('a', zeros(512)), given('b', zeros(512)), wanted('c', zeros(256))],
    ...[value(16), value(16), value(32)],
  ],
};
const reduction: Omit<Launch, 'module'> = {
  ...{ kernel: 'reduce_sum', ...sizes(128) },
  arguments: [given('x', zeros(128)), given('total', zeros(1)), value(128)],
};
const scan = (sharedBytes: number): Omit<Launch, 'module'> => ({
  ...{ kernel: 'scan', ...sizes(64), sharedBytes },
  arguments: [given('x', new Int32Array(64)), wanted('y', new Int32Array(64)), value(64)],
});
const pipeline: Omit<Launch, 'module'> = {
  ...{ kernel: 'pipeline_sum', ...sizes(64) },
  arguments: [given('x', zeros(256 * 6)), wanted('sums', zeros(64)), value(6)],
};
const matrices: Omit<Launch, 'module'> = {
  ...{ kernel: 'mma_product', ...sizes(32) },
  arguments: [
    ...[given('a', new Uint16Array(16 * 32)), given('b', new Uint16Array(32 * 8))],
    ...[wanted('c', zeros(128)), value(8), value(32)],
  ],
};
const same = (text: string): string => text;

const ofKernels: readonly Planted[] = [
  {
    ...{ name: 'a guard that lets one too many through', kind: 'out of bounds' },
    ...from('vector', (text) => planted(text, 'setp.ge.s32', 'setp.gt.s32'), vectorAdd(100, 100, 100, 100)),
    line: lineOf(kernelText('vector'), 'ld.global.f32'),
  },
  {
    ...{ name: 'a result that is too small', kind: 'out of bounds' },
    ...from('vector', same, vectorAdd(100, 100, 99, 100)),
    line: lineOf(kernelText('vector'), 'st.global.f32'),
  },
  {
    ...{ name: 'elements of four bytes, two apart', kind: 'misaligned access' },
    ...from('vector', (text) => planted(text, /, 4;/, ', 2;'), vectorAdd(100, 100, 100, 100)),
    line: lineOf(kernelText('vector'), 'ld.global.f32'),
  },
  {
    ...{ name: 'an address that was never made global', kind: 'out of bounds' },
    ...from(
      'vector',
      (text) => planted(text, /add\.s64.*%rd5;/, 'mov.b64 %rd8, %rd5;', 1),
      vectorAdd(100, 100, 100, 100),
    ),
    line: lineOf(kernelText('vector'), 'ld.global.f32'),
  },
  {
    ...{ name: 'no barrier between writing a tile and reading it', kind: 'uninitialised memory' },
    ...from('transpose', (text) => planted(text, /bar\.sync\s+0;/, ''), transpose),
    line: lineOf(kernelText('transpose'), 'ld.shared.f32'),
  },
  {
    ...{ name: 'no barrier before a tile is written again', kind: 'race' },
    ...from('product', (text) => planted(text, /bar\.sync\s+0;/, '', 1), product),
    line: lineOf(kernelText('product'), 'st.shared.f32'),
  },
  {
    ...{ name: 'no barrier before the sums of warps are read', kind: 'uninitialised memory' },
    ...from('reduce', (text) => planted(text, /bar\.sync\s+0;/, ''), reduction),
    line: lineOf(kernelText('reduce'), 'ld.shared.f32'),
  },
  {
    ...{ name: 'no barrier between a step of a scan and the next', kind: 'race' },
    ...from('scan', (text) => planted(text, /bar\.sync\s+0;/, '', 2), scan(256)),
    line: lineOf(kernelText('scan'), 'ld.shared.u32'),
  },
  {
    ...{ name: 'less shared memory than the kernel uses', kind: 'out of bounds' },
    ...from('scan', same, scan(240)),
    line: lineOf(kernelText('scan'), 'st.shared.u32'),
  },
  {
    ...{ name: 'a tile of which a column was not filled', kind: 'uninitialised memory' },
    ...from('transpose', (text) => planted(text, '%p2, %r8, %r15;', '%p2, %r8, 31;'), transpose),
    line: lineOf(kernelText('transpose'), 'ld.shared.f32'),
  },
  {
    ...{ name: 'a wait that leaves one copy too many under way', kind: 'uninitialised memory' },
    ...from(
      'pipeline',
      (text) => text.replaceAll(/cp\.async\.wait_group\s+2/g, 'cp.async.wait_group 3'),
      pipeline,
    ),
    line: lineOf(kernelText('pipeline'), 'ld.shared.v4.f32'),
  },
  {
    ...{ name: 'no barrier after the wait for copies of other threads', kind: 'uninitialised memory' },
    ...from('pipeline', (text) => text.replaceAll(/bar\.sync\s+0;/g, ''), pipeline),
    line: lineOf(kernelText('pipeline'), 'ld.shared.v4.f32'),
  },
  {
    ...{ name: 'lanes that use what others wrote without meeting them', kind: 'race' },
    ...from('tensor-cores', (text) => planted(text, /bar\.warp\.sync\s+-1;/, ''), matrices),
    line: lineOf(kernelText('tensor-cores'), 'ldmatrix'),
  },
];

function check({ text, launch: parts, kind, line }: Planted): void {
  const fault = faultOf({ ...parts, module: parsePtx(text) });
  expect({ kind: fault.kind, line: fault.place?.line, words: fault.message }).toMatchObject({ kind, line });
  expect(fault.message).toMatch(/thread \d+ of block|in block/);
}

describe('planted in kernels of nvcc', () => {
  test.each(ofKernels)('$name: $kind', check);

  test('without the fault there is none', () => {
    for (const [file, parts] of [
      ['vector', vectorAdd(100, 100, 100, 100)],
      ['transpose', transpose],
      ['product', product],
      ['reduce', reduction],
      ['scan', scan(256)],
      ['pipeline', pipeline],
      ['tensor-cores', matrices],
    ] as const)
      launch({ ...parts, module: parsePtx(kernelText(file)) });
  });

  test('the line of the source is told', () => {
    const fault = faultOf({ ...vectorAdd(100, 100, 99, 100), module: parsePtx(kernelText('vector')) });
    expect(fault.source).toEqual({ file: 1, line: 5 });
    expect(fault.message).toBe(
      'out of bounds: thread 35 of block (1, 0, 0) writes 4 bytes at 0 bytes past the end of c, which has 396 bytes',
    );
  });
});

function body(text: string): string {
  return `.version 8.3
.target sm_90
.address_size 64
.entry k(.param .u64 out) {
.reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .pred %p<9>; .reg .f32 %f<9>;
.shared .align 4 .b8 cells[64];
.local .align 4 .b8 own[16];
ld.param.u64 %rd1, [out];
mov.u32 %r1, %tid.x;
${text}
ret;
}`;
}

interface Small {
  readonly name: string;
  readonly text: string;
  readonly kind: FaultKind;
  readonly threads?: number;
  readonly words?: string;
}

const small: readonly Small[] = [
  {
    ...{ name: 'a register that nobody wrote', kind: 'uninitialised register' },
    text: 'add.u32 %r3, %r2, 1; st.global.u32 [%rd1], %r3;',
  },
  {
    ...{ name: 'a register that was written by other lanes only', kind: 'uninitialised register' },
    text: 'setp.lt.u32 %p1, %r1, 7; @%p1 mov.u32 %r2, 1; add.u32 %r3, %r2, 1; st.global.u32 [%rd1], %r3;',
    words: 'thread 7 ',
  },
  {
    ...{ name: 'a barrier in one of two branches', kind: 'barrier divergence', threads: 64 },
    text: 'setp.lt.u32 %p1, %r1, 40; @%p1 bra $A; bra $B;\n$A: bar.sync 0; bra $B;\n$B: bar.sync 0;'.replace(
      'bra $B;\n$B: bar.sync 0;',
      'bra $B;\n$B: st.global.u32 [%rd1], %r1; bar.sync 0;',
    ),
  },
  {
    ...{ name: 'a barrier for more threads than come', kind: 'deadlock', threads: 64 },
    text: 'bar.sync 1, 96;',
    words: 'warp 1: 32 lanes at line',
  },
  {
    ...{ name: 'a barrier for 64 and for 32 threads', kind: 'barrier mismatch', threads: 64 },
    text: 'setp.lt.u32 %p1, %r1, 32; @%p1 bra $A; bar.sync 1, 32; bra $B;\n$A: bar.sync 1, 64;\n$B:',
  },
  {
    ...{ name: 'a barrier for half a warp', kind: 'barrier mismatch' },
    text: 'bar.sync 1, 16;',
  },
  {
    ...{ name: 'a shuffle with lanes that are elsewhere', kind: 'barrier divergence' },
    text: 'setp.lt.u32 %p1, %r1, 8; @!%p1 bra $B; shfl.sync.idx.b32 %r2, %r1, 0, 31, -1;\n$B: bar.warp.sync -1;',
  },
  {
    ...{ name: 'a shuffle that does not name who takes part', kind: 'lanes apart' },
    text: 'shfl.sync.idx.b32 %r2, %r1, 0, 31, 255;',
    words: 'thread 8 ',
  },
  {
    ...{ name: 'an array of a thread, past its end', kind: 'out of bounds' },
    text: 'mov.u64 %rd2, own; mul.wide.u32 %rd3, %r1, 4; add.u64 %rd2, %rd2, %rd3; st.local.u32 [%rd2], %r1;',
    words: 'thread 4 ',
  },
  {
    ...{ name: 'an array of a thread that was not filled', kind: 'uninitialised memory' },
    text: 'st.local.u32 [own], %r1; ld.local.u32 %r2, [own+4];',
  },
  {
    ...{ name: 'shared memory before its start', kind: 'out of bounds' },
    text: 'mov.u32 %r2, cells; st.shared.u32 [%r2+-4], %r1;',
  },
  {
    ...{ name: 'null', kind: 'out of bounds' },
    text: 'mov.u64 %rd2, 0; st.global.u32 [%rd2], %r1;',
    words: 'nowhere',
  },
  {
    ...{ name: 'a generic address that is nowhere', kind: 'out of bounds' },
    text: 'mov.u64 %rd2, 77; ld.u32 %r2, [%rd2];',
  },
  {
    ...{ name: 'an atomic past the end', kind: 'out of bounds' },
    text: 'atom.global.add.u32 %r2, [%rd1+256], 1;',
  },
  {
    ...{ name: 'two threads that write one word', kind: 'race', threads: 64 },
    text: 'st.shared.u32 [cells], %r1;',
  },
  {
    ...{ name: 'warps that do not meet', kind: 'race', threads: 64 },
    text: 'setp.eq.u32 %p1, %r1, 3; @%p1 st.shared.u32 [cells], %r1; setp.eq.u32 %p2, %r1, 40; @%p2 ld.shared.u32 %r2, [cells];',
    words: 'thread 40 ',
  },
  { name: 'a trap', kind: 'trap', text: 'trap;' },
  { name: 'a loop without an end', kind: 'no end', text: '$A: add.u32 %r1, %r1, 1; bra $A;' },
  {
    ...{ name: 'a spin on what nobody writes', kind: 'no end' },
    text: 'st.global.u32 [%rd1], 0;\n$A: ld.volatile.global.u32 %r2, [%rd1]; setp.eq.u32 %p1, %r2, 0; @%p1 bra $A;',
  },
];

describe('planted in small texts', () => {
  test.each(small)('$name: $kind', ({ text, kind, threads = 32, words = '' }) => {
    const fault = faultOf({
      ...{ module: parsePtx(body(text)), kernel: 'k', ...sizes(threads), mostInstructions: 1e6 },
      arguments: [given('out', new Uint32Array(64))],
    });
    expect(fault.message).toContain(`${kind}: `);
    expect(fault.message).toContain(words);
    expect(fault.place?.line).toBeGreaterThanOrEqual(10);
  });

  test('lanes that wait for other lanes of their warp get what they wait for', () => {
    const out = new Uint32Array(64);
    const text = `setp.ne.u32 %p1, %r1, 31; @%p1 bra $A;
      mov.u32 %r2, 5; st.global.u32 [%rd1], %r2; bra $B;
      $A: ld.volatile.global.u32 %r2, [%rd1]; setp.eq.u32 %p2, %r2, 0; @%p2 bra $A;
      $B: bar.warp.sync -1; mul.wide.u32 %rd2, %r1, 4; add.u64 %rd2, %rd2, %rd1; st.global.u32 [%rd2+4], %r2;`;
    const arguments_: readonly Argument[] = [given('out', out)];
    launch({ ...{ module: parsePtx(body(text)), kernel: 'k', ...sizes(32) }, arguments: arguments_ });
    expect([...out.subarray(1, 33)]).toEqual(Array.from({ length: 32 }, () => 5));
  });
});
