/** Devices of WebAssembly as those that take launches: what they are told is done when the call returns. */
import type { WasmPackage } from '../../compiler/plan/package.ts';
import type { Coordinate, LaunchDevices } from '../launch-device.ts';
import { openWasm, running, type WasmOptions } from './devices.ts';

/** @throws UserError as `openWasm` */
export async function openWasmLaunches(
  pkg: WasmPackage,
  places: readonly Coordinate[],
  options: WasmOptions,
): Promise<LaunchDevices> {
  const { devices, ...opened } = await openWasm(pkg, places, options);
  return {
    ...opened,
    devices: devices.map(({ write, perform, memoryOf, read }) => ({
      write,
      perform: (launch) => running(pkg.manifest.entry, () => perform(launch)),
      finish: async () => undefined,
      sent: async (buffer, bytes) => memoryOf(buffer, bytes),
      arriving: (buffer, bytes) => ({ room: memoryOf(buffer, bytes), done: () => undefined }),
      read: async (finalBuffer) => read(finalBuffer),
    })),
  };
}
