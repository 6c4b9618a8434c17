// Blocks of numbers come by cp.async, two ahead of the sum that reads them.
#include <cuda_pipeline.h>

extern "C" __global__ void pipeline_sum(const float4 *x, float *sums, int blocks) {
  __shared__ float4 stages[3][64];
  int i = threadIdx.x;
  for (int at = 0; at < 2; at++) {
    if (at < blocks) __pipeline_memcpy_async(&stages[at][i], &x[at * 64 + i], 16);
    __pipeline_commit();
  }
  float sum = 0;
  for (int at = 0; at < blocks; at++) {
    if (at + 2 < blocks) __pipeline_memcpy_async(&stages[(at + 2) % 3][i], &x[(at + 2) * 64 + i], 16);
    __pipeline_commit();
    __pipeline_wait_prior(2);
    __syncthreads();
    float4 other = stages[at % 3][63 - i];
    sum += other.x + other.y * other.z - other.w;
    __syncthreads();
  }
  sums[i] = sum;
}
