/** Grids that threads share give what one thread gives; the program as it was built, where threads have a file. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { control } from './layout.ts';

const built = join(import.meta.dirname, '../../../dist/backends/cuda-ptx');

const folder = mkdtempSync(join(tmpdir(), 'ricci-threads-'));
let files = 0;
afterAll(() => rmSync(folder, { recursive: true }));

/**
 * What a text of JavaScript prints, in which `device(threads)`, `pointer(…)` and `parsePtx` are known.
 * @param planted what each of its threads runs before
 */
function inProgram(body: string, planted = ''): unknown {
  const text = `
    import { EmulatedDevice } from ${JSON.stringify(join(built, 'emulator/device.js'))};
    import { parsePtx } from ${JSON.stringify(join(built, 'parse.js'))};
    const device = (threads) => new EmulatedDevice(threads);
    const pointer = (address, ...words) => {
      const view = new DataView(new ArrayBuffer(8 + 4 * words.length));
      view.setBigUint64(0, address, true);
      words.forEach((word, at) => view.setUint32(8 + 4 * at, word, true));
      return new Uint8Array(view.buffer);
    };
    ${body}`;
  const file = join(folder, `${files++}.mjs`);
  writeFileSync(file, text);
  const options = ['--import', `data:text/javascript,${encodeURIComponent(planted)}`, file];
  return JSON.parse(execFileSync('node', options, { encoding: 'utf8', timeout: 60_000 }));
}

/** Every thread of every block spins for a while, adds one to a sum, and writes its number to its place. */
const text = `.version 8.0
.target sm_80
.address_size 64
.entry count(.param .u64 out, .param .u32 bad) {
  .reg .b32 %r<9>; .reg .b64 %rd<4>; .reg .pred %p<3>;
  ld.param.u64 %rd1, [out];
  ld.param.u32 %r7, [bad];
  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x;
  mad.lo.u32 %r4, %r1, %r2, %r3;
  mov.u32 %r5, 0;
$L: add.u32 %r5, %r5, 1;
  setp.lt.u32 %p1, %r5, 80000;
  @%p1 bra $L;
  setp.ge.u32 %p2, %r1, %r7;
  @%p2 trap;
  red.global.add.u32 [%rd1], 1;
  mul.wide.u32 %rd2, %r4, 4;
  add.u64 %rd3, %rd1, %rd2;
  st.global.u32 [%rd3+4], %r4;
  ret;
}`;
const blocks = 48;
const prepare = `
  const text = ${JSON.stringify(text)};
  const run = (own, bad) => {
    const out = own.allocate(4 * (1 + 128 * ${blocks}), 'out');
    const words = new Uint32Array(1 + 128 * ${blocks});
    own.write(out, new Uint8Array(words.buffer));
    const shape = { grid: [${blocks}, 1, 1], block: [128, 1, 1] };
    let fault = '';
    let instructions = 0;
    try {
      ({ instructions } = own.load(parsePtx(text)).kernel('count').launch(shape, pointer(out, bad)));
    } catch (error) {
      fault = error.name + ' ' + error.message + ' ' + error.place?.line;
    }
    own.read(out, new Uint8Array(words.buffer));
    return { sum: words[0], wrong: words.slice(1).findIndex((each, at) => each !== at), instructions, fault };
  };`;

test('atomic sums and results of blocks are there, and each instruction is counted once', () => {
  const found = inProgram(`${prepare}
    const own = device(3);
    const before = own.startedThreads;
    const runs = [run(device(1), 1000), run(own, 1000), run(own, 1000)];
    console.log(JSON.stringify([before, ...runs, own.startedThreads]));
    own.stopThreads();`) as readonly unknown[];
  const all = 128 * blocks;
  expect(found[1]).toMatchObject({ sum: all, wrong: -1, fault: '' });
  expect(found).toEqual([0, found[1], found[1], found[1], 2]);
});

test('the fault of the first block that has one is told, whichever thread runs it', () => {
  const found = inProgram(`${prepare}
    const own = device(3);
    console.log(JSON.stringify([run(own, 20).fault, run(own, 31).fault, run(own, 1000).fault]));
    own.stopThreads();`);
  expect(found).toEqual([
    'EmulatorFault trap: thread 0 of block (20, 0, 0) comes to a trap 15',
    'EmulatorFault trap: thread 0 of block (31, 0, 0) comes to a trap 15',
    '',
  ]);
});

/** A word of a device's memory that nobody uses, by which the first to come is told. */
const unused = 60;
/** What the first thread beside the one that launches does as it has taken a cluster. */
const whenTaken = (does: string) => `
  import { isMainThread } from 'node:worker_threads';
  const { add } = Atomics;
  if (!isMainThread)
    Atomics.add = (words, at, by) => {
      const before = add(words, at, by);
      if (at === ${control.next} && before < ${blocks} && add(words, ${unused}, 1) === 0) { ${does} }
      return before;
    };`;

test.each([
  ['ends', 'process.exit(3);', /^LostThread a thread of the emulator ended while it ran a kernel /],
  ['fails', "throw new Error('out of luck');", /^Error Error: out of luck\n/],
])('a thread that %s at a grid is one error, and the next grid is as ever', (_, does, wanted) => {
  // Until a thread has woken up in time to take part.
  const found = inProgram(
    `${prepare}
    const own = device(3);
    let failed = '';
    for (let turn = 0; turn < 20 && failed === ''; turn++) failed = run(own, 1000).fault;
    console.log(JSON.stringify([failed, run(own, 1000), own.startedThreads]));
    own.stopThreads();`,
    whenTaken(does),
  ) as readonly unknown[];
  expect(found[0]).toMatch(wanted);
  expect(found.slice(1)).toMatchObject([{ sum: 128 * blocks, wrong: -1, fault: '' }, 2]);
});
