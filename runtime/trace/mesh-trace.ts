/** The trace of a run on one device, or on all devices of a mesh that share one. */
import { allCoordinates } from '../../compiler/partition/blocks.ts';
import type { Manifest } from '../../compiler/plan/package.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { MeshCommand } from '../mesh/encode-mesh.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';
import { deviceName } from './device-name.ts';
import { commandSlice, exchangeSlice, inTurn, type Slice, type Trace } from './trace.ts';

const deviceClock = "the device's own, from the start of the first kernel";

export function deviceTrace(manifest: Manifest, times: readonly CommandTime[]): Trace {
  const slices = inTurn(times.map((time) => commandSlice(manifest, time)));
  return { entry: manifest.entry, clock: deviceClock, devices: [{ name: 'device 0', slices }] };
}

/**
 * All devices take turns on one. An exchange lasts, on each device of its group, from its first part to its
 * last, whichever device that is done for.
 * @param times one for each command
 */
export function meshTrace(
  manifest: Manifest,
  mesh: Mesh,
  commands: readonly MeshCommand[],
  times: readonly CommandTime[],
): Trace {
  const slices = allCoordinates(mesh).map((): Slice[] => []);
  let next = 0;
  for (let place = 0; place < commands.length; place = next) {
    const { doer } = commands[place]!;
    next = place + 1;
    if (doer.kind === 'device') {
      slices[doer.device]!.push(commandSlice(manifest, times[place]!));
      continue;
    }
    while (commands[next]?.doer === doer) next++;
    const { startNanoseconds } = times[place]!;
    const last = times[next - 1]!;
    const nanoseconds = Math.max(0, last.startNanoseconds + last.nanoseconds - startNanoseconds);
    const { step, group, number } = doer;
    for (const device of group) {
      const when = { number, lane: 0, when: { startNanoseconds, nanoseconds } };
      slices[device]!.push(exchangeSlice(step, group, device, when));
    }
  }
  const devices = slices.map((own, device) => ({ name: deviceName(mesh, device), slices: inTurn(own) }));
  const clock = `${deviceClock}; the devices of the mesh are logical ones, and take turns on it`;
  return { entry: manifest.entry, clock, devices };
}
