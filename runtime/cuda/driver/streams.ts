/** Streams and events: what waits for what, and how long it took. */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises';
import type { Cuda } from './library.ts';
import type { Owned } from './owned.ts';

/** Work that runs in order; that of different streams overlaps. */
export interface CudaStream {
  /** CUstream. */
  readonly handle: bigint;
  /** Fulfilled when all that was given has run. */
  readonly settled: () => Promise<void>;
  /** What comes later on this stream runs after what the event marks. */
  readonly waitFor: (event: CudaEvent) => void;
  readonly destroy: () => void;
}

/** A mark in a stream. */
export interface CudaEvent {
  readonly record: (stream: CudaStream) => void;
  /** Fulfilled when what came before the mark has run. */
  readonly reached: () => Promise<void>;
  /** Waits, and lets nothing else run. */
  readonly wait: () => void;
  /** Seconds from another mark to this one, both of them reached. */
  readonly secondsSince: (earlier: CudaEvent) => number;
  readonly handle: bigint;
  readonly destroy: () => void;
}

/** CU_STREAM_NON_BLOCKING: apart from the stream that other libraries of the process may use. */
const nonBlocking = 1;
/** CU_EVENT_DEFAULT, which keeps the time. */
const withTime = 0;
/** CUDA_ERROR_NOT_READY */
const notReady = 600;
/** In milliseconds: so long it is asked again at once, then once a millisecond. */
const eager = 2;

export function newStream(cuda: Cuda, owned: Owned): CudaStream {
  const handle = written(cuda, 'cuStreamCreate', nonBlocking);
  return {
    handle,
    settled: () => answered(cuda, 'cuStreamQuery', handle),
    waitFor: (event) => cuda.call('cuStreamWaitEvent', handle, event.handle, 0),
    destroy: owned.take(() => cuda.code('cuStreamDestroy_v2', handle)),
  };
}

export function newEvent(cuda: Cuda, owned: Owned): CudaEvent {
  const handle = written(cuda, 'cuEventCreate', withTime);
  return {
    handle,
    record: (stream) => cuda.call('cuEventRecord', handle, stream.handle),
    reached: () => answered(cuda, 'cuEventQuery', handle),
    wait: () => cuda.call('cuEventSynchronize', handle),
    secondsSince: (earlier) => {
      const milliseconds = new Float32Array(1);
      cuda.call('cuEventElapsedTime', milliseconds, earlier.handle, handle);
      return milliseconds[0]! / 1000;
    },
    destroy: owned.take(() => cuda.code('cuEventDestroy_v2', handle)),
  };
}

function written(cuda: Cuda, call: 'cuStreamCreate' | 'cuEventCreate', flags: number): bigint {
  const handle = new BigUint64Array(1);
  cuda.call(call, handle, flags);
  return handle[0]!;
}

/** Asks until there is an answer, and lets others run between. */
async function answered(cuda: Cuda, call: 'cuStreamQuery' | 'cuEventQuery', handle: bigint): Promise<void> {
  const start = performance.now();
  for (let code = cuda.code(call, handle); code !== 0; code = cuda.code(call, handle)) {
    if (code !== notReady) throw cuda.failure(call, code);
    await (performance.now() - start < eager ? nextTurn() : sleep(1));
  }
}
