// The tile of plain NEON: 4 rows x 16 outputs on 16-bit values. SMLAL by a lane multiplies the weights of four outputs
// with one value of a row and adds the exact products to int32 sums, so nothing can overflow in between, as it could
// with two products of bytes in 16 bits. The sums take 16 of the 32 registers; four more hold a step's weights, four
// the rows. Probabilities of 0 to 255 fit 16 bits too, so attention has no tile of its own. See lanes/gemm_tile.h.
#ifndef SORAD_GEMM_TILE_MLAL_H
#define SORAD_GEMM_TILE_MLAL_H

enum { MR = 4, NR = 16, KC = 768, NC = 128, TILE_A_OFFSET = 0, TILE_INTERLEAVES = false };
#define TILE_A_BYTES 2

// 32 values to 16 bits.
SORAD_INLINE void a_pack_kblock(const int8_t *a, void *out) {
    int16_t *to = out;
#pragma clang loop unroll(full)
    for (int i = 0; i < 2; i++) {
        const int8x16_t bytes = vld1q_s8(a + 16 * i);
        vst1q_s16(to + 16 * i, vmovl_s8(vget_low_s8(bytes)));
        vst1q_s16(to + 16 * i + 8, vmovl_high_s8(bytes));
    }
}

// [K/4][16][4] bytes -> [K/2][16][2] 16-bit numbers, as attention packs keys and values too.
SORAD_INLINE void w_widen_panel(const int8_t *w, size_t groups, void *out) {
    int16_t *to = out;
    for (size_t g = 0; g < groups; g++, w += 64, to += 64) {
        const int8x16x4_t inputs = vld4q_s8(w);
#pragma clang loop unroll(full)
        for (int pair = 0; pair < 2; pair++) {
            const int8x16_t even = inputs.val[2 * pair], odd = inputs.val[2 * pair + 1];
            const int16x8x2_t low = {{vmovl_s8(vget_low_s8(even)), vmovl_s8(vget_low_s8(odd))}};
            const int16x8x2_t high = {{vmovl_high_s8(even), vmovl_high_s8(odd)}};
            vst2q_s16(to + 32 * pair, low);
            vst2q_s16(to + 32 * pair + 16, high);
        }
    }
}

// Eight outputs of a step, `half` of its weights, against two inputs: lanes 2 * pair and 2 * pair + 1 of every row's register.
#define SORAD_MLAL(w, pair, half)                                                                                         \
    do {                                                                                                                  \
        const int16x8x2_t inputs = vld2q_s16((const int16_t *)(w) + 16 * (half));                                         \
        _Pragma("clang loop unroll(full)") for (size_t r = 0; r < mr; r++) {                                            \
            int32x4_t *const low = acc + 4 * r + 2 * (half), *const high = low + 1;                                       \
            *low = vmlal_laneq_s16(*low, vget_low_s16(inputs.val[0]), values[r], 2 * (pair));                             \
            *high = vmlal_high_laneq_s16(*high, inputs.val[0], values[r], 2 * (pair));                                    \
            *low = vmlal_laneq_s16(*low, vget_low_s16(inputs.val[1]), values[r], 2 * (pair) + 1);                         \
            *high = vmlal_high_laneq_s16(*high, inputs.val[1], values[r], 2 * (pair) + 1);                                \
        }                                                                                                                 \
    } while (0)
#define SORAD_MLAL_STEP(w, pair)                                                                                          \
    do {                                                                                                                  \
        SORAD_MLAL(w, pair, 0);                                                                                           \
        SORAD_MLAL(w, pair, 1);                                                                                           \
    } while (0)

SORAD_INLINE void gemm_tile(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, size_t steps,
                            const partial_sums *start, partial_sums *sum, const size_t every, tile_hook *const hook, void *context,
                            const int variant) {
    (void)panels, (void)w_stride;
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
            int16x8_t values[MR];
#pragma clang loop unroll(full)
            for (size_t r = 0; r < mr; r++) values[r] = vld1q_s16((const int16_t *)(a + r * 64 + s * 4));
            SORAD_MLAL_STEP(w, 0);
            SORAD_MLAL_STEP(w + 64, 1);
            SORAD_MLAL_STEP(w + 128, 2);
            SORAD_MLAL_STEP(w + 192, 3);
        }
        for (; s < kblock; s++, w += 64) {
            int16x8_t values[MR];
#pragma clang loop unroll(full)
            for (size_t r = 0; r < mr; r++) {
                int32_t word;
                memcpy(&word, a + r * 64 + s * 4, sizeof word);
                values[r] = vreinterpretq_s16_s32(vdupq_n_s32(word));
            }
            SORAD_MLAL_STEP(w, 0);
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++)
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 4; i++) memcpy((char *)(sum + r) + 16 * i, acc + 4 * r + i, 16);
    add_partial_sums(sum, start, mr);
}

#endif
