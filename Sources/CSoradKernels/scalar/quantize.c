// Quantisation of activation rows to int8, scalar: the definition.
#include <float.h>

#include "../internal/kernel_list.h"
#include "scalar_math.h"

static float finite_value(float x) {
    if (x != x) return 0.0f;
    x = x > FLT_MAX ? FLT_MAX : x;
    return x < -FLT_MAX ? -FLT_MAX : x;
}

void sorad_scalar_quantize_rows(const sorad_quantize_rows_args *args) {
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        const float *x = args->x + m * args->x_stride;
        int8_t *q = args->q + m * args->q_stride;
        float low = 0.0f, high = 0.0f;
        for (size_t i = 0; i < args->k; i++) {
            float v = finite_value(x[i]);
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        float scale, inverse;
        int32_t zero;
        sorad_quantize_parameters(low, high, args->asymmetric, &scale, &inverse, &zero);
        for (size_t i = 0; i < args->k; i++)
            q[i] = (int8_t)sorad_clamp_int8((int32_t)sorad_round(finite_value(x[i]) * inverse) + zero);
        memset(q + args->k, 0, args->q_stride - args->k);
        args->scale[m] = scale;
        args->zero[m] = zero;
    }
}
