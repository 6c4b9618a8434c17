/** A GPU of this machine through the CUDA driver. */
import { bytesText } from '../../../compiler/plan/storage-bytes.ts';
import type { CudaDevice, Recording } from '../device.ts';
import { localRank } from '../local-rank.ts';
import { chooseGpu, type Gpu } from './choose-gpu.ts';
import { captureGraph } from './graphs.ts';
import { newLauncher } from './launches.ts';
import { type Cuda, loadDriver, tellingOf } from './library.ts';
import { type DriverModule, loadModule, type ModuleHost } from './modules.ts';
import { newOwned, type Owned } from './owned.ts';
import { newStaging } from './staging.ts';
import { type CudaEvent, type CudaStream, newEvent, newStream } from './streams.ts';
import { encodeTensorMap } from './tensor-maps.ts';

export interface DriverDevice extends CudaDevice {
  readonly gpu: Gpu;
  /** Makes it the one of this thread, for libraries that go by that. */
  readonly enter: () => void;
  readonly load: (...given: Parameters<CudaDevice['load']>) => DriverModule;
  /** On which all work runs that is given to the device. */
  readonly stream: CudaStream;
  readonly newStream: () => CudaStream;
  readonly newEvent: () => CudaEvent;
  /** Launches, copies and clears that `record` gives are kept, not run; it gives nothing else. */
  readonly capture: (record: () => void) => Recording;
  /** Seconds of GPU time from the first to the last of what `work` gives. */
  readonly time: (work: () => void) => Promise<number>;
}

export interface GpuOptions {
  /** The number of this process among those of the machine, which take its GPUs in turn. */
  readonly place?: number;
  readonly environment?: NodeJS.ProcessEnv;
}

/** CU_MEM_ALLOCATION_TYPE_PINNED, and CU_MEM_LOCATION_TYPE_DEVICE. */
const [pinned, onDevice] = [1, 1];
/** CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: what is free stays with the process. */
const releaseThreshold = 4;
/** `CUmemPoolProps`: the kind of allocation, a kind of handle, the kind of place and its number, then zeros. */
const poolBytes = 88;

/**
 * @throws UserError `no-device` when there is no driver, no GPU, or none that runs what is written
 */
export async function openGpu({
  environment = process.env,
  place = localRank(environment),
}: GpuOptions = {}): Promise<DriverDevice> {
  const cuda = await loadDriver(environment);
  const gpu = chooseGpu(cuda, place);
  const owned = newOwned();
  try {
    return newDevice(cuda, gpu, owned);
  } catch (error) {
    owned.release();
    throw error;
  }
}

function newDevice(driver: Cuda, gpu: Gpu, owned: Owned): DriverDevice {
  /** Kernels given since all had run: what fails may be of any of them. */
  const given = new Set<string>();
  const cuda = tellingOf(driver, () => ranText(given));
  const context = retainContext(cuda, gpu, owned);
  /** Another device of this thread may be the current one. */
  const enter = () => cuda.call('cuCtxSetCurrent', context);
  enter();
  const stream = newStream(cuda, owned);
  const pool = newPool(cuda, gpu, owned);
  const staging = newStaging(cuda, stream, owned);
  const launch = newLauncher(cuda, stream);
  const allocations = new Map<bigint, () => void>();
  let isReleased = false;
  const host: ModuleHost = {
    ...{ cuda, gpu, owned },
    launch(name, ...rest) {
      enter();
      given.add(name);
      launch(...rest);
    },
    settle() {
      cuda.code('cuStreamSynchronize', stream.handle);
    },
  };
  const device: DriverDevice = {
    name: `${gpu.name} (compute capability ${gpu.capability})`,
    ...{ target: gpu.target, gpu, stream, enter },
    allocate(bytes) {
      enter();
      const address = allocated(cuda, pool, stream, bytes);
      allocations.set(
        address,
        owned.take(() => cuda.code('cuMemFreeAsync', address, stream.handle)),
      );
      return address;
    },
    free(address) {
      enter();
      const giveBack = allocations.get(address);
      if (giveBack === undefined) throw new Error(`nothing is allocated at ${address}`);
      allocations.delete(address);
      giveBack();
    },
    clear(address, bytes) {
      enter();
      if (bytes > 0) cuda.call('cuMemsetD8Async', address, 0, bytes, stream.handle);
    },
    write(address, bytes) {
      enter();
      staging.write(address, bytes);
    },
    copy(from, to, bytes) {
      enter();
      if (bytes > 0) cuda.call('cuMemcpyDtoDAsync_v2', to, from, bytes, stream.handle);
    },
    async read(address, bytes) {
      enter();
      return staging.read(address, bytes);
    },
    load(ptx, progress) {
      enter();
      return loadModule(host, ptx, progress);
    },
    async synchronize() {
      const before = [...given];
      await stream.settled();
      for (const name of before) given.delete(name);
    },
    newStream() {
      enter();
      return newStream(cuda, owned);
    },
    newEvent() {
      enter();
      return newEvent(cuda, owned);
    },
    tensorMap: (map) => encodeTensorMap(cuda, map),
    capture(record) {
      enter();
      return captureGraph(cuda, stream, owned, record);
    },
    async time(work) {
      const [start, end] = [device.newEvent(), device.newEvent()];
      try {
        start.record(stream);
        work();
        end.record(stream);
        await end.reached();
        return end.secondsSince(start);
      } finally {
        start.destroy();
        end.destroy();
      }
    },
    release() {
      if (isReleased) return;
      isReleased = true;
      // What fails here has been told, or nobody waits for it.
      cuda.code('cuCtxSetCurrent', context);
      cuda.code('cuStreamSynchronize', stream.handle);
      owned.release();
    },
  };
  return device;
}

function retainContext(cuda: Cuda, { ordinal }: Gpu, owned: Owned): bigint {
  const context = new BigUint64Array(1);
  cuda.call('cuDevicePrimaryCtxRetain', context, ordinal);
  owned.take(() => cuda.code('cuDevicePrimaryCtxRelease_v2', ordinal));
  return context[0]!;
}

/** A pool of its own, so that nothing changes for others in the process. */
function newPool(cuda: Cuda, { ordinal }: Gpu, owned: Owned): bigint {
  const properties = new Int32Array(poolBytes / 4);
  properties.set([pinned, 0, onDevice, ordinal]);
  const pool = new BigUint64Array(1);
  cuda.call('cuMemPoolCreate', pool, properties);
  owned.take(() => cuda.code('cuMemPoolDestroy', pool[0]!));
  cuda.call('cuMemPoolSetAttribute', pool[0]!, releaseThreshold, BigUint64Array.of(2n ** 64n - 1n));
  return pool[0]!;
}

function allocated(cuda: Cuda, pool: bigint, stream: CudaStream, bytes: number): bigint {
  const address = new BigUint64Array(1);
  const code = cuda.code('cuMemAllocFromPoolAsync', address, Math.max(1, bytes), pool, stream.handle);
  if (code === 0) return address[0]!;
  const [free, total] = [new BigUint64Array(1), new BigUint64Array(1)];
  const isTold = cuda.code('cuMemGetInfo_v2', free, total) === 0;
  const left = isTold ? `, and ${bytesText(Number(free[0]))} of ${bytesText(Number(total[0]))} are free` : '';
  throw cuda.failure('cuMemAllocFromPoolAsync', code, `${bytesText(bytes)} were asked for${left}`);
}

function ranText(kernels: ReadonlySet<string>): string | undefined {
  if (kernels.size === 0) return undefined;
  const [first, ...others] = kernels;
  return others.length === 0 ? `in ${first}` : `in one of ${[first, ...others].slice(-mostNamed).join(', ')}`;
}

/** Of kernels that may be meant: the last that were given. */
const mostNamed = 8;
