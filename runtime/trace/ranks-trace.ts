/** The trace of a job: what all ranks did. */
import type { AnyManifest } from '../../compiler/plan/package.ts';
import type { Communicator } from '../mesh/communicator.ts';
import { gatherTexts } from '../mesh/gather-texts.ts';
import type { KernelClock, LoadedRank } from '../mesh/loaded-rank.ts';
import { commonClock } from './common-clock.ts';
import { deviceName } from './device-name.ts';
import type { Slice, Trace } from './trace.ts';

/** Collective: runs once more, and gives all ranks the trace of all. */
export async function traceOfRanks(
  { entry }: Pick<AnyManifest, 'entry'>,
  { mesh, trace, kernelClock }: LoadedRank,
  world: Communicator,
): Promise<Trace> {
  const { now, uncertainty } = await commonClock(world);
  const own: Traced = { uncertainty, kernelClock, slices: await trace(now) };
  const texts = await gatherTexts(world, JSON.stringify(own));
  const all = texts.map((text) => JSON.parse(text) as Traced);
  const devices = all.map(({ slices }, rank) => ({ name: deviceName(mesh, rank), slices }));
  return { entry, clock: clockText(all), devices };
}

/** What a rank tells the others. */
interface Traced {
  readonly uncertainty: number;
  readonly kernelClock: KernelClock;
  readonly slices: readonly Slice[];
}

function clockText(all: readonly Traced[]): string {
  const off = Math.max(...all.map(({ uncertainty }) => uncertainty));
  const shared = off === 0 ? 'all ranks share it' : `ranks may be ${Math.ceil(off / 1000)} µs off rank 0`;
  // Of devices some may have a clock and some none.
  const slowest = all.find(({ kernelClock }) => kernelClock === 'one by one') ?? all[0]!;
  return `the host's, ${shared}; ${kernelClockTexts[slowest.kernelClock]}`;
}

const kernelClockTexts: { readonly [C in KernelClock]: string } = {
  device: "what kernels took is by the device's clock",
  'one by one': 'kernels were run one by one where the device has no clock',
  host: 'so is what kernels took',
};
