/** The trace of a run on one device, or on all devices of a mesh that share one. */
import { allCoordinates } from '../../compiler/partition/blocks.ts';
import type { AnyManifest, ExchangeStep } from '../../compiler/plan/package.ts';
import type { Mesh } from '../../dsl/placement/placement.ts';
import type { CommandTime } from '../webgpu/timestamps.ts';
import { deviceName } from './device-name.ts';
import { commandSlice, exchangeSlice, inTurn, type Slice, type Trace } from './trace.ts';

/** Whose command it is: a device's own, or a part of an exchange of the devices of a group. */
export type Doer =
  | { readonly kind: 'device'; readonly device: number }
  | {
      readonly kind: 'group';
      readonly step: ExchangeStep;
      readonly group: readonly number[];
      /** Which of the run's exchanges. */
      readonly number: number;
    };

/** A command that was carried out. */
export interface Done {
  /** The same for all parts of an exchange in a group, which follow each other. */
  readonly doer: Doer;
  readonly time: CommandTime;
}

/** Whose clock the times are by. */
type Clock = 'device' | 'host';

const clockTexts: { readonly [C in Clock]: string } = {
  device: "the device's own, from the start of the first kernel",
  host: "the host's, from the start of the first kernel",
};

export function deviceTrace(manifest: AnyManifest, times: readonly CommandTime[], clock: Clock): Trace {
  const slices = inTurn(times.map((time) => commandSlice(manifest, time)));
  return { entry: manifest.entry, clock: clockTexts[clock], devices: [{ name: 'device 0', slices }] };
}

/**
 * All devices take turns on one. An exchange lasts, on each device of its group, from its first part to its
 * last, whichever device that is done for.
 */
export function meshTrace(manifest: AnyManifest, mesh: Mesh, commands: readonly Done[], clock: Clock): Trace {
  const slices = allCoordinates(mesh).map((): Slice[] => []);
  let next = 0;
  for (let place = 0; place < commands.length; place = next) {
    const { doer, time } = commands[place]!;
    next = place + 1;
    if (doer.kind === 'device') {
      slices[doer.device]!.push(commandSlice(manifest, time));
      continue;
    }
    while (commands[next]?.doer === doer) next++;
    const { startNanoseconds } = time;
    const last = commands[next - 1]!.time;
    const nanoseconds = Math.max(0, last.startNanoseconds + last.nanoseconds - startNanoseconds);
    const { step, group, number } = doer;
    for (const device of group) {
      const when = { number, lane: 0, when: { startNanoseconds, nanoseconds } };
      slices[device]!.push(exchangeSlice(step, group, device, when));
    }
  }
  const devices = slices.map((own, device) => ({ name: deviceName(mesh, device), slices: inTurn(own) }));
  const text = `${clockTexts[clock]}; the devices of the mesh are logical ones, and take turns on it`;
  return { entry: manifest.entry, clock: text, devices };
}
