// GEMM on packed weights, scalar: the definitions.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

size_t sorad_scalar_gemm_qd8_scratch_bytes(const sorad_gemm_qd8_args *args) {
    (void)args;
    return 0;
}

// The sums of row m with one weight panel: sum[i] = sum over k of a[m, k] * w[16 * panel + i, k].
static void int8_sums(const sorad_gemm_qd8_args *args, size_t m, size_t panel, int32_t sum[SORAD_LANES]) {
    size_t groups = (args->k + 3) / 4;
    const int8_t *a = (const int8_t *)args->a + m * groups * 4;
    const int8_t *w = args->w + panel * groups * 64;
    for (size_t i = 0; i < SORAD_LANES; i++) sum[i] = 0;
    for (size_t g = 0; g < groups; g++, a += 4, w += 64)
        for (size_t i = 0; i < SORAD_LANES; i++)
            sum[i] += a[0] * w[4 * i] + a[1] * w[4 * i + 1] + a[2] * w[4 * i + 2] + a[3] * w[4 * i + 3];
}

void sorad_scalar_gemm_qd8_i32_qc8w(const sorad_gemm_qd8_args *args, int32_t *out, size_t out_stride) {
    int32_t sum[SORAD_LANES];
    for (size_t m = args->row_begin; m < args->row_end; m++)
        for (size_t n = args->col_begin; n < args->col_end; n += SORAD_LANES) {
            int8_sums(args, m, n / SORAD_LANES, sum);
            for (size_t i = 0; i < SORAD_LANES && n + i < args->col_end; i++) out[m * out_stride + n + i] = sum[i];
        }
}

void sorad_scalar_gemm_qd8_f32_qc8w(const sorad_gemm_qd8_args *args) {
    int32_t sum[SORAD_LANES];
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        int32_t zero = args->a_zero ? args->a_zero[m] : 0;
        for (size_t n0 = args->col_begin; n0 < args->col_end; n0 += SORAD_LANES) {
            int8_sums(args, m, n0 / SORAD_LANES, sum);
            for (size_t i = 0; i < SORAD_LANES && n0 + i < args->col_end; i++) {
                size_t n = n0 + i;
                float exact = (float)(sum[i] - zero * args->w_sum[n]);
                float bias = args->bias ? args->bias[n] : 0.0f;
                float x = fmaf(exact, args->a_scale[m] * args->w_scale[n], bias);
                args->out[m * args->out_stride + n] = sorad_epilogue_f32(&args->epilogue, m, n, x);
            }
        }
    }
}

void sorad_scalar_gemm_f32(const sorad_gemm_f32_args *args) {
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        const float *a = args->a + m * args->a_stride;
        for (size_t n0 = args->col_begin; n0 < args->col_end; n0 += SORAD_LANES) {
            const float *w = args->w + n0 * args->k;
            float sum[SORAD_LANES] = {0};
            for (size_t k = 0; k < args->k; k++)
                for (size_t i = 0; i < SORAD_LANES; i++) sum[i] = fmaf(a[k], w[k * SORAD_LANES + i], sum[i]);
            for (size_t i = 0; i < SORAD_LANES && n0 + i < args->col_end; i++) {
                size_t n = n0 + i;
                float x = sum[i] + (args->bias ? args->bias[n] : 0.0f);
                args->out[m * args->out_stride + n] = sorad_epilogue_f32(&args->epilogue, m, n, x);
            }
        }
    }
}
