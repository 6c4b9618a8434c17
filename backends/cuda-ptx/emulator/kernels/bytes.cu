// Small numbers: vectors of bytes and shorts, comparisons of halves two at a time, and structures with bytes
// that nobody writes between their fields and behind them.
#include <cuda_fp16.h>

extern "C" __global__ void bytes(const char4 *a, const uchar4 *b, const short2 *c, uchar2 *out, int *sums, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  char4 x = a[i];
  uchar4 y = __ldg(b + i);
  short2 z = c[i];
  out[i] = make_uchar2(x.x + y.y, x.z - y.w);
  sums[i] = x.x * y.x - x.y * y.y + x.z * z.x - x.w * z.y + y.z;
}

extern "C" __global__ void compared(const half2 *x, const half2 *y, half2 *less, half2 *most, unsigned *same, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  less[i] = __hlt2(x[i], y[i]);
  most[i] = __hmax2(x[i], __hfma2(x[i], y[i], y[i]));
  same[i] = __heq2_mask(x[i], y[i]) + (__hbgeu2(x[i], y[i]) ? 1 : 0);
}

struct Found {
  double value;
  int place;
};

extern "C" __global__ void greatest(const double *x, double *value, int *place) {
  __shared__ Found best[64];
  int i = threadIdx.x;
  best[i].value = x[i];
  best[i].place = i;
  __syncthreads();
  for (int step = 32; step > 0; step >>= 1) {
    if (i < step && best[i + step].value > best[i].value) best[i] = best[i + step];
    __syncthreads();
  }
  if (i == 0) {
    *value = best[0].value;
    *place = best[0].place;
  }
}

struct Mixed {
  char letter;
  float number;
  short last;
};

extern "C" __global__ void swapped(float *out, int n) {
  Mixed all[8];
  for (int i = 0; i < 8; i++) {
    all[i].letter = i;
    all[i].number = 2 * i;
    all[i].last = 3 * i;
  }
  for (int i = 0; i < n; i++) {
    Mixed kept = all[i & 7];
    all[i & 7] = all[3 * i + 1 & 7];
    all[3 * i + 1 & 7] = kept;
  }
  Mixed own = all[threadIdx.x & 7];
  out[threadIdx.x] = own.letter + own.number + own.last;
}
