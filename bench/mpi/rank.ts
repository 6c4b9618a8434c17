/**
 * A rank of the measurement: median microseconds of each collective, for blocks of the sizes in the
 * arguments. `calls.c` does the same.
 */
import type { Collective } from '../../runtime/mesh/collective.ts';
import { openMpi } from '../../runtime/mesh/mpi/world.ts';

const [repeats = 0, ...sizes] = process.argv.slice(2).map(Number);
const warmUps = 5;

/** With how many blocks each sends and receives, given the number of ranks. */
const measured: readonly {
  readonly collective: Collective;
  readonly blocks: (ranks: number) => readonly [number, number];
}[] = [
  { collective: { verb: 'all_gather', dtype: 'f32' }, blocks: (ranks) => [1, ranks] },
  { collective: { verb: 'all_reduce', dtype: 'f32', combiner: 'sum' }, blocks: () => [1, 1] },
  { collective: { verb: 'reduce_scatter', dtype: 'f32', combiner: 'sum' }, blocks: (ranks) => [ranks, 1] },
  { collective: { verb: 'all_to_all', dtype: 'f32' }, blocks: (ranks) => [ranks, ranks] },
];

const world = await openMpi();
const nothing = new Uint8Array();
for (const size of sizes)
  for (const { collective, blocks } of measured) {
    const [send, receive] = blocks(world.size).map((count) => new Uint8Array(count * size).fill(1));
    const times: number[] = [];
    for (let repeat = -warmUps; repeat < repeats; repeat++) {
      await world.exchange({ verb: 'barrier' }, nothing, nothing);
      const start = performance.now();
      await world.exchange(collective, send!, receive!);
      if (repeat >= 0) times.push((performance.now() - start) * 1000);
    }
    times.sort((left, right) => left - right);
    const median = times[repeats >> 1]!;
    if (world.rank === 0) console.log(`${collective.verb} ${size} ricci ${median.toFixed(3)}`);
  }
await world.close();
