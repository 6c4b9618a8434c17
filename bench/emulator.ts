/**
 * How fast the emulator of PTX is: instructions of threads, and multiply-adds of matrix instructions, on
 * kernels of the test folder and on some written here, with all checks, without races, and without any.
 * `node dist/bench/emulator.js`
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { EmulatedDevice, type LaunchOptions } from '../backends/cuda-ptx/emulator/device.ts';
import { type Argument, bytesOfArguments, type Launch } from '../backends/cuda-ptx/emulator/launch.ts';
import { parsePtx } from '../backends/cuda-ptx/parse.ts';
import { packageRoot } from '../driver/package-root.ts';
import { medianTime } from './timing.ts';

interface EmulatedCase {
  readonly name: string;
  readonly launch: Launch;
  /** Of matrix instructions, where there are some. */
  readonly multiplyAdds?: number;
}

const kernels = join(packageRoot, 'backends/cuda-ptx/emulator/kernels');
const file = (name: string) => parsePtx(readFileSync(join(kernels, `${name}.ptx`), 'utf8'));
const number = (value: number): Argument => ({ kind: 'number', value });
const buffer = (name: string, values: Float32Array | Uint16Array): Argument => ({
  ...{ kind: 'buffer', name, isWritten: true },
  bytes: new Uint8Array(values.buffer),
});
const floats = (count: number): Float32Array => Float32Array.from({ length: count }, (_, at) => at % 7);

const head = '.version 8.0\n.target sm_90a\n.address_size 64\n';

/** Chains of fma in registers: four in each round of a loop. */
function arithmetic(): EmulatedCase {
  const rounds = 20_000;
  const body = Array.from({ length: 16 }, (_, at) => {
    const register = `%f${1 + (at % 4)}`;
    return `fma.rn.f32 ${register}, ${register}, 0f3F7FFFF0, %f5;`;
  });
  const text = `${head}.entry chain(.param .u64 out) {
    .reg .f32 %f<6>; .reg .b32 %r<4>; .reg .b64 %rd<3>; .reg .pred %p;
    ld.param.u64 %rd1, [out];
    mov.u32 %r1, %tid.x;
    mov.u32 %r3, %ctaid.x;
    mad.lo.u32 %r1, %r3, 128, %r1;
    mul.wide.u32 %rd2, %r1, 4;
    add.u64 %rd1, %rd1, %rd2;
    cvt.rn.f32.u32 %f1, %r1;
    mov.f32 %f2, %f1; mov.f32 %f3, %f1; mov.f32 %f4, %f1; mov.f32 %f5, 0f3F000000;
    mov.u32 %r2, 0;
    $L: ${body.join('\n')}
    add.u32 %r2, %r2, 1;
    setp.lt.u32 %p, %r2, ${rounds};
    @%p bra $L;
    add.f32 %f1, %f1, %f2; add.f32 %f3, %f3, %f4; add.f32 %f1, %f1, %f3;
    st.global.f32 [%rd1], %f1;
    ret;
  }`;
  return {
    name: 'fma in registers',
    launch: {
      ...{ module: parsePtx(text), kernel: 'chain', grid: [16, 1, 1], block: [128, 1, 1] },
      arguments: [buffer('out', floats(16 * 128))],
    },
  };
}

function saxpy(): EmulatedCase {
  const count = 2 ** 20;
  return {
    name: 'saxpy, 4 MiB each',
    launch: {
      ...{ module: file('vector'), kernel: 'saxpy', grid: [64, 1, 1], block: [256, 1, 1] },
      arguments: [number(0.5), buffer('x', floats(count)), buffer('y', floats(count)), number(count)],
    },
  };
}

function product(): EmulatedCase {
  const size = 256;
  return {
    name: 'product through shared memory, 256³',
    launch: {
      ...{ module: file('product'), kernel: 'product', grid: [16, 16, 1], block: [16, 16, 1] },
      arguments: [
        ...['a', 'b', 'c'].map((name) => buffer(name, floats(size * size))),
        ...[size, size, size].map(number),
      ],
    },
  };
}

/** One warp for each block: mma.sync of fragments that stay. */
function warpProducts(): EmulatedCase {
  const [rounds, blocks, inRound] = [2000, 16, 8];
  const products = Array.from({ length: inRound }, (_, at) => {
    const sums = [0, 1, 2, 3].map((each) => `%f${4 * at + each}`).join(', ');
    const factors = '{%a0, %a1, %a2, %a3}, {%b0, %b1}';
    return `mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {${sums}}, ${factors}, {${sums}};`;
  });
  const text = `${head}.entry products(.param .u64 out) {
    .reg .f32 %f<${4 * inRound}>; .reg .b32 %a<4>; .reg .b32 %b<2>; .reg .b32 %r;
    .reg .b64 %rd; .reg .b64 %rd0; .reg .pred %p;
    ld.param.u64 %rd, [out];
    mov.u32 %r, %ctaid.x;
    mul.wide.u32 %rd0, %r, 128;
    add.u64 %rd, %rd, %rd0;
    mov.u32 %r, %tid.x;
    mul.wide.u32 %rd0, %r, 4;
    add.u64 %rd, %rd, %rd0;
    ${Array.from({ length: 4 * inRound }, (_, at) => `mov.f32 %f${at}, 0f00000000;`).join(' ')}
    ${[0, 1, 2, 3].map((at) => `mov.b32 %a${at}, 0x3f803f80;`).join(' ')}
    mov.b32 %b0, 0x3f803f80; mov.b32 %b1, 0x3f803f80;
    mov.u32 %r, 0;
    $L: ${products.join('\n')}
    add.u32 %r, %r, 1;
    setp.lt.u32 %p, %r, ${rounds};
    @%p bra $L;
    st.global.f32 [%rd], %f0;
    ret;
  }`;
  return {
    name: 'mma.sync m16n8k16 bf16',
    launch: {
      ...{ module: parsePtx(text), kernel: 'products', grid: [blocks, 1, 1], block: [32, 1, 1] },
      arguments: [buffer('out', floats(32 * blocks))],
    },
    multiplyAdds: rounds * blocks * inRound * 16 * 8 * 16,
  };
}

/** One warpgroup for each block: wgmma of tiles that stay in shared memory. */
function groupProducts(): EmulatedCase {
  const [rounds, blocks] = [50, 8];
  const sums = Array.from({ length: 128 }, (_, at) => `%f${at}`).join(', ');
  const products = [0, 1, 2, 3].map(
    (at) =>
      `add.s64 %rd4, %rd2, ${2 * at}; add.s64 %rd5, %rd3, ${2 * at};
      wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16 {${sums}}, %rd4, %rd5, 1, 1, 1, 0, 0;`,
  );
  const text = `${head}.extern .shared .align 1024 .b8 tiles[];
  .entry products(.param .u64 out) {
    .reg .f32 %f<128>; .reg .b32 %r<5>; .reg .b64 %rd<6>; .reg .pred %p;
    ld.param.u64 %rd1, [out];
    ${Array.from({ length: 128 }, (_, at) => `mov.f32 %f${at}, 0f00000000;`).join(' ')}
    mov.u32 %r2, %ctaid.x;
    mov.u32 %r1, %tid.x;
    mad.lo.u32 %r2, %r2, 128, %r1;
    mul.wide.u32 %rd2, %r2, 4;
    add.u64 %rd1, %rd1, %rd2;
    shl.b32 %r2, %r1, 4;
    mov.u32 %r3, 0;
    $F: mov.b32 %r4, 0x3f803f80;
    st.shared.v4.b32 [%r2], {%r4, %r4, %r4, %r4};
    add.u32 %r2, %r2, 2048;
    add.u32 %r3, %r3, 1;
    setp.lt.u32 %p, %r3, 20;
    @%p bra $F;
    fence.proxy.async.shared::cta;
    bar.sync 0;
    mov.b64 %rd2, ${0x4000004000010000n | 0n};
    mov.b64 %rd3, ${0x4000004000010000n | 512n};
    mov.u32 %r3, 0;
    $L: wgmma.fence.sync.aligned;
    ${products.join('\n')}
    wgmma.commit_group.sync.aligned;
    wgmma.wait_group.sync.aligned 0;
    add.u32 %r3, %r3, 1;
    setp.lt.u32 %p, %r3, ${rounds};
    @%p bra $L;
    st.global.f32 [%rd1], %f0;
    ret;
  }`;
  return {
    name: 'wgmma m64n256k16 bf16',
    launch: {
      ...{ module: parsePtx(text), kernel: 'products', grid: [blocks, 1, 1], block: [128, 1, 1] },
      ...{ sharedBytes: 40 * 1024, arguments: [buffer('out', floats(128 * blocks))] },
    },
    multiplyAdds: rounds * blocks * 4 * 64 * 256 * 16,
  };
}

const checks = {
  all: { checksGlobalRaces: true },
  shared: {},
  memory: { checksRaces: false },
  none: { checksRaces: false, checksMemory: false },
} as const;

const billion = 1e9;
const device = new EmulatedDevice();

/** With its buffers and its module on the device, which stay there. */
function prepare({ module, kernel, arguments: given, ...shape }: Launch) {
  const addresses = new Map(
    given.flatMap((each) => {
      if (each.kind !== 'buffer') return [];
      const address = device.allocate(each.bytes.byteLength, each.name);
      device.write(address, each.bytes);
      return [[each.bytes, address] as const];
    }),
  );
  const parameters = bytesOfArguments(module, kernel, given, {
    addressOf: (bytes) => addresses.get(bytes)!,
    place: () => 0n,
  });
  const loaded = device.load(module).kernel(kernel);
  return (options: LaunchOptions) => loaded.launch(shape, parameters, options);
}

const lines = [
  '| kernel | checks | first | then | of threads | of the processor |',
  '|---|---|---|---|---|---|',
];
const all = [arithmetic(), saxpy(), product(), warpProducts(), groupProducts()];
const named = process.argv.slice(2);
for (const each of all.filter(
  ({ name }) => named.length === 0 || named.some((part) => name.includes(part)),
)) {
  const run = prepare(each.launch);
  for (const [name, options] of Object.entries(checks)) {
    const started = performance.now();
    const { instructions } = run(options);
    const first = performance.now() - started;
    const { best, processor } = await medianTime(() => Promise.resolve(run(options)));
    const [work, unit] =
      each.multiplyAdds === undefined ? [instructions, 'G/s'] : [each.multiplyAdds, 'GMAC/s'];
    const rate = (seconds: number): string => `${(work / seconds / billion).toFixed(2)} ${unit}`;
    const times = `${first.toFixed(0)} ms | ${(1000 * best).toFixed(0)} ms`;
    lines.push(`| ${each.name} | ${name} | ${times} | ${rate(best)} | ${rate(processor)} |`);
  }
}
process.stdout.write(`${availableParallelism()} cores, Node ${process.version}\n${lines.join('\n')}\n`);
process.exit(0);
