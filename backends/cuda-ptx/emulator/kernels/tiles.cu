// Cooperative groups: tiles of a warp, lanes that are together, lanes of one label, the whole grid; and counts
// at barriers.
#include <cooperative_groups.h>
#include <cooperative_groups/reduce.h>
#include <cooperative_groups/scan.h>

namespace cg = cooperative_groups;

extern "C" __global__ void tiles(const int *x, int *out) {
  auto block = cg::this_thread_block();
  auto tile = cg::tiled_partition<8>(block);
  int v = x[block.thread_rank()];
  int *o = out + 6 * block.thread_rank();
  o[0] = cg::reduce(tile, v, cg::plus<int>());
  o[1] = cg::inclusive_scan(tile, v);
  o[2] = tile.shfl(v, 5) + tile.meta_group_rank();
  o[3] = -1;
  if (v & 1) {
    auto together = cg::coalesced_threads();
    o[3] = 100 * together.size() + together.thread_rank();
  }
  auto label = cg::labeled_partition(cg::tiled_partition<32>(block), v % 3);
  o[4] = 100 * label.size() + label.thread_rank();
  o[5] = __match_any_sync(0xffffffff, (long long)(v % 5) << 40);
}

extern "C" __global__ void counts(const int *x, int *out, int wanted) {
  int i = threadIdx.x;
  int count = __syncthreads_count(x[i] > 10);
  int all = __syncthreads_and(x[i] > 0);
  int any = __syncthreads_or(i == wanted);
  out[i] = 100 * count + 10 * (all != 0) + (any != 0);
}

extern "C" __global__ void meetings(int *data, int *out) {
  auto grid = cg::this_grid();
  int i = grid.thread_rank();
  data[i] = 3 * i;
  grid.sync();
  out[i] = data[grid.size() - 1 - i];
  grid.sync();
  data[i] = out[(i + 1) % grid.size()];
}
