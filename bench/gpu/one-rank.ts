/**
 * Every collective over the real NCCL, by one rank on one GPU: what it gives is what was sent. Several ranks
 * are tried against a stub (`runtime/mesh/nccl/nccl.test.ts`); here the library itself takes the calls:
 * `RICCI_NCCL_LIBRARY=… node dist/bench/gpu/one-rank.js`.
 */
import type { Dtype } from '../../dsl/types/dtype.ts';
import type { Collective } from '../../runtime/mesh/collective.ts';
import { type DeviceCommunicator, openNccl } from '../../runtime/mesh/nccl/world.ts';
import { tensorFromValues } from '../../runtime/weights/tensor-data.ts';

const dtypes: readonly Dtype[] = ['f32', 'bf16', 'i32', 'u8'];

const collectives = (dtype: Dtype): readonly Collective[] => [
  { verb: 'all_gather', dtype },
  { verb: 'all_reduce', dtype, combiner: 'sum' },
  { verb: 'all_reduce', dtype, combiner: 'max' },
  { verb: 'reduce_scatter', dtype, combiner: 'sum' },
  { verb: 'all_to_all', dtype },
  { verb: 'shift', dtype, by: 1 },
  { verb: 'broadcast', dtype, root: 0 },
];

const world = await openNccl();
const { device } = world;

/** The same between places of the GPU, or in one, behind what is written there and before what is read. */
async function exchangedOnDevice(
  group: DeviceCommunicator,
  collective: Collective,
  sent: Uint8Array,
  isInPlace: boolean,
): Promise<Uint8Array> {
  const from = device.allocate(sent.byteLength);
  const to = isInPlace ? from : device.allocate(sent.byteLength);
  device.write(from, sent);
  await group.exchangeOnDevice(collective, from, to, sent.byteLength);
  const received = await device.read(to, sent.byteLength);
  for (const address of new Set([from, to])) device.free(address);
  return received;
}

const part = await world.split(0, 0, 'tp');
let wrong = 0;
for (const group of [world, part])
  for (const dtype of dtypes)
    for (const collective of collectives(dtype)) {
      const values = Array.from({ length: 1000 }, (_, place) => (place * 7) % 100);
      const sent = tensorFromValues(dtype, [values.length], values).bytes;
      const received = new Uint8Array(sent.byteLength);
      await group.exchange(collective, sent, received);
      const apart = await exchangedOnDevice(group, collective, sent, false);
      const inPlace = await exchangedOnDevice(group, collective, sent, true);
      for (const found of [received, apart, inPlace]) {
        if (Buffer.from(found).equals(sent)) continue;
        wrong++;
        console.log(`wrong: ${JSON.stringify(collective)} over ${group.label}`);
      }
    }
await world.exchange({ verb: 'barrier' }, new Uint8Array(), new Uint8Array());
console.log(`${device.name}: ${wrong === 0 ? 'all collectives of one rank are right' : `${wrong} wrong`}`);
await world.close();
process.exitCode = wrong === 0 ? 0 : 1;
