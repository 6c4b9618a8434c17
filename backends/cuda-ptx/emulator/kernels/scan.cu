// Sums up to and with each, of a block's numbers (Hillis and Steele), in memory that the launch gives.
extern "C" __global__ void scan(const int *x, int *y, int n) {
  extern __shared__ int cells[];
  int i = threadIdx.x;
  cells[i] = i < n ? x[i] : 0;
  __syncthreads();
  for (int step = 1; step < blockDim.x; step *= 2) {
    int before = i >= step ? cells[i - step] : 0;
    __syncthreads();
    cells[i] += before;
    __syncthreads();
  }
  if (i < n) y[i] = cells[i];
}
