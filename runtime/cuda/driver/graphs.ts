/** Launches recorded once and given again at the cost of one: for kernels shorter than their launch. */
import type { Recording } from '../device.ts';
import type { Cuda } from './library.ts';
import type { Owned } from './owned.ts';
import type { CudaStream } from './streams.ts';

/** CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: other threads of the process may go on using CUDA. */
const threadLocal = 1;

/** @param record gives launches, copies and clears to the stream; none of them runs */
export function captureGraph(cuda: Cuda, stream: CudaStream, owned: Owned, record: () => void): Recording {
  const graph = new BigUint64Array(1);
  cuda.call('cuStreamBeginCapture_v2', stream.handle, threadLocal);
  try {
    record();
  } catch (error) {
    // The stream is of use again only after the end of the capture, whatever that says.
    if (cuda.code('cuStreamEndCapture', stream.handle, graph) === 0) cuda.code('cuGraphDestroy', graph[0]!);
    throw error;
  }
  cuda.call('cuStreamEndCapture', stream.handle, graph);
  try {
    const ready = new BigUint64Array(1);
    cuda.call('cuGraphInstantiateWithFlags', ready, graph[0]!, 0);
    return {
      launch: () => cuda.call('cuGraphLaunch', ready[0]!, stream.handle),
      destroy: owned.take(() => cuda.code('cuGraphExecDestroy', ready[0]!)),
    };
  } finally {
    cuda.code('cuGraphDestroy', graph[0]!);
  }
}
