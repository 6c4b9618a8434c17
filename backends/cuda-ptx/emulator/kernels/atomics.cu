// Atomic instructions of 64 bits and of halves, a lock that lanes of a warp fight for, and the last block.
#include <cuda_fp16.h>

extern "C" __global__ void atomics(const long long *x, unsigned long long *u, long long *s, half *h, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long v = x[i];
  atomicAdd(&u[0], v);
  atomicMax(&u[1], v);
  atomicMin(&u[2], v);
  atomicXor(&u[3], v);
  unsigned long long old = u[4], seen;
  do {
    seen = old;
    old = atomicCAS(&u[4], seen, 3 * seen);
  } while (old != seen);
  atomicMax(&s[0], x[i]);
  atomicMin(&s[1], x[i]);
  atomicAdd(h, __float2half(0.25f));
}

__device__ int mutex;

extern "C" __global__ void locked(int *sum) {
  bool done = false;
  while (!done)
    if (atomicCAS(&mutex, 0, 1) == 0) {
      __threadfence();
      *(volatile int *)sum = *(volatile int *)sum + threadIdx.x;
      __threadfence();
      atomicExch(&mutex, 0);
      done = true;
    }
}

__device__ unsigned ticket;

extern "C" __global__ void last_block(const float *x, volatile float *partial, float *total) {
  __shared__ bool last;
  if (threadIdx.x == 0) {
    float sum = 0;
    for (int i = 0; i < blockDim.x; i++) sum += x[blockIdx.x * blockDim.x + i];
    partial[blockIdx.x] = sum;
    __threadfence();
    last = atomicInc(&ticket, gridDim.x - 1) == gridDim.x - 1;
  }
  __syncthreads();
  if (last && threadIdx.x == 0) {
    float sum = 0;
    for (int block = 0; block < gridDim.x; block++) sum += partial[block];
    *total = sum;
  }
}
