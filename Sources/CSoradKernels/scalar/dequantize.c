// Weights of 10 bits in blocks of 32 inputs (qb10w) to floats, scalar: the definition.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

// The magnitude of an F16: its bits, 13 places higher, are those of a float that is 2^112 times too small.
static float half_magnitude(uint16_t half) {
    uint32_t bits = (uint32_t)(half & 0x7FFF) << 13;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value * 0x1p112f;
}

void sorad_scalar_dequantize_qb10w_f32(const sorad_dequantize_args *args) {
    const size_t groups = (args->k + 3) / 4, words = (args->k + 15) / 16;
    const size_t blocks = (args->k + SORAD_QB10_BLOCK - 1) / SORAD_QB10_BLOCK;
    float *out = args->out;
    for (size_t panel = args->panel_begin; panel < args->panel_end; panel++)
        for (size_t k = 0; k < args->k; k++) {
            const int8_t *high = args->high + (panel * groups + k / 4) * 64 + k % 4;
            const uint32_t *low = args->low + (panel * words + k / 16) * SORAD_LANES;
            const uint16_t *scale = args->scale + (panel * blocks + k / SORAD_QB10_BLOCK) * SORAD_LANES;
            for (size_t i = 0; i < SORAD_LANES; i++) {
                int32_t bits = (int32_t)(low[i] >> 2 * (k % 16) & 3);
                *out++ = (float)(4 * high[4 * i] + bits) * half_magnitude(scale[i]);
            }
        }
}
