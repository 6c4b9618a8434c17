// Integers: what instructions of bits and of bytes give, and numbers of 128 bits.
extern "C" __global__ void bits(const unsigned *x, const unsigned *y, unsigned *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned a = x[i], b = y[i];
  unsigned *o = out + 14 * i;
  o[0] = __byte_perm(a, b, b & 0x7777);
  o[1] = __funnelshift_l(a, b, b);
  o[2] = __funnelshift_rc(a, b, b & 63);
  o[3] = __dp4a((int)a, (int)b, 7);
  o[4] = __dp2a_lo((int)a, (int)b, 3);
  o[5] = __dp2a_hi(a, b, 3u);
  o[6] = __vabsdiffu4(a, b);
  o[7] = __vsadu4(a, b);
  o[8] = __fns(a, b & 31, (int)(b >> 5 & 7) - 3);
  o[9] = __umulhi(a, b) + __brev(a);
  asm("bmsk.clamp.b32 %0, %1, %2;" : "=r"(o[10]) : "r"(b & 63), "r"(b >> 6 & 63));
  asm("szext.wrap.s32 %0, %1, %2;" : "=r"(o[11]) : "r"(a), "r"(b));
  asm("prmt.b32.b4e %0, %1, %2, %3;" : "=r"(o[12]) : "r"(a), "r"(b), "r"(b));
  o[13] = __popc(a) * __clz(b) + __ffs(a);
}

extern "C" __global__ void wide(const long long *x, const long long *y, unsigned long long *out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  unsigned long long a = x[i], b = y[i];
  unsigned long long *o = out + 6 * i;
  __int128 product = (__int128)x[i] * y[i] - x[i];
  unsigned __int128 quotient = ((unsigned __int128)a << 64 | b) / (b | 1);
  o[0] = product;
  o[1] = product >> 64;
  o[2] = quotient;
  o[3] = quotient >> 64;
  o[4] = __mul64hi(x[i], y[i]);
  o[5] = y[i] == 0 ? 0 : x[i] / y[i] ^ a % b;
}
