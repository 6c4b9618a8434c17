// C = A B^T of bf16 by what Hopper has: a warpgroup that copies tiles of 64 by 64 through a ring of two stages
// (TMA, mbarrier), one that multiplies (wgmma), and results that leave through shared memory (TMA).
#include <cuda.h>
#include <cuda_bf16.h>

__device__ __forceinline__ unsigned shared_address(const void *p) {
  return (unsigned)__cvta_generic_to_shared(p);
}

__device__ __forceinline__ void wait_for(unsigned barrier, unsigned parity) {
  asm volatile("{\n.reg .pred done;\nAGAIN:\nmbarrier.try_wait.parity.shared::cta.b64 done, [%0], %1;\n"
               "@done bra DONE;\nbra AGAIN;\nDONE:\n}" ::"r"(barrier), "r"(parity) : "memory");
}

__device__ __forceinline__ void load_tile(unsigned to, const CUtensorMap *map, int x, int y, unsigned barrier) {
  asm volatile("cp.async.bulk.tensor.2d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%2, %3}], [%4];"
               ::"r"(to), "l"(map), "r"(x), "r"(y), "r"(barrier) : "memory");
}

__device__ __forceinline__ unsigned long long described(unsigned address) {
  return 0x4000004000010000ull | ((address & 0x3ffff) >> 4);
}

extern "C" __global__ void __launch_bounds__(256, 1)
    hopper_product(const __grid_constant__ CUtensorMap a, const __grid_constant__ CUtensorMap b,
                   const __grid_constant__ CUtensorMap c, int steps) {
  extern __shared__ __align__(1024) unsigned char memory[];
  __shared__ __align__(8) unsigned long long full[2], empty[2];
  unsigned left = shared_address(memory), right = left + 2 * 8192, out = left + 4 * 8192;
  if (threadIdx.x == 0) {
    for (int stage = 0; stage < 2; stage++) {
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(shared_address(&full[stage])));
      asm volatile("mbarrier.init.shared::cta.b64 [%0], 4;" ::"r"(shared_address(&empty[stage])));
    }
    asm volatile("fence.mbarrier_init.release.cluster;");
  }
  __syncthreads();
  if (threadIdx.x >= 128) {
    asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
    if (threadIdx.x == 128)
      for (int step = 0; step < steps; step++) {
        int stage = step % 2;
        unsigned barrier = shared_address(&full[stage]);
        wait_for(shared_address(&empty[stage]), (step / 2 & 1) ^ 1);
        asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], 16384;" ::"r"(barrier) : "memory");
        load_tile(left + stage * 8192, &a, step * 64, blockIdx.y * 64, barrier);
        load_tile(right + stage * 8192, &b, step * 64, blockIdx.x * 64, barrier);
      }
    return;
  }
  asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
  float d[32];
  for (int step = 0; step < steps; step++) {
    int stage = step % 2;
    wait_for(shared_address(&full[stage]), step / 2 & 1);
    asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
    for (int k = 0; k < 4; k++) {
      unsigned long long x = described(left + stage * 8192) + 2 * k, y = described(right + stage * 8192) + 2 * k;
      int adds = step > 0 || k > 0;
      asm volatile("{\n.reg .pred adds;\nsetp.ne.b32 adds, %34, 0;\n"
                   "wgmma.mma_async.sync.aligned.m64n64k16.f32.bf16.bf16 {%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, "
                   "%12, %13, %14, %15, %16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31}, "
                   "%32, %33, adds, 1, 1, 0, 0;\n}"
                   : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]), "+f"(d[4]), "+f"(d[5]), "+f"(d[6]), "+f"(d[7]),
                     "+f"(d[8]), "+f"(d[9]), "+f"(d[10]), "+f"(d[11]), "+f"(d[12]), "+f"(d[13]), "+f"(d[14]), "+f"(d[15]),
                     "+f"(d[16]), "+f"(d[17]), "+f"(d[18]), "+f"(d[19]), "+f"(d[20]), "+f"(d[21]), "+f"(d[22]), "+f"(d[23]),
                     "+f"(d[24]), "+f"(d[25]), "+f"(d[26]), "+f"(d[27]), "+f"(d[28]), "+f"(d[29]), "+f"(d[30]), "+f"(d[31])
                   : "l"(x), "l"(y), "r"(adds));
    }
    asm volatile("wgmma.commit_group.sync.aligned;");
    asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
    if (threadIdx.x % 32 == 0)
      asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" ::"r"(shared_address(&empty[stage])) : "memory");
  }
  int warp = threadIdx.x / 32, lane = threadIdx.x % 32;
  for (int j = 0; j < 32; j += 2) {
    int row = 16 * warp + lane / 4 + (j / 2 & 1) * 8, column = j / 4 * 8 + lane % 4 * 2;
    unsigned place = out + row * 128 + column * 2;
    place ^= (place >> 7 & 7) << 4;
    __nv_bfloat162 pair = __floats2bfloat162_rn(d[j], d[j + 1]);
    asm volatile("st.shared.b32 [%0], %1;" ::"r"(place), "r"(*(unsigned *)&pair) : "memory");
  }
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
  asm volatile("bar.sync 1, 128;" ::: "memory");
  if (threadIdx.x == 0) {
    asm volatile("cp.async.bulk.tensor.2d.global.shared::cta.tile.bulk_group [%0, {%1, %2}], [%3];"
                 ::"l"(&c), "r"(blockIdx.x * 64), "r"(blockIdx.y * 64), "r"(out) : "memory");
    asm volatile("cp.async.bulk.commit_group;");
    asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
  }
}

// Sums over a cluster of two blocks: each adds what the other has in its shared memory.
extern "C" __global__ void __cluster_dims__(2, 1, 1) cluster_sum(const int *x, int *y) {
  __shared__ int own[64];
  unsigned rank, remote;
  asm volatile("mov.u32 %0, %%cluster_ctarank;" : "=r"(rank));
  own[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x];
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
  asm volatile("mapa.shared::cluster.u32 %0, %1, %2;" : "=r"(remote) : "r"(shared_address(&own[63 - threadIdx.x])), "r"(rank ^ 1));
  int other;
  asm volatile("ld.shared::cluster.u32 %0, [%1];" : "=r"(other) : "r"(remote) : "memory");
  y[blockIdx.x * 64 + threadIdx.x] = own[threadIdx.x] + other;
  asm volatile("barrier.cluster.arrive.release.aligned;\nbarrier.cluster.wait.acquire.aligned;" ::: "memory");
}
