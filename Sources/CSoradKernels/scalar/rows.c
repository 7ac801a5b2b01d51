// Norms, rotary position embedding and Hadamard rotation, scalar: the definitions.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

// Affine and modulation of one normalised value.
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

void sorad_scalar_rope_f32(const sorad_rope_args *args) {
    size_t pairs = args->head_dim / 2;
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        const float *cosines = args->cos + m * pairs, *sines = args->sin + m * pairs;
        for (size_t h = 0; h < args->heads; h++) {
            float *x = args->x + m * args->x_stride + h * args->head_dim;
            for (size_t i = 0; i < pairs; i++) {
                float even = x[2 * i], odd = x[2 * i + 1];
                x[2 * i] = fmaf(even, cosines[i], -(odd * sines[i]));
                x[2 * i + 1] = fmaf(odd, cosines[i], even * sines[i]);
            }
        }
    }
}

// One factor of the Kronecker power: the 4 x 4 matrix on values `step` apart.
static void hadamard_stage(float *x, size_t group, size_t step) {
    for (size_t block = 0; block < group; block += 4 * step)
        for (size_t i = block; i < block + step; i++) {
            float a = x[i], b = x[i + step], c = x[i + 2 * step], d = x[i + 3 * step];
            float ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
            x[i] = ab + c_d;
            x[i + step] = ab - c_d;
            x[i + 2 * step] = a_b + cd;
            x[i + 3 * step] = cd - a_b;
        }
}

void sorad_scalar_hadamard_f32(const sorad_hadamard_args *args) {
    float normalise = 1.0f;
    for (size_t step = 1; step < args->group; step *= 4) normalise *= 0.5f;
    for (size_t m = args->row_begin; m < args->row_end; m++)
        for (size_t at = 0; at < args->k; at += args->group) {
            float values[256];
            memcpy(values, args->x + m * args->x_stride + at, args->group * sizeof(float));
            for (size_t step = 1; step < args->group; step *= 4) hadamard_stage(values, args->group, step);
            float *out = args->out + m * args->out_stride + at;
            for (size_t i = 0; i < args->group; i++) out[i] = values[i] * normalise;
        }
}
