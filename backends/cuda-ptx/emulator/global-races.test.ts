/** Races in global memory: what nothing orders is found, and what barriers, atomics or flags order is let be. */
import { describe, expect, test } from 'vitest';
import { parsePtx } from '../parse.ts';
import { launch } from './launch.ts';
import { faultOf, given, kernelModule, value, wanted } from './testing.ts';

/** %t is the thread of the grid, %n its block, %p where `data` begins and %q its own word of it. */
function kernel(body: string, blocks: number, threads: number) {
  const text = `.version 8.0\n.target sm_80\n.address_size 64\n
  .global .align 4 .u32 flag;
  .entry kernel(.param .u64 data, .param .u64 out) {
    .reg .b32 %r<9>; .reg .b32 %t; .reg .b32 %n; .reg .b64 %p; .reg .b64 %q; .reg .b64 %o; .reg .b64 %d<4>;
    .reg .pred %c<4>; .reg .b16 %h;
    mov.u32 %n, %ctaid.x; mov.u32 %r0, %ntid.x; mov.u32 %r1, %tid.x; mad.lo.u32 %t, %n, %r0, %r1;
    ld.param.u64 %p, [data]; ld.param.u64 %o, [out];
    mul.wide.u32 %d0, %t, 4; add.u64 %q, %p, %d0; add.u64 %o, %o, %d0;
    ${body}
    ret;
  }`;
  return {
    ...{ module: parsePtx(text), kernel: 'kernel', checksGlobalRaces: true },
    ...{ grid: [blocks, 1, 1] as const, block: [threads, 1, 1] as const },
    arguments: [given('data', new Uint32Array(256)), wanted('out', new Uint32Array(256))],
  };
}

describe('what nothing orders', () => {
  test.each([
    ['two blocks that write a word', 'st.global.u32 [%p+16], %n;', 2, 32, 'byte 16 of data'],
    [
      'a block that reads what another wrote',
      'st.global.u32 [%q], %t; xor.b32 %r2, %t, 32; mul.wide.u32 %d1, %r2, 4; add.u64 %d1, %d1, %p; ld.global.u32 %r3, [%d1];',
      ...([2, 32, 'data'] as const),
    ],
    [
      'a block that writes what another read',
      'ld.global.u32 %r3, [%p+64]; setp.eq.u32 %c0, %n, 1; @%c0 st.global.u32 [%p+64], %r3;',
      ...([2, 32, 'byte 64 of data'] as const),
    ],
    [
      'warps of a block with no barrier between',
      'st.global.u32 [%q], %t; xor.b32 %r2, %t, 32; mul.wide.u32 %d1, %r2, 4; add.u64 %d1, %d1, %p; ld.global.u32 %r3, [%d1];',
      ...([1, 64, 'data'] as const),
    ],
    [
      'vectors that overlap',
      'setp.eq.u32 %c0, %t, 0; setp.eq.u32 %c1, %t, 32; @%c0 st.global.v4.u32 [%p], {%t, %t, %t, %t}; @%c1 st.global.u32 [%p+8], %t;',
      ...([2, 32, 'byte 8 of data'] as const),
    ],
    [
      'two blocks that write a byte of a word, of which others are written too',
      `and.b32 %r2, %t, 33; cvt.u64.u32 %d1, %r2; add.u64 %d1, %d1, %p; setp.eq.u32 %c0, %n, 1;
       @%c0 st.global.u8 [%p+1], %t; @!%c0 st.global.u8 [%d1], %t;`,
      ...([2, 32, 'byte 1 of data'] as const),
    ],
    [
      'a block that reads the word of which another wrote a half',
      `setp.eq.u32 %c0, %n, 0; cvt.u16.u32 %h, %t; @%c0 st.global.u16 [%p+6], %h; @!%c0 ld.global.u32 %r3, [%p+4];`,
      ...([2, 32, 'byte 4 of data'] as const),
    ],
    [
      'a block that writes a byte of a word that another read',
      `setp.eq.u32 %c0, %n, 0; @%c0 ld.global.u32 %r3, [%p+4]; @!%c0 st.global.u8 [%p+7], %t;`,
      ...([2, 32, 'byte 7 of data'] as const),
    ],
    [
      'a block that writes a byte that two others read',
      `setp.eq.u32 %c0, %n, 2; @!%c0 ld.global.u8 %r3, [%p+5]; @%c0 st.global.u8 [%p+5], %t;`,
      ...([3, 32, 'byte 5 of data'] as const),
    ],
  ] as const)('%s', (_name, body, blocks, threads, where) => {
    const fault = faultOf(kernel(body, blocks, threads));
    expect(fault.kind).toBe('race');
    expect(fault.message).toContain(where);
  });
});

describe('what is ordered', () => {
  const other =
    'xor.b32 %r2, %t, 32; mul.wide.u32 %d1, %r2, 4; add.u64 %d1, %d1, %p; ld.global.u32 %r3, [%d1]; st.global.u32 [%o], %r3;';
  test.each([
    ['by a barrier', `st.global.u32 [%q], %t; bar.sync 0; ${other}`, 1],
    [
      'by a count of blocks, of which the last reads',
      `st.global.u32 [%q], %t; membar.gl; bar.sync 0;
       setp.ne.u32 %c0, %r1, 0; @%c0 bra $W; atom.global.add.u32 %r4, [flag], 1; setp.eq.u32 %c1, %r4, 0;
       $W: bar.sync 0; setp.eq.u32 %c2, %n, 0; @%c2 bra $E; ${other} $E:`,
      2,
    ],
    [
      'by a flag',
      `setp.ne.u32 %c0, %n, 0; @%c0 bra $B;
       st.global.u32 [%q], %t; membar.gl; bar.sync 0; st.volatile.global.u32 [flag], 1; bra $E;
       $B: ld.volatile.global.u32 %r4, [flag]; setp.eq.u32 %c1, %r4, 0; @%c1 bra $B; ${other}
       $E:`,
      2,
    ],
    ['as atomic instructions', 'red.global.add.u32 [%p], 1;', 4],
    ['as words of their own, of warps beside each other', 'st.global.u32 [%q], %t;', 4],
    [
      'as bytes beside each other',
      `cvt.u64.u32 %d1, %t; add.u64 %d1, %d1, %p; ld.global.u8 %r3, [%d1+3]; st.global.u8 [%d1+3], %t;
       ld.global.u8 %r4, [%d1+3];`,
      4,
    ],
    [
      'as a byte that only one of those writes that read the word before they met',
      `ld.global.u8 %r3, [%p]; bar.sync 0; setp.eq.u32 %c0, %t, 0; @%c0 st.global.u8 [%p], %t;
       bar.sync 0; ld.global.u32 %r4, [%p];`,
      1,
    ],
    ['as a read only', 'ld.global.u32 %r3, [%p]; st.global.u32 [%o], %r3;', 4],
  ] as const)('%s', (_name, body, blocks) => {
    launch(kernel(body, blocks, 64 / Math.min(2, blocks)));
  });

  test('from one launch to the next', () => {
    const parts = kernel('st.global.u32 [%p+16], %n;', 1, 32);
    launch(parts);
    launch(parts);
  });

  test('kernels of nvcc', () => {
    const [x, y] = [new Float32Array(500), new Float32Array(500)];
    launch({
      ...{ module: kernelModule('vector'), kernel: 'saxpy', grid: [3, 1, 1], block: [96, 1, 1] },
      ...{ arguments: [value(0.5), given('x', x), given('y', y), value(500)], checksGlobalRaces: true },
    });
    const data = new Uint8Array(3000);
    launch({
      ...{ module: kernelModule('histogram'), kernel: 'histogram', grid: [3, 1, 1], block: [128, 1, 1] },
      arguments: [given('data', data), given('counts', new Uint32Array(256)), value(data.length)],
      checksGlobalRaces: true,
    });
  });
});
