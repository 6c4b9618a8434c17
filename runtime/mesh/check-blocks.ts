import { UserError } from '../errors.ts';

/** @throws UserError `wrong-input` when there are not inputs for each of the devices */
export function checkBlocks(entry: string, given: readonly unknown[], devices: readonly unknown[]): void {
  if (given.length !== devices.length)
    throw new UserError(
      'wrong-input',
      `inputs for ${given.length} devices are given, and ${entry} runs on ${devices.length}`,
      'give the blocks of each device of the mesh, in order',
    );
}
