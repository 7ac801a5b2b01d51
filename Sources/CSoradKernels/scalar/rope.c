// Rotary position embedding, scalar: the definition.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

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
