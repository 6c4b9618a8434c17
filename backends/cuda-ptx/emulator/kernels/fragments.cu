// Products of matrices by nvcuda::wmma, in types that are no halves: bytes, tf32 and double.
#include <mma.h>

using namespace nvcuda::wmma;

extern "C" __global__ void byte_product(const signed char *a, const signed char *b, int *c) {
  fragment<matrix_a, 32, 8, 16, signed char, row_major> x;
  fragment<matrix_b, 32, 8, 16, signed char, col_major> y;
  fragment<accumulator, 32, 8, 16, int> z;
  fill_fragment(z, 1);
  load_matrix_sync(x, a, 16);
  load_matrix_sync(y, b, 16);
  mma_sync(z, x, y, z);
  store_matrix_sync(c, z, 8, mem_row_major);
}

extern "C" __global__ void tf32_product(const float *a, const float *b, float *c) {
  fragment<matrix_a, 16, 16, 8, precision::tf32, row_major> x;
  fragment<matrix_b, 16, 16, 8, precision::tf32, row_major> y;
  fragment<accumulator, 16, 16, 8, float> z;
  fill_fragment(z, 1.0f);
  load_matrix_sync(x, a, 8);
  load_matrix_sync(y, b, 16);
  for (int i = 0; i < x.num_elements; i++) x.x[i] = __float_to_tf32(x.x[i]);
  for (int i = 0; i < y.num_elements; i++) y.x[i] = __float_to_tf32(y.x[i]);
  mma_sync(z, x, y, z);
  store_matrix_sync(c, z, 16, mem_row_major);
}

extern "C" __global__ void double_product(const double *a, const double *b, double *c) {
  fragment<matrix_a, 8, 8, 4, double, row_major> x;
  fragment<matrix_b, 8, 8, 4, double, col_major> y;
  fragment<accumulator, 8, 8, 4, double> z;
  fill_fragment(z, 1.0);
  load_matrix_sync(x, a, 4);
  load_matrix_sync(y, b, 4);
  mma_sync(z, x, y, z);
  store_matrix_sync(c, z, 8, mem_row_major);
}
