// Bitonic, of as many keys as the block has threads, a power of two.
extern "C" __global__ void bitonic_sort(unsigned long long *keys) {
  extern __shared__ unsigned long long cells[];
  int i = threadIdx.x;
  cells[i] = keys[i];
  __syncthreads();
  for (int size = 2; size <= blockDim.x; size *= 2)
    for (int step = size / 2; step > 0; step /= 2) {
      int other = i ^ step;
      if (other > i) {
        unsigned long long low = cells[i], high = cells[other];
        if ((low > high) == ((i & size) == 0)) {
          cells[i] = high;
          cells[other] = low;
        }
      }
      __syncthreads();
    }
  keys[i] = cells[i];
}
