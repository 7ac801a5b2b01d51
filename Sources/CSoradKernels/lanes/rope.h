// Rotary position embedding (RoPE) on interleaved pairs.
#ifndef SORAD_LANES_ROPE_H
#define SORAD_LANES_ROPE_H

#include "lanes.h"

// Eight floats, each twice.
SORAD_INLINE lanes load_twice(const float *p) {
    typedef float half __attribute__((vector_size(32), aligned(4), may_alias));
    half v = *(const half *)p;
    return __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
}
// The sign bit of even lanes.
#define SORAD_EVEN_SIGNS ((lanes_u32){1u << 31, 0, 1u << 31, 0, 1u << 31, 0, 1u << 31, 0, \
                                      1u << 31, 0, 1u << 31, 0, 1u << 31, 0, 1u << 31, 0})

void KERNEL(rope_f32)(const sorad_rope_args *args) {
    const size_t d = args->head_dim, pairs = d / 2, whole = pairs / 8 * 8, width = args->heads * d;
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        const float *cosines = args->cos + m * pairs, *sines = args->sin + m * pairs;
        float *x = args->x + m * args->x_stride;
        // All heads have the same angles.
        for (size_t i = 0; i < whole; i += 8) {
            const lanes cosine = load_twice(cosines + i), sine = (lanes)((lanes_u32)load_twice(sines + i) ^ SORAD_EVEN_SIGNS);
            for (size_t h = 2 * i; h < width; h += d) {
                lanes v = load16(x + h);
                lanes other = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
                store16(x + h, vfma(v, cosine, other * sine));
            }
        }
        for (size_t i = whole; i < pairs; i++)
            for (size_t h = 2 * i; h < width; h += d) {
                float even = x[h], odd = x[h + 1];
                x[h] = fmaf(even, cosines[i], -(odd * sines[i]));
                x[h + 1] = fmaf(odd, cosines[i], even * sines[i]);
            }
    }
}

#endif
