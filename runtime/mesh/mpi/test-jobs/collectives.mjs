// A rank of a job that compares MPI with the in-process communicator, bit by bit. Started by mpi.test.ts, from the
// built package: `mpiexec -n 4 node collectives.mjs SEED`. Rank 0 prints what it found, as JSON. nccl.test.ts starts
// it with `SEED nccl CASES`, to compare NCCL.
import { inProcess } from '../../../../dist/runtime/mesh/in-process.js';
import { splitAlong } from '../../../../dist/runtime/mesh/mesh-groups.js';
import { openMpi } from '../../../../dist/runtime/mesh/mpi/world.js';
import { openNccl } from '../../../../dist/runtime/mesh/nccl/world.js';
import { tensorFromValues } from '../../../../dist/runtime/weights/tensor-data.js';

const mesh = {
  axes: [
    { name: 'dp', size: 2 },
    { name: 'sp', size: 2 },
  ],
};
const axisLists = [['dp'], ['sp'], ['dp', 'sp'], ['sp', 'dp'], []];
const dtypes = ['f32', 'bf16', 'f16', 'f8e4m3', 'f8e5m2', 'i32', 'u32', 'i8', 'u8', 'bool'];
const counts = [0, 1, 3, 64, 1000, 20_000];

/** mulberry32: the same numbers on all ranks. */
let state = Number(process.argv[2]);
function random(below) {
  state = (state + 0x6d2b79f5) | 0;
  let word = Math.imul(state ^ (state >>> 15), 1 | state);
  word = (word + Math.imul(word ^ (word >>> 7), 61 | word)) ^ word;
  return ((word ^ (word >>> 14)) >>> 0) % below;
}
const pick = (list) => list[random(list.length)];

/** Whole numbers that every order of summing gives exactly, and here and there a NaN where that is defined. */
function shard(dtype, count, allowsNaN) {
  const value = () => {
    if (allowsNaN && random(50) === 0) return Number.NaN;
    if (dtype === 'bool') return random(2);
    return dtype.startsWith('u') ? random(9) : random(17) - 8;
  };
  return tensorFromValues(dtype, [count], Array.from({ length: count }, value)).bytes;
}

const combiners = (dtype) => (dtype === 'bool' ? ['max', 'min'] : ['sum', 'max', 'min']);
const isFloat = (dtype) => /^(f|bf)/.test(dtype);

/** Each with a planted fault: the same but for one thing. */
const cases = (dtype, ranks) => [
  { collective: { verb: 'all_gather', dtype }, mutant: 'order' },
  { collective: { verb: 'all_to_all', dtype }, mutant: 'order' },
  { collective: { verb: 'shift', dtype, by: 1 }, mutant: { verb: 'shift', dtype, by: -1 } },
  { collective: { verb: 'shift', dtype, by: -2 }, mutant: { verb: 'shift', dtype, by: 1 } },
  {
    collective: { verb: 'broadcast', dtype, root: ranks - 1 },
    mutant: { verb: 'broadcast', dtype, root: 0 },
  },
  ...combiners(dtype).flatMap((combiner) =>
    ['all_reduce', 'reduce_scatter'].map((verb) => ({
      collective: { verb, dtype, combiner },
      mutant: { verb, dtype, combiner: combiner === 'max' ? 'min' : 'max' },
    })),
  ),
];

function bytesReceived({ verb }, sends, ranks) {
  if (verb === 'all_gather') return sends * ranks;
  return verb === 'reduce_scatter' ? sends / ranks : sends;
}

/** What rank `rank` receives, by the in-process communicator. */
async function expected(collective, send, rank) {
  const receive = send.map((bytes) => new Uint8Array(bytesReceived(collective, bytes.length, send.length)));
  await Promise.all(
    inProcess(send.length).map((each, place) => each.exchange(collective, send[place], receive[place])),
  );
  return Buffer.from(receive[rank]);
}

const world = await (process.argv[3] === 'nccl' ? openNccl : openMpi)();
const groups = [];
for (const axes of axisLists) groups.push(await splitAlong(world, mesh, axes));

/** All cases, or as many as are asked for, in an order that all ranks draw alike. */
const work = groups.flatMap((group) =>
  dtypes.flatMap((dtype) => cases(dtype, group.size).map((each) => ({ ...each, dtype, group }))),
);
for (let place = work.length - 1; place > 0; place--) {
  const other = random(place + 1);
  [work[place], work[other]] = [work[other], work[place]];
}

work.splice(Number(process.argv[4] ?? work.length));

const wrong = [];
const caught = new Set();
let compared = 0;
while (work.length > 0) {
  // Several at once: of different groups they overlap, of one group they keep their order.
  const batch = work.splice(0, 1 + random(8)).map(({ collective, mutant, dtype, group }) => {
    const blocks = /all_to_all|reduce_scatter/.test(collective.verb) ? group.size : 1;
    const count = pick(counts) * blocks;
    const allowsNaN = isFloat(dtype) && ['max', 'min'].includes(collective.combiner);
    const send = Array.from({ length: group.size }, () => shard(dtype, count, allowsNaN));
    const mine = send[group.rank];
    const receive = new Uint8Array(bytesReceived(collective, mine.length, group.size));
    return { collective, mutant, send, receive, group, done: group.exchange(collective, mine, receive) };
  });
  for (const { collective, mutant, send, receive, group, done } of batch) {
    await done;
    compared++;
    const name = `${JSON.stringify(collective)} over ${group.label || 'nothing'}`;
    if (!(await expected(collective, send, group.rank)).equals(receive)) wrong.push(name);
    const other = mutant === 'order' ? [collective, send.toReversed()] : [mutant, send];
    if (!(await expected(...other, group.rank)).equals(receive)) caught.add(collective.verb);
  }
}

// Whatever the order of its sums: every rank has the same bits.
const fractions = Float32Array.from({ length: 5000 }, () => 0).map(
  (_, place) => 1 / (1 + place + 7 * world.rank),
);
const sums = new Float32Array(fractions.length);
const bytes = (numbers) => new Uint8Array(numbers.buffer);
await world.exchange({ verb: 'all_reduce', dtype: 'f32', combiner: 'sum' }, bytes(fractions), bytes(sums));
const everyone = new Uint8Array(sums.byteLength * world.size);
await world.exchange({ verb: 'all_gather', dtype: 'f32' }, bytes(sums), everyone);
for (let rank = 0; rank < world.size; rank++)
  if (
    !Buffer.from(everyone.subarray(rank * sums.byteLength, (rank + 1) * sums.byteLength)).equals(bytes(sums))
  )
    wrong.push(`ranks ${rank} and ${world.rank} have other sums`);

// The event loop turns while this rank waits for a slower one.
let ticks = 0;
const ticking = setInterval(() => ticks++, 1);
if (world.rank === 1) await new Promise((resolve) => setTimeout(resolve, 200));
await world.exchange({ verb: 'barrier' }, new Uint8Array(), new Uint8Array());
clearInterval(ticking);

const text = new TextEncoder().encode(JSON.stringify(wrong.slice(0, 5)).padEnd(1000).slice(0, 1000));
const texts = new Uint8Array(text.length * world.size);
await world.exchange({ verb: 'all_gather', dtype: 'u8' }, text, texts);
if (world.rank === 0)
  console.log(
    JSON.stringify({
      compared,
      caught: [...caught].sort(),
      ticks,
      wrong: Array.from({ length: world.size }, (_, rank) =>
        new TextDecoder().decode(texts.subarray(1000 * rank, 1000 * (rank + 1))).trim(),
      ),
    }),
  );
await world.close();
