// Layer norm and RMS norm, scalar: the definitions.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

// Weight, bias and modulation of one normalized value.
static float modulate(const sorad_norm_args *args, size_t m, size_t i, float y) {
    if (args->weight) y = args->bias ? fmaf(y, args->weight[i], args->bias[i]) : y * args->weight[i];
    if (args->scale) {
        size_t at = m * args->modulation_stride + i;
        float gain = 1.0f + args->scale[at];
        y = args->shift ? fmaf(y, gain, args->shift[at]) : y * gain;
    }
    return y;
}

void sorad_scalar_layer_norm_f32(const sorad_norm_args *args) {
    float count = (float)args->k;
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        const float *x = args->x + m * args->x_stride;
        float *out = args->out + m * args->out_stride;
        float sums[SORAD_LANES] = {0}, squares[SORAD_LANES] = {0};
        for (size_t i = 0; i < args->k; i++) sums[i % SORAD_LANES] += x[i];
        float mean = sorad_lanes_sum(sums) / count;
        for (size_t i = 0; i < args->k; i++) {
            float d = x[i] - mean;
            squares[i % SORAD_LANES] = fmaf(d, d, squares[i % SORAD_LANES]);
        }
        float inverse = 1.0f / sqrtf(sorad_lanes_sum(squares) / count + args->eps);
        for (size_t i = 0; i < args->k; i++) out[i] = modulate(args, m, i, (x[i] - mean) * inverse);
    }
}

void sorad_scalar_rms_norm_f32(const sorad_norm_args *args) {
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        const float *x = args->x + m * args->x_stride;
        float *out = args->out + m * args->out_stride;
        float squares[SORAD_LANES] = {0};
        for (size_t i = 0; i < args->k; i++) squares[i % SORAD_LANES] = fmaf(x[i], x[i], squares[i % SORAD_LANES]);
        float inverse = 1.0f / sqrtf(sorad_lanes_sum(squares) / (float)args->k + args->eps);
        for (size_t i = 0; i < args->k; i++) out[i] = modulate(args, m, i, x[i] * inverse);
    }
}
