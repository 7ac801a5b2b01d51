// Float GEMM: one register tile of F32_MR rows by 16 outputs. It takes a pointer for each row, so that a row may be a
// row of a matrix, a query of attention or a pixel of an image.
//
// Invariant: each sum starts at 0 and takes its products in order of k, fused; only rows and outputs run in parallel.
#ifndef SORAD_LANES_GEMM_F32_H
#define SORAD_LANES_GEMM_F32_H

#include "lanes.h"

// The register tile: sum[r] += x[r][0 ..< count] * w[0 ..< count][16], for `rows` rows.
SORAD_INLINE void f32_tile(const size_t rows, const float *const *x, const float *w, size_t count, lanes *sum) {
    lanes acc[F32_MR];
    const float *row[F32_MR];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) acc[r] = sum[r], row[r] = x[r];
    for (size_t k = 0; k < count; k++) {
        lanes weights = load16(w + k * SORAD_LANES);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) acc[r] = vfma(splat(row[r][k]), weights, acc[r]);
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) sum[r] = acc[r];
}

SORAD_INLINE void gemm_f32_rows(const sorad_gemm_f32_args *args, const size_t rows, size_t m, size_t n) {
    const float *x[F32_MR];
    lanes sum[F32_MR];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) x[r] = args->a + (m + r) * args->a_stride, sum[r] = splat(0.0f);
    f32_tile(rows, x, args->w + n * args->k, args->k, sum);
    size_t count = lane_count(n, args->col_end);
    lanes bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
    for (size_t r = 0; r < rows; r++)
        store(args->out + (m + r) * args->out_stride + n,
              epilogue_lanes(&args->epilogue, m + r, n, count, sum[r] + bias), count);
}

void KERNEL(gemm_f32)(const sorad_gemm_f32_args *args) {
    for (size_t n = args->col_begin; n < args->col_end; n += SORAD_LANES)
        for (size_t m = args->row_begin; m < args->row_end; m += F32_MR) {
#define SORAD_TILE(mr) gemm_f32_rows(args, mr, m, n)
            SORAD_DISPATCH_ROWS(args->row_end - m, F32_MR, SORAD_TILE);
#undef SORAD_TILE
        }
}

#endif
