// Weights of 10 bits in blocks of 32 inputs (qb10w) to floats: 16 outputs a vector, one input after the other.
#ifndef SORAD_LANES_DEQUANTIZE_H
#define SORAD_LANES_DEQUANTIZE_H

#include "lanes.h"

typedef uint32_t lanes_u32_anywhere __attribute__((vector_size(64), aligned(1), may_alias));
typedef uint16_t lanes_u16 __attribute__((vector_size(32)));
typedef uint16_t lanes_u16_anywhere __attribute__((vector_size(32), aligned(1), may_alias));

// The magnitudes of 16 F16, see scalar/dequantize.c.
SORAD_INLINE lanes half_magnitudes(const uint16_t *halves) {
    const lanes_u16 bits = *(const lanes_u16_anywhere *)halves;
    return (lanes)((__builtin_convertvector(bits, lanes_u32) & 0x7FFFu) << 13) * splat(0x1p112f);
}

// `count` inputs (1...4) of a group: byte i of each lane of `high` with bits 2i and 2i + 1 of each lane of `low`.
SORAD_INLINE void dequantize_group(lanes_u32 high, lanes_u32 low, lanes scale, const size_t count, float *out) {
#pragma clang loop unroll(full)
    for (size_t i = 0; i < count; i++) {
        const lanes_u32 value = (lanes_u32)((lanes_i32)(high << (uint32_t)(24 - 8 * i)) >> 24) << 2u;
        const lanes_u32 bits = low >> (uint32_t)(2 * i) & 3u;
        store16(out + i * SORAD_LANES, __builtin_convertvector((lanes_i32)(value + bits), lanes) * scale);
    }
}

// 16 inputs of a panel, or the `count` that are left.
SORAD_INLINE void dequantize_word(const int8_t *high, lanes_u32 low, lanes scale, const size_t count, float *out) {
#pragma clang loop unroll(full)
    for (size_t k = 0; k < count; k += 4) {
        const size_t group = count - k < 4 ? count - k : 4;
        dequantize_group(*(const lanes_u32_anywhere *)(high + k * SORAD_LANES), low >> (uint32_t)(2 * k), scale, group,
                         out + k * SORAD_LANES);
    }
}

void KERNEL(dequantize_qb10w_f32)(const sorad_dequantize_args *args) {
    const size_t groups = (args->k + 3) / 4, words = (args->k + 15) / 16;
    const size_t blocks = (args->k + SORAD_QB10_BLOCK - 1) / SORAD_QB10_BLOCK;
    float *out = args->out;
    for (size_t panel = args->panel_begin; panel < args->panel_end; panel++) {
        const int8_t *high = args->high + panel * groups * 64;
        const uint32_t *low = args->low + panel * words * SORAD_LANES;
        const uint16_t *scale = args->scale + panel * blocks * SORAD_LANES;
        for (size_t k = 0; k < args->k; k += 16, high += 256, low += SORAD_LANES) {
            const lanes scales = half_magnitudes(scale + k / SORAD_QB10_BLOCK * SORAD_LANES);
            const lanes_u32 bits = *(const lanes_u32_anywhere *)low;
            const size_t count = lane_count(k, args->k);
            if (count == 16)
                dequantize_word(high, bits, scales, 16, out);
            else
                for (size_t i = 0; i < count; i += 4)
                    for (size_t j = i; j < count && j < i + 4; j++)
                        dequantize_group(*(const lanes_u32_anywhere *)(high + i * SORAD_LANES) >> (uint32_t)(8 * (j - i)),
                                         bits >> (uint32_t)(2 * j), scales, 1, out + j * SORAD_LANES);
            out += count * SORAD_LANES;
        }
    }
}

#endif
