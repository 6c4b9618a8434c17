/** From a tensor on a device to one in memory. */
import { bufferBytes, packedBytes, typeText } from '../../compiler/plan/storage-bytes.ts';
import type { TensorData } from '../weights/tensor-data.ts';
import type { OpenedDevice } from './device.ts';
import type { DeviceTensor } from './device-tensor.ts';
import { bufferUsage, mapForReading } from './usage.ts';

/** @throws UserError when the device refuses to copy it: its usage is without `COPY_SRC`, or it is destroyed. */
export function readBuffer({ device, guard }: OpenedDevice, tensor: DeviceTensor): Promise<TensorData> {
  const { dtype, shape, buffer } = tensor;
  const size = bufferBytes(tensor);
  return guard(`reading ${typeText(tensor)}`, async () => {
    const staging = device.createBuffer({ size, usage: bufferUsage.mapRead | bufferUsage.copyDestination });
    const encoder = device.createCommandEncoder();
    encoder.copyBufferToBuffer(buffer, 0, staging, 0, size);
    device.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(mapForReading);
      return { dtype, shape, bytes: new Uint8Array(staging.getMappedRange()).slice(0, packedBytes(tensor)) };
    } finally {
      staging.destroy();
    }
  });
}
