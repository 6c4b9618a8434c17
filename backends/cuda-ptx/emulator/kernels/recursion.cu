// Functions that call themselves, functions by their address, virtual functions, printf and assert.
#include <cassert>
#include <cstdio>

__device__ __noinline__ int fibonacci(int n) { return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2); }

typedef float (*Binary)(float, float);
__device__ float sum(float a, float b) { return a + b; }
__device__ float product(float a, float b) { return a * b; }
__device__ float difference(float a, float b) { return a - b; }
__device__ Binary table[3] = {sum, product, difference};

struct Shape {
  __device__ virtual float area() const = 0;
};
struct Square : Shape {
  float side;
  __device__ Square(float a) : side(a) {}
  __device__ float area() const override { return side * side; }
};
struct Disc : Shape {
  float radius;
  __device__ Disc(float a) : radius(a) {}
  __device__ float area() const override { return 3 * radius * radius; }
};

extern "C" __global__ void recursion(int *out) { out[threadIdx.x] = fibonacci(threadIdx.x % 12); }

extern "C" __global__ void pointers(const int *which, const float *x, float *out) {
  int i = threadIdx.x;
  Square square(x[i]);
  Disc disc(x[i]);
  const Shape *shape = (i & 1) ? (const Shape *)&square : &disc;
  out[i] = table[which[i]](shape->area(), 3);
}

extern "C" __global__ void speaks(const int *x) {
  if (threadIdx.x < 2)
    printf("%s %d of %u: %-4d|%6.2f|%#x %lld%%\n", "thread", threadIdx.x, blockDim.x, x[threadIdx.x],
           x[threadIdx.x] / 3.0, x[threadIdx.x], 1LL << 40);
  assert(x[threadIdx.x] < 100);
}
