// libcu++: a barrier that threads arrive at before they wait, and a pipeline of copies in two stages.
#include <cooperative_groups.h>
#include <cuda/barrier>
#include <cuda/pipeline>

namespace cg = cooperative_groups;

extern "C" __global__ void arrivals(const int *x, int *out) {
  __shared__ cuda::barrier<cuda::thread_scope_block> barrier;
  __shared__ int tile[64];
  if (threadIdx.x == 0) init(&barrier, blockDim.x);
  __syncthreads();
  tile[threadIdx.x] = x[threadIdx.x];
  auto token = barrier.arrive();
  int twice = 2 * x[threadIdx.x];
  barrier.wait(std::move(token));
  out[threadIdx.x] = tile[63 - threadIdx.x] + twice;
}

extern "C" __global__ void stages(const int *x, int *out) {
  __shared__ cuda::pipeline_shared_state<cuda::thread_scope_block, 2> state;
  __shared__ int tiles[2][64];
  auto block = cg::this_thread_block();
  auto pipeline = cuda::make_pipeline(block, &state);
  auto fill = [&](int k) {
    pipeline.producer_acquire();
    cuda::memcpy_async(block, tiles[k & 1], x + 64 * k, 64 * sizeof(int), pipeline);
    pipeline.producer_commit();
  };
  int sum = 0;
  fill(0);
  for (int k = 0; k < 4; k++) {
    if (k < 3) fill(k + 1);
    pipeline.consumer_wait();
    sum += tiles[k & 1][63 - threadIdx.x] * (k + 1);
    pipeline.consumer_release();
  }
  out[threadIdx.x] = sum;
}
