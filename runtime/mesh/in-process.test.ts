/** The collectives' meaning, and what does not match. MPI is compared with this in `mpi/mpi.test.ts`. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { agree } from './agree.ts';
import { type Collective, shiftSource } from './collective.ts';
import { inProcess } from './in-process.ts';
import { exchangeAll, shardOf, valuesOf } from './mpi/testing.ts';

const rankCounts = fc.constantFrom(1, 2, 3, 5);

/** A value for each rank and place, so that no two are alike. */
function labelled(ranks: number, count: number): readonly number[][] {
  return Array.from({ length: ranks }, (_, rank) =>
    Array.from({ length: count }, (_, place) => 100 * rank + place),
  );
}

/** What each rank receives, as numbers, when each sends its `values`. */
async function outcome(collective: Collective, values: readonly (readonly number[])[], receives: number) {
  if (collective.verb === 'barrier') throw new Error('a barrier moves nothing');
  const { dtype } = collective;
  const width = shardOf(dtype, [0]).byteLength;
  const send = values.map((shard) => shardOf(dtype, shard));
  const received = await exchangeAll(inProcess(values.length), collective, send, receives * width);
  return received.map((bytes) => valuesOf(dtype, bytes, receives));
}

describe('what moves', () => {
  test('all_gather, all_to_all, shift and broadcast', async () => {
    await fc.assert(
      fc.asyncProperty(rankCounts, fc.integer({ min: 0, max: 4 }), fc.integer(), async (ranks, n, by) => {
        const values = labelled(ranks, n);
        const numbers = values.map((_, rank) => rank);
        expect(await outcome({ verb: 'all_gather', dtype: 'i32' }, values, n * ranks)).toEqual(
          numbers.map(() => values.flat()),
        );
        const blocks = labelled(ranks, n * ranks);
        const block = (from: number, to: number) => blocks[from]!.slice(to * n, (to + 1) * n);
        expect(await outcome({ verb: 'all_to_all', dtype: 'i32' }, blocks, n * ranks)).toEqual(
          numbers.map((to) => numbers.flatMap((from) => block(from, to))),
        );
        const shifted = await outcome({ verb: 'shift', dtype: 'i32', by }, values, n);
        expect(numbers.map((rank) => shifted[(((rank + by) % ranks) + ranks) % ranks])).toEqual(values);
        const root = ranks - 1;
        expect(await outcome({ verb: 'broadcast', dtype: 'i32', root }, values, n)).toEqual(
          numbers.map(() => values[root]),
        );
      }),
    );
  });

  test('a shift by one comes from the rank before', () => {
    expect([
      shiftSource(0, 1, 4),
      shiftSource(1, 1, 4),
      shiftSource(3, -1, 4),
      shiftSource(0, -9, 4),
    ]).toEqual([3, 0, 0, 1]);
  });
});

describe('what is combined', () => {
  const combined = {
    sum: (column: readonly number[]) => column.reduce((total, value) => total + value, 0),
    max: (column: readonly number[]) => Math.max(...column),
    min: (column: readonly number[]) => Math.min(...column),
  };

  test('reduce_scatter is the own block of all_reduce, on whole numbers', async () => {
    const dtypes = fc.constantFrom('f32', 'bf16', 'f16', 'f8e5m2', 'i32', 'i8');
    const combiners = fc.constantFrom('sum', 'max', 'min');
    await fc.assert(
      fc.asyncProperty(rankCounts, dtypes, combiners, fc.integer(), async (ranks, dtype, combiner, seed) => {
        // Exact in every dtype here: at most 5 ranks give 0 or 1, or −1.
        const digit = (at: number) => ((Math.imul(seed, 0x9e3779b1) >>> (at % 29)) % 3) - 1;
        const values = Array.from({ length: ranks }, (_, rank) =>
          Array.from({ length: 2 * ranks }, (_, place) => digit(7 * rank + place)),
        );
        const columns = values[0]!.map((_, place) =>
          combined[combiner](values.map((shard) => shard[place]!)),
        );
        const all = await outcome({ verb: 'all_reduce', dtype, combiner }, values, 2 * ranks);
        expect(all).toEqual(values.map(() => columns.map((value) => value + 0)));
        const blocks = await outcome({ verb: 'reduce_scatter', dtype, combiner }, values, 2);
        expect(blocks.flat()).toEqual(all[0]);
      }),
    );
  });

  test('narrow floats are rounded once, at the end', async () => {
    // In bf16, 256 + 1 is 256 again: rounding at each step would lose both ones.
    const sum = { verb: 'all_reduce', dtype: 'bf16', combiner: 'sum' } as const;
    expect(await outcome(sum, [[256], [1], [1]], 1)).toEqual([[258], [258], [258]]);
    // Ties go to even: 257 to 256, 259 to 260.
    expect(
      (
        await outcome(
          sum,
          [
            [256, 258],
            [1, 1],
          ],
          2,
        )
      )[0],
    ).toEqual([256, 260]);
  });

  test('integers wrap', async () => {
    const sums = async (dtype: 'i32' | 'u8', values: readonly number[][]) =>
      (await outcome({ verb: 'all_reduce', dtype, combiner: 'sum' }, values, 1))[0];
    expect(await sums('i32', [[2 ** 31 - 1], [1]])).toEqual([-(2 ** 31)]);
    expect(await sums('u8', [[255], [3]])).toEqual([2]);
  });

  test('a maximum or minimum with a NaN is NaN, on whichever rank it is', async () => {
    for (const combiner of ['max', 'min'] as const)
      for (const dtype of ['f32', 'bf16', 'f16'] as const)
        expect(
          (
            await outcome(
              { verb: 'all_reduce', dtype, combiner },
              [
                [Number.NaN, 1],
                [1, Number.NaN],
              ],
              2,
            )
          )[0],
        ).toEqual([Number.NaN, Number.NaN]);
  });

  test('bools: any and all, and no sum', async () => {
    const values = [
      [1, 0, 1],
      [1, 0, 0],
    ];
    expect((await outcome({ verb: 'all_reduce', dtype: 'bool', combiner: 'max' }, values, 3))[0]).toEqual([
      1, 0, 1,
    ]);
    expect((await outcome({ verb: 'all_reduce', dtype: 'bool', combiner: 'min' }, values, 3))[0]).toEqual([
      1, 0, 0,
    ]);
    await expect(outcome({ verb: 'all_reduce', dtype: 'bool', combiner: 'sum' }, values, 3)).rejects.toThrow(
      'all_reduce over 2 ranks cannot sum bools',
    );
  });
});

describe('what does not match', () => {
  const [nothing, one] = [new Uint8Array(), new Uint8Array(4)];
  const barrier: Collective = { verb: 'barrier' };

  test('buffers of other sizes, and a root that is no rank', async () => {
    const [rank] = inProcess(2);
    const faults: readonly [Collective, number, number, string][] = [
      [{ verb: 'all_gather', dtype: 'f32' }, 4, 4, 'receives 8 bytes for 4, not 4'],
      [{ verb: 'all_gather', dtype: 'f32' }, 3, 6, 'sends 3 bytes, which are not whole elements'],
      [{ verb: 'all_to_all', dtype: 'f32' }, 4, 4, 'sends 4 bytes, not a block for each'],
      [{ verb: 'broadcast', dtype: 'u8', root: 2 }, 1, 1, 'has no rank 2'],
      [{ verb: 'shift', dtype: 'u8', by: 0.5 }, 1, 1, 'cannot shift by 0.5'],
      [barrier, 1, 0, 'which are not whole elements'],
    ];
    for (const [collective, send, receive, text] of faults)
      await expect(rank!.exchange(collective, new Uint8Array(send), new Uint8Array(receive))).rejects.toThrow(
        text,
      );
  });

  test('another verb, count, element type or combiner fails on all ranks, and so does what comes after', async () => {
    const sum: Collective = { verb: 'all_reduce', dtype: 'f32', combiner: 'sum' };
    const others: readonly [Collective, Uint8Array][] = [
      [{ ...sum, combiner: 'max' }, one],
      [{ ...sum, dtype: 'i32' }, one],
      [sum, nothing],
      [{ verb: 'shift', dtype: 'f32', by: 1 }, one],
    ];
    for (const [collective, buffer] of others) {
      const ranks = inProcess(3);
      const calls = ranks.map((rank, place) =>
        place === 1
          ? rank.exchange(collective, buffer, new Uint8Array(buffer.length))
          : rank.exchange(sum, one, new Uint8Array(4)),
      );
      for (const { status } of await Promise.allSettled(calls)) expect(status).toBe('rejected');
      await expect(calls[0]).rejects.toThrow(
        /rank 0 calls all_reduce\(sum\) of 1 f32, but rank 1 calls .* over world/,
      );
      await expect(ranks[2]!.exchange(barrier, nothing, nothing)).rejects.toThrow('rank 1');
    }
  });

  test('a rank that closes while others wait for it in another group', async () => {
    const ranks = inProcess(3);
    const groups = await Promise.all(ranks.map((rank) => rank.split(0, 2 - rank.rank, 'sp')));
    expect(groups.map(({ rank }) => rank)).toEqual([2, 1, 0]);
    const waiting = groups[0]!.exchange(barrier, nothing, nothing);
    const closing = ranks[2]!.close();
    for (const call of [waiting, closing])
      await expect(call).rejects.toThrow(
        'rank 2 has ended its part, but rank 0 waits for it in barrier over sp (step 0)',
      );
  });

  test('a rank that gives up', async () => {
    const ranks = inProcess(2);
    const waiting = ranks[0]!.exchange(barrier, nothing, nothing);
    const abort = ranks[1]!.abort('the disk is full');
    for (const call of [waiting, abort])
      await expect(call).rejects.toThrow('rank 1 gave up: the disk is full');
  });

  test('all close', async () => {
    const ranks = inProcess(3);
    await Promise.all(ranks.map((rank) => rank.close()));
  });
});

test('ranks that disagree about the program are named, on all ranks', async () => {
  const compare = (contents: readonly string[]) =>
    Promise.allSettled(
      inProcess(contents.length).map((rank, place) => agree(rank, 'program', contents[place]!)),
    );
  const texts = async (contents: readonly string[]) =>
    (await compare(contents)).map((result) => (result.status === 'fulfilled' ? '' : result.reason.message));
  expect(await texts(['a', 'a', 'a'])).toEqual(['', '', '']);
  const odd = 'ranks 1 and 3 have another program than ranks 0, 2 and 4';
  expect(await texts(['a', 'b', 'a', 'c', 'a'])).toEqual(Array(5).fill(odd));
  expect((await texts(['a', 'b']))[0]).toBe('rank 1 has another program than rank 0');
});
