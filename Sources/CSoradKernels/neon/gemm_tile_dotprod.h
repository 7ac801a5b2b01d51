// The tile of NEON with SDOT: 6 rows x 16 outputs; the sums take 24 of the 32 registers. One instruction multiplies
// the weights of four outputs with four values of one row, which are a quarter of a register. See lanes/gemm_tile.h.
//
// SDOT takes two signed factors and UDOT two unsigned ones; no instruction mixes them. Attention's probabilities
// reach 255, so its values are packed with 128 added and multiplied by UDOT; 128 times the sum of the probabilities
// is subtracted afterwards.
#ifndef SORAD_GEMM_TILE_DOTPROD_H
#define SORAD_GEMM_TILE_DOTPROD_H

enum { MR = 6, NR = 16, KC = 1024, NC = 128, TILE_A_OFFSET = 0, TILE_INTERLEAVES = false };
#define TILE_A_BYTES 1
#define TILE_V_OFFSET 128

SORAD_INLINE void a_pack_kblock(const int8_t *a, void *out) { memcpy(out, a, 64); }

// One quarter of every row's register against the 16 outputs of a step.
#define SORAD_DOT(quarter)                                                                                                \
    do {                                                                                                                  \
        const int8_t *at = (const int8_t *)w + 64 * (quarter);                                                            \
        _Pragma("clang loop unroll(full)") for (size_t i = 0; i < 4; i++) {                                               \
            int8x16_t weights = vld1q_s8(at + 16 * i);                                                                    \
            _Pragma("clang loop unroll(full)") for (size_t r = 0; r < mr; r++)                                          \
                acc[4 * r + i] = is_unsigned                                                                              \
                    ? vreinterpretq_s32_u32(vdotq_laneq_u32(vreinterpretq_u32_s32(acc[4 * r + i]),                        \
                                                            vreinterpretq_u8_s8(weights),                                 \
                                                            vreinterpretq_u8_s8(values[r]), quarter))                     \
                    : vdotq_laneq_s32(acc[4 * r + i], weights, values[r], quarter);                                       \
        }                                                                                                                 \
    } while (0)

SORAD_INLINE void tile_dot(const bool is_unsigned, const size_t mr, const char *a, const char *w, size_t steps, const partial_sums *start,
                           partial_sums *sum, const size_t every, tile_hook *const hook, void *context, const int variant) {
    int32x4_t acc[4 * MR];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 4 * mr; i++) acc[i] = vdupq_n_s32(0);
    for (; steps > 0; a += mr * 64) {
        size_t kblock = steps < STEPS_OF_KBLOCK ? steps : STEPS_OF_KBLOCK, s = 0;
        steps -= kblock;
        for (; s + 4 <= kblock; s += 4, w += 4 * 64) {
            if (kblock == STEPS_OF_KBLOCK)
                for (size_t part = s; part < s + 4; part++)
                    if (part % every == 0) hook(context, variant);
            int8x16_t values[MR];
#pragma clang loop unroll(full)
            for (size_t r = 0; r < mr; r++) values[r] = vld1q_s8((const int8_t *)a + r * 64 + s * 4);
            SORAD_DOT(0);
            SORAD_DOT(1);
            SORAD_DOT(2);
            SORAD_DOT(3);
        }
        for (; s < kblock; s++, w += 64) {
            int8x16_t values[MR];
#pragma clang loop unroll(full)
            for (size_t r = 0; r < mr; r++) {
                int32_t word;
                memcpy(&word, a + r * 64 + s * 4, sizeof word);
                values[r] = vreinterpretq_s8_s32(vdupq_n_s32(word));
            }
            SORAD_DOT(0);
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++)
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 4; i++) memcpy((char *)(sum + r) + 16 * i, acc + 4 * r + i, 16);
    add_partial_sums(sum, start, mr);
}

SORAD_INLINE void gemm_tile(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, size_t steps,
                            const partial_sums *start, partial_sums *sum, const size_t every, tile_hook *const hook, void *context,
                            const int variant) {
    (void)panels, (void)w_stride;
    tile_dot(false, mr, a, w, steps, start, sum, every, hook, context, variant);
}

// Probabilities of 0 to 255 against values with 128 added.
SORAD_INLINE void gemm_tile_unsigned(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, size_t steps,
                                     const partial_sums *start, partial_sums *sum, const size_t every, tile_hook *const hook, void *context,
                                     const int variant) {
    (void)panels, (void)w_stride;
    tile_dot(true, mr, a, w, steps, start, sum, every, hook, context, variant);
}

#endif
