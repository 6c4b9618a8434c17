/** Opens what PTX runs on here: a GPU, or the emulator where there is none. */
import { isUserError } from '../errors.ts';
import type { CudaDevice } from './device.ts';

/**
 * @param report hears in a line why it is the emulator, where it is
 * @throws UserError `no-device`, `out-of-memory` when there is a GPU, and it cannot be used
 */
export async function openCudaDevice(report: (line: string) => void): Promise<CudaDevice> {
  const { openGpu } = await import('./driver/open.ts');
  try {
    return await openGpu();
  } catch (error) {
    if (!isUserError(error) || error.code !== 'no-device') throw error;
    report(`${error.message}: running in the emulator, on the processor`);
  }
  // It is large, and nothing else needs it.
  const { emulatorDevice } = await import('./emulator-device.ts');
  return emulatorDevice();
}
