// Through a tile of shared memory with a column to spare, so that banks do not collide.
extern "C" __global__ void transpose(const float *in, float *out, int rows, int columns) {
  __shared__ float tile[32][33];
  int column = blockIdx.x * 32 + threadIdx.x;
  for (int j = threadIdx.y; j < 32; j += blockDim.y) {
    int row = blockIdx.y * 32 + j;
    if (row < rows && column < columns) tile[j][threadIdx.x] = in[row * columns + column];
  }
  __syncthreads();
  int to = blockIdx.y * 32 + threadIdx.x;
  for (int j = threadIdx.y; j < 32; j += blockDim.y) {
    int from = blockIdx.x * 32 + j;
    if (from < columns && to < rows) out[from * rows + to] = tile[threadIdx.x][j];
  }
}
