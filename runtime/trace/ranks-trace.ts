/** The trace of a job: what all ranks did. */
import type { Manifest } from '../../compiler/plan/package.ts';
import type { Communicator } from '../mesh/communicator.ts';
import { gatherTexts } from '../mesh/gather-texts.ts';
import type { LoadedRank } from '../mesh/run-rank.ts';
import type { OpenedDevice } from '../webgpu/device.ts';
import { commonClock } from './common-clock.ts';
import { deviceName } from './device-name.ts';
import type { Slice, Trace } from './trace.ts';

/** Collective: runs once more, and gives all ranks the trace of all. */
export async function traceOfRanks(
  { entry }: Manifest,
  { mesh, trace }: LoadedRank,
  opened: OpenedDevice,
  world: Communicator,
): Promise<Trace> {
  const { now, uncertainty } = await commonClock(world);
  const own: Traced = { uncertainty, timestamps: opened.timestamps, slices: await trace(now) };
  const texts = await gatherTexts(world, JSON.stringify(own));
  const all = texts.map((text) => JSON.parse(text) as Traced);
  const devices = all.map(({ slices }, rank) => ({ name: deviceName(mesh, rank), slices }));
  return { entry, clock: clockText(all), devices };
}

/** What a rank tells the others. */
interface Traced {
  readonly uncertainty: number;
  readonly timestamps: boolean;
  readonly slices: readonly Slice[];
}

function clockText(all: readonly Traced[]): string {
  const off = Math.max(...all.map(({ uncertainty }) => uncertainty));
  const shared = off === 0 ? 'all ranks share it' : `ranks may be ${Math.ceil(off / 1000)} µs off rank 0`;
  const kernels = all.every(({ timestamps }) => timestamps)
    ? "what kernels took is by the device's clock"
    : 'kernels were run one by one where the device has no clock';
  return `the host's, ${shared}; ${kernels}`;
}
