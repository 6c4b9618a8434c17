// Functions that are called, tables in constant memory, arrays in local memory, division and switches.
__constant__ int primes[8] = {2, 3, 5, 7, 11, 13, 17, 19};
__device__ int seen[4];

struct Pair {
  int low;
  long long high;
};

__device__ __noinline__ Pair collatz(unsigned start) {
  Pair result = {0, 0};
  unsigned long long n = start;
  while (n > 1) {
    n = n % 2 == 0 ? n / 2 : 3 * n + 1;
    result.low++;
    result.high = n > (unsigned long long)result.high ? n : result.high;
  }
  return result;
}

__device__ __noinline__ double root(double x, int steps) {
  double y = x;
  for (int i = 0; i < steps; i++) y = (y + x / y) / 2;
  return y;
}

extern "C" __global__ void calls(const int *x, long long *y, double *roots, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  Pair pair = collatz(x[i]);
  int digits[10];
  for (int d = 0; d < 10; d++) digits[d] = 0;
  for (int left = x[i]; left > 0; left /= 10) digits[left % 10]++;
  int most = 0;
  for (int d = 1; d < 10; d++)
    if (digits[d] > digits[most]) most = d;
  y[i] = pair.high * primes[pair.low & 7] + most;
  roots[i] = root(x[i], 12);
  atomicMax(&seen[i & 3], pair.low);
}
