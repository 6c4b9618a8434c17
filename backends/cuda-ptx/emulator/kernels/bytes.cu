// Small numbers: vectors of bytes and shorts, comparisons of halves two at a time.
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
