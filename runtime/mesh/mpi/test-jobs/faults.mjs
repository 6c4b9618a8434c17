// A rank of a job in which rank 2 does wrong: `mpiexec -n 4 node faults.mjs FAULT`, from mpi.test.ts. The others go on
// with collectives over the axis sp, until they are told why that will not end. nccl.test.ts starts it with
// `FAULT nccl`.
import { agree } from '../../../../dist/runtime/mesh/agree.js';
import { splitAlong } from '../../../../dist/runtime/mesh/mesh-groups.js';
import { openMpi } from '../../../../dist/runtime/mesh/mpi/world.js';
import { openNccl } from '../../../../dist/runtime/mesh/nccl/world.js';

const mesh = {
  axes: [
    { name: 'dp', size: 1 },
    { name: 'sp', size: 4 },
  ],
};
const [send, receive] = [new Uint8Array(4096), new Uint8Array(4096)];
const sum = { verb: 'all_reduce', dtype: 'f32', combiner: 'sum' };
const forever = new Promise((resolve) => setTimeout(resolve, 2 ** 30));

/** What rank 2 does instead of a sum. */
const faults = {
  killed: () => process.kill(process.pid, 'SIGKILL'),
  throws: () => {
    throw new TypeError('nothing to add');
  },
  exits: () => process.exit(3),
  'ends early': () => world.close(),
  'gives up': () => world.abort('the disk is full'),
  'never comes': () => forever,
  // Not at once: that the call before is done reaches the watch when the event loop turns.
  'never comes, busy': async () => {
    await new Promise((resolve) => setTimeout(resolve, 500));
    for (;;);
  },
  'other combiner': () => sp.exchange({ ...sum, combiner: 'min' }, send, receive),
  'other type': () => sp.exchange({ ...sum, dtype: 'i32' }, send, receive),
  'other verb': () => sp.exchange({ verb: 'barrier' }, new Uint8Array(), new Uint8Array()),
};

const fault = process.argv[2];
const world = await (process.argv[3] === 'nccl' ? openNccl : openMpi)({ patience: { notice: 2, last: 4 } });
if (fault === 'other program') {
  await agree(world, 'program', world.rank === 2 ? 'another' : 'one').catch((error) => {
    console.error(`rank ${world.rank} says: ${error.message}`);
  });
  await world.close();
  process.exit(1);
}
const sp = await splitAlong(world, mesh, ['sp']);
for (let step = 0; step < 5; step++) await sp.exchange(sum, send, receive);
if (world.rank === 2) await faults[fault]();
await sp.exchange(sum, send, receive);
await forever;
