/** Modules of PTX, which the driver compiles for its GPU, with its log where it does not take one. */
import { UserError } from '../../errors.ts';
import type { CudaKernel, CudaModule } from '../device.ts';
import type { Gpu } from './choose-gpu.ts';
import type { DriverLaunch, Launcher } from './launches.ts';
import { type Cuda, versionText } from './library.ts';
import type { Owned } from './owned.ts';

/** CUjit_option: where the log of errors goes, and how much of it there may be. */
const errorLogBuffer = 5;
const errorLogBytes = 6;
const mostLogBytes = 16_384;

/** CUfunction_attribute. */
const maxDynamicSharedBytes = 8;
const nonPortableClusters = 14;
/** What every GPU has; more must be asked for. */
const usualSharedBytes = 48 * 1024;
const usualClusterBlocks = 8;

export interface DriverModule extends CudaModule {
  readonly kernel: (entry: string) => DriverKernel;
}

export interface DriverKernel extends CudaKernel {
  readonly launch: (launch: DriverLaunch, parameters: Uint8Array) => void;
}

/** What modules of a device need of it. */
export interface ModuleHost {
  readonly cuda: Cuda;
  readonly gpu: Gpu;
  readonly owned: Owned;
  /** With the name of the kernel. */
  readonly launch: (name: string, ...rest: Parameters<Launcher>) => void;
  /** Waits for what runs, so that nothing is taken from under it. */
  readonly settle: () => void;
}

/**
 * @param progress hears how many kernels are compiled, of how many: the driver takes all at once
 * @throws UserError `device-refused`, with the driver's log
 */
export function loadModule(
  host: ModuleHost,
  ptx: string,
  progress: (done: number, total: number) => void = () => undefined,
): DriverModule {
  const { cuda, owned, settle } = host;
  const entries = ptx.match(/\.entry\b/g)?.length ?? 0;
  progress(0, entries);
  const handle = new BigUint64Array(1);
  const log = new Uint8Array(new ArrayBuffer(mostLogBytes));
  const code = cuda.code(
    'cuModuleLoadDataEx',
    handle,
    Buffer.from(`${ptx}\0`),
    2,
    Uint32Array.of(errorLogBuffer, errorLogBytes),
    BigUint64Array.of(cuda.address(log), BigInt(mostLogBytes)),
  );
  if (code !== 0) {
    const text = Buffer.from(log.subarray(0, log.indexOf(0)))
      .toString('utf8')
      .trim();
    throw cuda.failure('cuModuleLoadDataEx', code, refusal(ptx, cuda.version, text));
  }
  const kernels = new Map<string, DriverKernel>();
  progress(entries, entries);
  const unload = owned.take(() => {
    settle();
    cuda.code('cuModuleUnload', handle[0]!);
  });
  return {
    kernel(entry) {
      const kernel = kernels.get(entry) ?? newKernel(host, handle[0]!, entry);
      kernels.set(entry, kernel);
      return kernel;
    },
    unload,
  };
}

/** What the driver has and what the text is of, and the log. */
function refusal(ptx: string, version: number, log: string): string {
  const [, ofText = '?'] = /^\.version (\S+)/m.exec(ptx) ?? [];
  const [, target = '?'] = /^\.target (\S+)/m.exec(ptx) ?? [];
  return `PTX ${ofText} for ${target}, on CUDA ${versionText(version)}${log === '' ? '' : `\n${log}`}`;
}

function newKernel({ cuda, gpu, launch }: ModuleHost, module: bigint, entry: string): DriverKernel {
  const handle = new BigUint64Array(1);
  cuda.call('cuModuleGetFunction', handle, module, Buffer.from(`${entry}\0`));
  const kernel = handle[0]!;
  let sharedBytes = usualSharedBytes;
  let clusterBlocks = usualClusterBlocks;
  /** Asks for what is more than usual, once. */
  const prepare = (wanted: DriverLaunch) => {
    if (wanted.sharedBytes > sharedBytes) {
      if (wanted.sharedBytes > gpu.sharedBytes)
        throw new UserError(
          'exceeds-device',
          `${entry} needs ${wanted.sharedBytes} bytes of shared memory, and a block of ${gpu.name} has ${gpu.sharedBytes}`,
          'please report this as a fault of ricci, with the GPU and the sizes',
        );
      cuda.call('cuFuncSetAttribute', kernel, maxDynamicSharedBytes, wanted.sharedBytes);
      sharedBytes = wanted.sharedBytes;
    }
    const blocks = wanted.cluster?.reduce((product, extent) => product * extent, 1) ?? 1;
    if (blocks > clusterBlocks) {
      cuda.call('cuFuncSetAttribute', kernel, nonPortableClusters, 1);
      clusterBlocks = blocks;
    }
  };
  return {
    launch(wanted, parameters) {
      prepare(wanted);
      launch(entry, kernel, wanted, parameters);
    },
  };
}
