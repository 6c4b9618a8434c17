/** Runs what was encoded, as often as wanted. Calls that overlap are run one after the other. */
import type { OpenedDevice } from './device.ts';
import { type EncodedCommand, submitCommands } from './encode.ts';
import { inTurns } from './in-turns.ts';
import { type CommandTime, timeCommands } from './timestamps.ts';

/** Any of them may reject with a UserError (`out-of-memory`, `device-lost`, `device-refused`). */
export interface Runner<Inputs, Outputs, OnDevice> {
  /** Uploads the inputs, runs, and reads the outputs back. Inputs left out stay as last uploaded. */
  readonly run: (inputs: Inputs) => Promise<Outputs>;
  readonly upload: (inputs: Inputs) => Promise<void>;
  /**
   * As `run`, but the outputs stay on the device, where they are until the next run; and its end is not
   * waited for: it resolves when the device has accepted it and all but a few of the runs before have ended.
   */
  readonly start: (inputs: Inputs) => Promise<OnDevice>;
  /** Runs on the inputs last uploaded; resolves when the device is done. The outputs stay on it. */
  readonly runOnDevice: () => Promise<void>;
  /** The outputs of the last run. */
  readonly read: () => Promise<Outputs>;
  /**
   * As `runOnDevice`, with the device's own time of each kernel and copy in order. Slower: a pass for each.
   */
  readonly time: () => Promise<CommandTime[]>;
}

/** Runs that the device has not ended, beyond which another waits: enough to keep it busy. */
const mostUnfinished = 4;

export interface Transfers<Inputs, Outputs, OnDevice> {
  /** @throws UserError `wrong-input` if inputs are wrong, or never came. `undefined` gives none. */
  readonly write: (inputs: Inputs | undefined) => void;
  /** Records the way of the outputs to where `takeOutputs` reads them. */
  readonly copyOutputs: (encoder: GPUCommandEncoder) => void;
  readonly takeOutputs: () => Promise<Outputs>;
  readonly outputs: () => OnDevice;
}

/**
 * @param what runs, for messages: `a run of layer`
 * @param encoded what runs on these inputs; `undefined` as for `write`
 */
export function createRunner<Inputs, Outputs, OnDevice>(
  opened: OpenedDevice,
  what: string,
  encoded: (inputs: Inputs | undefined) => Promise<readonly EncodedCommand[]>,
  { write, copyOutputs, takeOutputs, outputs }: Transfers<Inputs, Outputs, OnDevice>,
): Runner<Inputs, Outputs, OnDevice> {
  const { device, guard } = opened;
  const inTurn = inTurns();
  const guarded = <T>(
    inputs: Inputs | undefined,
    work: (commands: readonly EncodedCommand[]) => Promise<T>,
  ): Promise<T> =>
    inTurn(async () => {
      const commands = await encoded(inputs);
      return guard(what, () => {
        write(inputs);
        return work(commands);
      });
    });
  const unfinished: Promise<undefined>[] = [];
  const submitted = (): Promise<undefined> | undefined => {
    unfinished.push(device.queue.onSubmittedWorkDone());
    return unfinished.length > mostUnfinished ? unfinished.shift() : undefined;
  };
  return {
    run: (inputs) =>
      guarded(inputs, (commands) => {
        submitCommands(device, commands, copyOutputs);
        return takeOutputs();
      }),
    upload: (inputs) => guarded(inputs, () => device.queue.onSubmittedWorkDone()),
    start: (inputs) =>
      guarded(inputs, async (commands) => {
        submitCommands(device, commands, undefined);
        await submitted();
        return outputs();
      }),
    runOnDevice: () =>
      guarded(undefined, (commands) => {
        submitCommands(device, commands, undefined);
        return device.queue.onSubmittedWorkDone();
      }),
    read: () =>
      inTurn(() =>
        guard(what, () => {
          submitCommands(device, [], copyOutputs);
          return takeOutputs();
        }),
      ),
    time: () =>
      inTurn(async () => {
        const commands = await encoded(undefined);
        write(undefined);
        return timeCommands(opened, commands);
      }),
  };
}
