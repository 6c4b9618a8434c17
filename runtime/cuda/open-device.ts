/** Opens what PTX runs on here. */
import type { CudaDevice } from './device.ts';

/** @param report hears in a line that it is the emulator, where there is no GPU */
export async function openCudaDevice(report: (line: string) => void): Promise<CudaDevice> {
  report('no NVIDIA driver found: running in the emulator, on the processor');
  // It is large, and nothing else needs it.
  const { emulatorDevice } = await import('./emulator-device.ts');
  return emulatorDevice();
}
