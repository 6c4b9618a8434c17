// One warp for each tile of 16 by 16 of C = A B, in the tensor cores: f16 factors, f32 sums.
#include <cuda_fp16.h>
#include <mma.h>
using namespace nvcuda;

extern "C" __global__ void wmma_product(const __half *a, const __half *b, float *c, int n, int k) {
  wmma::fragment<wmma::matrix_a, 16, 16, 16, __half, wmma::row_major> left;
  wmma::fragment<wmma::matrix_b, 16, 16, 16, __half, wmma::row_major> right;
  wmma::fragment<wmma::accumulator, 16, 16, 16, float> sum;
  wmma::fill_fragment(sum, 0.0f);
  for (int at = 0; at < k; at += 16) {
    wmma::load_matrix_sync(left, a + blockIdx.y * 16 * k + at, k);
    wmma::load_matrix_sync(right, b + at * n + blockIdx.x * 16, n);
    wmma::mma_sync(sum, left, right, sum);
  }
  wmma::store_matrix_sync(c + blockIdx.y * 16 * n + blockIdx.x * 16, sum, n, wmma::mem_row_major);
}

// The same by ldmatrix and mma.sync: one warp, a tile of 16 by 8.
extern "C" __global__ void mma_product(const __half *a, const __half *b, float *c, int n, int k) {
  __shared__ __align__(16) __half left[16][16], right[16][8];
  int lane = threadIdx.x;
  float d[4] = {0, 0, 0, 0};
  for (int at = 0; at < k; at += 16) {
    for (int i = lane; i < 256; i += 32) left[i / 16][i % 16] = a[(blockIdx.y * 16 + i / 16) * k + at + i % 16];
    for (int i = lane; i < 128; i += 32) right[i / 8][i % 8] = b[(at + i / 8) * n + blockIdx.x * 8 + i % 8];
    __syncwarp();
    unsigned x[4], y[2];
    unsigned from = (unsigned)__cvta_generic_to_shared(&left[lane % 16][lane / 16 * 8]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(x[0]), "=r"(x[1]), "=r"(x[2]), "=r"(x[3]) : "r"(from) : "memory");
    from = (unsigned)__cvta_generic_to_shared(&right[lane % 16][0]);
    asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
                 : "=r"(y[0]), "=r"(y[1]) : "r"(from) : "memory");
    asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(x[0]), "r"(x[1]), "r"(x[2]), "r"(x[3]), "r"(y[0]), "r"(y[1]));
    __syncwarp();
  }
  for (int i = 0; i < 4; i++)
    c[(blockIdx.y * 16 + lane / 4 + i / 2 * 8) * n + blockIdx.x * 8 + lane % 4 * 2 + i % 2] = d[i];
}
