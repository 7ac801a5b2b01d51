// The regular Hadamard transform of 4, 16, 64 or 256 neighboring values: Kronecker powers of one 4 x 4 matrix,
// applied to lanes 1 and 4 apart within a vector, then to whole vectors.
#ifndef SORAD_LANES_HADAMARD_H
#define SORAD_LANES_HADAMARD_H

#include "lanes.h"

SORAD_INLINE lanes negate(lanes x, lanes_i32 where) { return (lanes)((lanes_i32)x ^ (where & INT32_MIN)); }

// The 4 x 4 matrix on neighboring lanes: y = (a+b, a-b, c+d, c-d), then (y0+y3, y0-y3, y1+y2, y2-y1).
SORAD_INLINE lanes hadamard_lanes_1(lanes x) {
    const lanes_i32 odd = {0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1};
    lanes y = __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14) + negate(x, odd);
    lanes first = __builtin_shufflevector(y, y, 0, 0, 1, 2, 4, 4, 5, 6, 8, 8, 9, 10, 12, 12, 13, 14);
    lanes second = __builtin_shufflevector(y, y, 3, 3, 2, 1, 7, 7, 6, 5, 11, 11, 10, 9, 15, 15, 14, 13);
    return first + negate(second, odd);
}

// The same on lanes 4 apart.
SORAD_INLINE lanes hadamard_lanes_4(lanes x) {
    const lanes_i32 odd = {0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1, -1};
    lanes y = __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11) + negate(x, odd);
    lanes first = __builtin_shufflevector(y, y, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    lanes second = __builtin_shufflevector(y, y, 12, 13, 14, 15, 12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7);
    return first + negate(second, odd);
}

// The same on whole vectors `step` apart.
SORAD_INLINE void hadamard_vectors(lanes *x, size_t vectors, size_t step) {
    for (size_t block = 0; block < vectors; block += 4 * step)
        for (size_t i = block; i < block + step; i++) {
            lanes a = x[i], b = x[i + step], c = x[i + 2 * step], d = x[i + 3 * step];
            lanes ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
            x[i] = ab + c_d;
            x[i + step] = ab - c_d;
            x[i + 2 * step] = a_b + cd;
            x[i + 3 * step] = cd - a_b;
        }
}

void KERNEL(hadamard_f32)(const sorad_hadamard_args *args) {
    size_t vectors = args->group / SORAD_LANES;
    float normalize = 1.0f;
    for (size_t step = 1; step < args->group; step *= 4) normalize *= 0.5f;
    if (vectors == 0) {
        sorad_scalar_hadamard_f32(args);
        return;
    }
    for (size_t m = args->row_begin; m < args->row_end; m++)
        for (size_t at = 0; at < args->k; at += args->group) {
            lanes values[16];
            for (size_t i = 0; i < vectors; i++)
                values[i] = hadamard_lanes_4(hadamard_lanes_1(load16(args->x + m * args->x_stride + at + i * SORAD_LANES)));
            for (size_t step = 1; step < vectors; step *= 4) hadamard_vectors(values, vectors, step);
            for (size_t i = 0; i < vectors; i++)
                store16(args->out + m * args->out_stride + at + i * SORAD_LANES, values[i] * splat(normalize));
        }
}

#endif
