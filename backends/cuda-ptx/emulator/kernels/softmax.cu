// A block for each row: its largest, the sum of exponentials, the quotients.
__device__ float over_block(float value, bool largest, float *partial) {
  for (int step = 16; step > 0; step >>= 1) {
    float other = __shfl_xor_sync(0xffffffff, value, step);
    value = largest ? fmaxf(value, other) : value + other;
  }
  if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = value;
  __syncthreads();
  value = partial[0];
  for (int w = 1; w < blockDim.x >> 5; w++) value = largest ? fmaxf(value, partial[w]) : value + partial[w];
  __syncthreads();
  return value;
}

extern "C" __global__ void softmax(const float *x, float *y, int n) {
  __shared__ float partial[32];
  const float *row = x + blockIdx.x * n;
  float most = -INFINITY;
  for (int i = threadIdx.x; i < n; i += blockDim.x) most = fmaxf(most, row[i]);
  most = over_block(most, true, partial);
  float sum = 0;
  for (int i = threadIdx.x; i < n; i += blockDim.x) sum += expf(row[i] - most);
  sum = over_block(sum, false, partial);
  for (int i = threadIdx.x; i < n; i += blockDim.x) y[blockIdx.x * n + i] = expf(row[i] - most) / sum;
}
