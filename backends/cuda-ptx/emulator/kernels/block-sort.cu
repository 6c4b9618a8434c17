// CUB: keys of a block in order, four of a thread, and what is before each.
#include <cub/block/block_radix_sort.cuh>
#include <cub/block/block_scan.cuh>

extern "C" __global__ void block_sort(const unsigned *x, unsigned *sorted, unsigned *before) {
  typedef cub::BlockRadixSort<unsigned, 64, 4> Sort;
  typedef cub::BlockScan<unsigned, 64> Scan;
  __shared__ union {
    Sort::TempStorage sort;
    Scan::TempStorage scan;
  } shared;
  unsigned keys[4];
  for (int k = 0; k < 4; k++) keys[k] = x[4 * threadIdx.x + k];
  Sort(shared.sort).Sort(keys, 0, 16);
  for (int k = 0; k < 4; k++) sorted[4 * threadIdx.x + k] = keys[k];
  __syncthreads();
  Scan(shared.scan).ExclusiveSum(keys, keys);
  for (int k = 0; k < 4; k++) before[4 * threadIdx.x + k] = keys[k];
}
