/** Runs what was encoded, as often as wanted. Calls that overlap are run one after the other. */
import type { OpenedDevice } from './device.ts';
import { type EncodedCommand, submitCommands } from './encode.ts';
import { inTurns } from './in-turns.ts';
import { type CommandTime, timeCommands } from './timestamps.ts';

/** Any of them may reject with a UserError (`out-of-memory`, `device-lost`, `device-refused`). */
export interface Runner<Inputs, Outputs> {
  /** Uploads the inputs, runs, and reads the outputs back. Inputs left out stay as last uploaded. */
  readonly run: (inputs: Inputs) => Promise<Outputs>;
  readonly upload: (inputs: Inputs) => Promise<void>;
  /** Runs on the inputs last uploaded; resolves when the device is done. The outputs stay on it. */
  readonly runOnDevice: () => Promise<void>;
  /** The outputs of the last run. */
  readonly read: () => Promise<Outputs>;
  /**
   * As `runOnDevice`, with the device's own time of each kernel and copy in order. Slower: a pass for each.
   */
  readonly time: () => Promise<CommandTime[]>;
}

export interface Transfers<Inputs, Outputs> {
  /** @throws UserError `wrong-input` if inputs are wrong, or never came. `undefined` gives none. */
  readonly write: (inputs: Inputs | undefined) => void;
  /** Records the way of the outputs to where `takeOutputs` reads them. */
  readonly copyOutputs: (encoder: GPUCommandEncoder) => void;
  readonly takeOutputs: () => Promise<Outputs>;
}

/** @param what runs, for messages: `a run of layer` */
export function createRunner<Inputs, Outputs>(
  opened: OpenedDevice,
  what: string,
  commands: readonly EncodedCommand[],
  { write, copyOutputs, takeOutputs }: Transfers<Inputs, Outputs>,
): Runner<Inputs, Outputs> {
  const { device, guard } = opened;
  const inTurn = inTurns();
  const guarded = <T>(work: () => Promise<T>) => inTurn(() => guard(what, work));
  return {
    run: (inputs) =>
      guarded(() => {
        write(inputs);
        submitCommands(device, commands, copyOutputs);
        return takeOutputs();
      }),
    upload: (inputs) =>
      guarded(() => {
        write(inputs);
        return device.queue.onSubmittedWorkDone();
      }),
    runOnDevice: () =>
      guarded(() => {
        write(undefined);
        submitCommands(device, commands, undefined);
        return device.queue.onSubmittedWorkDone();
      }),
    read: () =>
      guarded(() => {
        submitCommands(device, [], copyOutputs);
        return takeOutputs();
      }),
    time: () =>
      inTurn(() => {
        write(undefined);
        return timeCommands(opened, commands);
      }),
  };
}
