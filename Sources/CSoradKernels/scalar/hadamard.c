// Hadamard transform, scalar: the definition.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

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
    float normalize = 1.0f;
    for (size_t step = 1; step < args->group; step *= 4) normalize *= 0.5f;
    for (size_t m = args->row_begin; m < args->row_end; m++)
        for (size_t at = 0; at < args->k; at += args->group) {
            float values[256];
            memcpy(values, args->x + m * args->x_stride + at, args->group * sizeof(float));
            for (size_t step = 1; step < args->group; step *= 4) hadamard_stage(values, args->group, step);
            float *out = args->out + m * args->out_stride + at;
            for (size_t i = 0; i < args->group; i++) out[i] = values[i] * normalize;
        }
}
