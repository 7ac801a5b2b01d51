// Quantization of activation rows to int8 (qd8), scalar: the definition.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

// Packed rows of this table are [M, K up to a multiple of 4] bytes, zeros after K.
size_t sorad_scalar_gemm_qd8_mr(void) { return 1; }

size_t sorad_scalar_qd8_packed_bytes(size_t rows, size_t k) { return rows * ((k + 3) / 4 * 4); }

void sorad_scalar_quantize_f32_qd8(const sorad_quantize_rows_args *args) {
    size_t padded = (args->k + 3) / 4 * 4;
    const float *x = args->x;
    for (size_t m = args->row_begin; m < args->row_end; m++, x += args->x_stride) {
        int8_t *q = (int8_t *)args->q + m * padded;
        float low = 0.0f, high = 0.0f;
        for (size_t i = 0; i < args->k; i++) {
            float v = sorad_finite(x[i]);
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        float inverse;
        sorad_quantize_parameters(low, high, args->asymmetric, args->scale + m, &inverse, args->zero + m);
        for (size_t i = 0; i < args->k; i++)
            q[i] = (int8_t)sorad_clamp_int8((int32_t)sorad_round(sorad_finite(x[i]) * inverse) + args->zero[m]);
        memset(q + args->k, 0, padded - args->k);
    }
}
