// Quantisation of activation rows to int8, scalar: the definition.
#include <float.h>

#include "../internal/kernel_list.h"
#include "scalar_math.h"

// Rows whose range is below this are zero rows; it keeps 1 / s finite.
#define SORAD_QUANTIZE_MIN_RANGE 0x1p-100f

static float finite_value(float x) {
    if (x != x) return 0.0f;
    x = x > FLT_MAX ? FLT_MAX : x;
    return x < -FLT_MAX ? -FLT_MAX : x;
}

static int8_t clamp_int8(int32_t q) { return (int8_t)(q > 127 ? 127 : q < -127 ? -127 : q); }

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
        float scale, inverse, zero = 0.0f;
        if (args->asymmetric) {
            scale = high / 254.0f - low / 254.0f;
        } else {
            float magnitude = high > -low ? high : -low;
            scale = magnitude / 127.0f;
        }
        if (scale < SORAD_QUANTIZE_MIN_RANGE) {
            scale = inverse = 0.0f;
        } else {
            inverse = 1.0f / scale;
            if (args->asymmetric) zero = sorad_round(fmaf(-low, inverse, -127.0f));
        }
        int32_t z = clamp_int8((int32_t)zero);
        for (size_t i = 0; i < args->k; i++)
            q[i] = clamp_int8((int32_t)sorad_round(finite_value(x[i]) * inverse) + z);
        memset(q + args->k, 0, args->q_stride - args->k);
        args->scale[m] = scale;
        args->zero[m] = z;
    }
}
