/**
 * Launches, in the layout that `cuLaunchKernelEx` takes. The memory is made once and filled anew for each: a
 * launch costs little more than its call.
 */
import type { LaunchShape } from '../device.ts';
import type { Cuda } from './library.ts';
import type { CudaStream } from './streams.ts';

export interface DriverLaunch extends LaunchShape {
  /**
   * It may start when the kernel before it says so (`griddepcontrol.launch_dependents`), and waits by itself
   * for what it needs of it (`griddepcontrol.wait`): programmatic dependent launch.
   */
  readonly dependent?: boolean;
}

/** `CUlaunchConfig`: 56 bytes. */
const configuration = {
  grid: 0,
  block: 12,
  sharedBytes: 24,
  stream: 32,
  attributes: 40,
  count: 48,
  bytes: 56,
};
/** `CUlaunchAttribute`: an identifier, four bytes between, and 64 bytes of value. */
const attribute = { value: 8, bytes: 72 };
/** CUlaunchAttributeID. */
const clusterDimension = 4;
const programmaticStreamSerialization = 6;
/** CU_LAUNCH_PARAM_BUFFER_POINTER, …_BUFFER_SIZE and …_END, which give parameters as one buffer. */
const [bufferPointer, bufferSize, bufferEnd] = [1n, 2n, 0n];

/** Of parameters, from CUDA 12.1 on. */
const mostParameterBytes = 32_764;
/** Of tensor maps, which are parameters. */
const parameterAlignment = 64;

export type Launcher = (kernel: bigint, launch: DriverLaunch, parameters: Uint8Array) => void;

export function newLauncher(cuda: Cuda, stream: CudaStream): Launcher {
  const config = new Uint8Array(configuration.bytes);
  const attributes = new Uint8Array(2 * attribute.bytes);
  const packed = alignedMemory(cuda, mostParameterBytes);
  const size = new BigUint64Array(1);
  const extra = new BigUint64Array([
    ...[bufferPointer, cuda.address(packed), bufferSize, cuda.address(size), bufferEnd],
  ]);
  const words = new DataView(config.buffer);
  const values = new DataView(attributes.buffer);
  words.setBigUint64(configuration.stream, stream.handle, true);
  words.setBigUint64(configuration.attributes, cuda.address(attributes), true);
  return (kernel, { grid, block, sharedBytes, cluster, dependent }, parameters) => {
    for (let axis = 0; axis < 3; axis++) {
      words.setUint32(configuration.grid + 4 * axis, grid[axis]!, true);
      words.setUint32(configuration.block + 4 * axis, block[axis]!, true);
    }
    words.setUint32(configuration.sharedBytes, sharedBytes, true);
    let count = 0;
    const put = (identifier: number, value: readonly number[]) => {
      const at = attribute.bytes * count++;
      values.setUint32(at, identifier, true);
      for (const [place, word] of value.entries())
        values.setUint32(at + attribute.value + 4 * place, word, true);
    };
    if (cluster !== undefined) put(clusterDimension, cluster);
    if (dependent === true) put(programmaticStreamSerialization, [1]);
    words.setUint32(configuration.count, count, true);
    if (parameters.byteLength > mostParameterBytes)
      throw new RangeError(
        `a kernel takes ${mostParameterBytes} bytes of parameters, not ${parameters.byteLength}`,
      );
    packed.set(parameters);
    size[0] = BigInt(parameters.byteLength);
    cuda.call('cuLaunchKernelEx', config, kernel, null, extra);
  };
}

/** Where neither the garbage collector nor a half of a tensor map moves it. */
function alignedMemory(cuda: Cuda, bytes: number): Uint8Array {
  const memory = new Uint8Array(new ArrayBuffer(bytes + parameterAlignment));
  const over = Number(cuda.address(memory) % BigInt(parameterAlignment));
  return memory.subarray((parameterAlignment - over) % parameterAlignment);
}
