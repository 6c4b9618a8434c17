/** Threads take each workgroup once, whoever comes in when. */
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import type { FunctionCode } from '../../backends/wasm/code.ts';
import { encodeModule } from '../../backends/wasm/encode.ts';
import { literal } from '../../backends/wasm/values.ts';
import { type Value, Writer } from '../../backends/wasm/writer.ts';
import { threadText } from './thread-text.ts';
import { startThreads, type Threads } from './threads.ts';

const bytesOfPage = 65_536;
const most = bytesOfPage / 4;

/** Adds `amount` to the word of each workgroup, after looking at it `work` times. */
function counting(skipped: number): FunctionCode {
  const writer = new Writer(['i32', 'i32', 'i32', 'i32']);
  const parameter = (at: number) => writer.parameter(at, 'i32');
  const [first, end, amount, work] = [parameter(0), parameter(1), parameter(2), parameter(3)];
  const from = writer.instruction('i32.add', 'i32', [first, literal(skipped, 'i32')]);
  writer.loop(from, end, 1, (group) => {
    const address = writer.instruction('i32.shl', 'i32', [group, literal(2, 'i32')]);
    const total = writer.variable('i32');
    writer.set(total, literal(0, 'i32'));
    writer.loop(literal(0, 'i32'), work, 1, (turn) => {
      const before = writer.current(total, 'i32', 0);
      writer.set(total, writer.instruction('i32.xor', 'i32', [before, turn]));
    });
    const seen = writer.instruction('i32.and', 'i32', [writer.current(total, 'i32', 1), literal(0, 'i32')]);
    const before = writer.instruction('i32.load', 'i32', [address], { version: '0' });
    const after = writer.instruction('i32.add', 'i32', [
      writer.instruction('i32.add', 'i32', [before, amount]),
      seen,
    ]);
    writer.do('i32.store', [address, after]);
  });
  const { locals, body } = writer.render();
  const parameters = ['i32', 'i32', 'i32', 'i32'] as const;
  return { name: `skips_${skipped}`, parameters, result: undefined, locals, body, exported: true };
}

/** Stores beyond all memory in its last workgroup. */
function trapping(): FunctionCode {
  const writer = new Writer(['i32', 'i32']);
  const [first, end] = [writer.parameter(0, 'i32'), writer.parameter(1, 'i32')];
  writer.loop(first, end, 1, (group) => {
    const isLast = writer.instruction('i32.eq', 'bool', [group, literal(999, 'i32')]);
    writer.if(isLast, () => writer.do('i32.store', [literal(-4, 'i32'), group]));
  });
  const { locals, body } = writer.render();
  return { name: 'traps', parameters: ['i32', 'i32'], result: undefined, locals, body, exported: true };
}

/**
 * Keeps the number of each workgroup in memory of the thread's own, and looks for a while whether it is still
 * there: counts in the workgroup's word how often it was.
 */
function keeping(): FunctionCode {
  const writer = new Writer(['i32', 'i32', 'i32']);
  const [first, end, looks] = [0, 1, 2].map((at) => writer.parameter(at, 'i32')) as [Value, Value, Value];
  writer.loop(first, end, 1, (group) => {
    const own = writer.scratch();
    const found = writer.variable('i32');
    writer.set(found, literal(0, 'i32'));
    writer.do('i32.store', [own, group]);
    writer.loop(literal(0, 'i32'), looks, 1, () => {
      const kept = writer.instruction('i32.load', 'i32', [own], { version: 'kept' });
      const isThere = writer.instruction('i32.eq', 'i32', [kept, group]);
      writer.set(found, writer.instruction('i32.add', 'i32', [writer.current(found, 'i32', 0), isThere]));
    });
    const address = writer.instruction('i32.shl', 'i32', [group, literal(2, 'i32')]);
    writer.do('i32.store', [address, writer.current(found, 'i32', 1)]);
  });
  const { locals, body } = writer.render();
  const parameters = ['i32', 'i32', 'i32'] as const;
  return { name: 'keeps', parameters, result: undefined, locals, body, exported: true };
}

const functions = [counting(0), counting(1), trapping()];
const memory = new WebAssembly.Memory({ initial: 1, maximum: 1, shared: true });
const words = new Int32Array(memory.buffer);
const module = new WebAssembly.Module(encodeModule({ functions }));
const names = functions.map(({ name }) => name);
const pools = [0, 1, 3].map((others) => ({
  others,
  threads: startThreads(module, memory, names, Array<number>(others + 1).fill(0)),
}));
afterAll(() => {
  for (const { threads } of pools) threads.destroy();
});

/** Whether each of `groups` workgroups was run once by each call, and no other. */
function areCounted(threads: Threads, kernel: number, calls: readonly number[], work: number): boolean {
  const wanted = new Int32Array(most);
  words.fill(0);
  for (const [turn, groups] of calls.entries()) {
    threads.run(kernel, groups, [turn + 1, work]);
    for (let group = 0; group < groups; group++) wanted[group]! += turn + 1;
    if (!words.every((count, group) => count === wanted[group])) return false;
  }
  return true;
}

describe.each(pools)('with $others others', ({ threads }) => {
  const calls = fc.array(fc.integer({ min: 0, max: 300 }), { minLength: 1, maxLength: 20 });
  test('each workgroup is run once', () => {
    fc.assert(
      fc.property(calls, fc.constantFrom(0, 100, 3000), (groups, work) =>
        areCounted(threads, 0, groups, work),
      ),
      { numRuns: 20 },
    );
  });

  test('the caller does not go on before all are done', async () => {
    // Others have woken up by then.
    await new Promise((resolve) => setTimeout(resolve, 300));
    for (let turn = 0; turn < 20; turn++)
      expect(areCounted(threads, 0, [most, 1, 2, most - 1, 7], 50)).toBe(true);
  });

  test('a workgroup that is left out is seen', () => {
    expect(areCounted(threads, 1, [100, 100], 0)).toBe(false);
  });

  test('a trap is an error, wherever it was, and the next kernel runs', () => {
    for (let turn = 0; turn < 20; turn++) {
      expect(() => threads.run(2, 1000, [])).toThrow();
      expect(areCounted(threads, 0, [100], 0)).toBe(true);
    }
  });
});

test.each([
  {
    title: 'each thread finds what it left in memory of its own',
    places: [0, 64, 128],
    turns: 20,
    isLost: false,
  },
  // Until threads have woken up in time to disturb each other.
  { title: 'and not where all have the same', places: [0, 0, 0], turns: 1000, isLost: true },
])('$title', async ({ places, turns, isLost }) => {
  const keeps = new WebAssembly.Module(encodeModule({ functions: [keeping()], hasScratch: true }));
  const behind = bytesOfPage - 4096;
  const threads = startThreads(
    keeps,
    memory,
    ['keeps'],
    places.map((place) => behind + place),
  );
  await new Promise((resolve) => setTimeout(resolve, 300));
  const [groups, looks] = [200, 10_000];
  const losesSome = (): boolean => {
    words.fill(0);
    threads.run(0, groups, [looks]);
    return words.subarray(0, groups).some((found) => found !== looks);
  };
  expect(Array.from({ length: turns }).some(losesSome)).toBe(isLost);
  threads.destroy();
});

test('a thread that ends inside a kernel is an error, and another takes its place', async () => {
  const ends = "if (kernels[words[c.kernel]] === 'skips_1') process.exit(3);";
  const threads = startThreads(
    module,
    memory,
    names,
    [0, 0, 0],
    threadText.replace('kernel(first, ', `${ends} $&`),
  );
  /** Until a thread has woken up in time to take part. */
  const failure = (): unknown => {
    for (let turn = 0; turn < 1000; turn++)
      try {
        threads.run(1, 1000, [0, 10_000]);
      } catch (error) {
        return error;
      }
    return undefined;
  };
  for (let turn = 0; turn < 2; turn++) {
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(areCounted(threads, 0, [1000], 3000)).toBe(true);
    expect(failure()).toMatchObject({
      code: 'device-lost',
      message: 'a thread ended while it ran skips_1',
    });
    expect(areCounted(threads, 0, [1000], 3000)).toBe(true);
  }
  threads.destroy();
});
