// Double precision: sums over shuffles and an atomic, a sine of any argument, and roundings of all kinds.
extern "C" __global__ void double_sum(const double *x, double *total, int n) {
  __shared__ double partial[32];
  double sum = 0;
  for (int i = blockIdx.x * blockDim.x + threadIdx.x; i < n; i += gridDim.x * blockDim.x) sum += x[i];
  for (int step = 16; step > 0; step >>= 1) sum += __shfl_down_sync(0xffffffff, sum, step);
  if ((threadIdx.x & 31) == 0) partial[threadIdx.x >> 5] = sum;
  __syncthreads();
  if (threadIdx.x < 32) {
    sum = threadIdx.x < (blockDim.x >> 5) ? partial[threadIdx.x] : 0;
    for (int step = 16; step > 0; step >>= 1) sum += __shfl_xor_sync(0xffffffff, sum, step);
    if (threadIdx.x == 0) atomicAdd(total, sum);
  }
}

extern "C" __global__ void sines(const double *x, double *y, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = sin(x[i]);
}

extern "C" __global__ void rounded(const double *x, const long long *k, long long *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  double a = x[i], b = x[(i + 1) % n];
  long long *o = out + 12 * i;
  o[0] = __double_as_longlong(__dadd_ru(a, b));
  o[1] = __double_as_longlong(__fma_rd(a, b, -a));
  o[2] = __double_as_longlong(__ddiv_rz(a, b));
  o[3] = __double_as_longlong(__ll2double_ru(k[i]));
  o[4] = __float_as_int(__ll2float_rz(k[i]));
  o[5] = __float_as_int(__ull2float_ru(k[i]));
  o[6] = __float_as_int(__double2float_rd(a));
  o[7] = __double2ll_rn(a);
  o[8] = __double2ull_rz(a);
  o[9] = __double2int_ru(a);
  o[10] = __double2uint_rd(a);
  o[11] = __float2ll_rn((float)a);
}
