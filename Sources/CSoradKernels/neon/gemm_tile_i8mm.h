// The tile of NEON with USMMLA: 12 rows x 16 outputs, computed as two halves of 8 outputs, whose sums take 24 of the
// 32 registers. One instruction multiplies two rows of eight unsigned values with eight weights each of two outputs,
// so rows are packed in zipped pairs, and two steps of four weights are zipped to eight as they are loaded: four zips
// for twenty-four products. See lanes/gemm_tile.h.
#ifndef SORAD_GEMM_TILE_I8MM_H
#define SORAD_GEMM_TILE_I8MM_H

enum { MR = 12, NR = 16, KC = 1024, NC = 128, TILE_A_OFFSET = 128, TILE_INTERLEAVES = false };
#define TILE_A_BYTES 1

// Flips the top bit: adds 128 to each value.
SORAD_INLINE void a_pack_kblock(const int8_t *a, void *out) {
    for (int i = 0; i < 64; i += 16)
        vst1q_u8((uint8_t *)out + i, veorq_u8(vld1q_u8((const uint8_t *)a + i), vdupq_n_u8(0x80)));
}

// Zips the rows of a packed tile: the 64 bytes of two neighbors become [8][2 rows][8]. A last odd row stays as it is.
#define TILE_INTERLEAVES_ROWS 1
SORAD_INLINE void a_interleave_rows(char *tile, size_t rows, size_t kblocks) {
    for (size_t kblock = 0; kblock < kblocks; kblock++, tile += rows * 64)
        for (size_t r = 0; r + 2 <= rows; r += 2) {
            uint64_t *pair = (uint64_t *)(void *)(tile + r * 64);
            uint64x2_t first[4], second[4];
            for (size_t i = 0; i < 4; i++) {
                first[i] = vreinterpretq_u64_u8(vld1q_u8((uint8_t *)(pair + 2 * i)));
                second[i] = vreinterpretq_u64_u8(vld1q_u8((uint8_t *)(pair + 8 + 2 * i)));
            }
            for (size_t i = 0; i < 4; i++) {
                vst1q_u8((uint8_t *)(pair + 4 * i), vreinterpretq_u8_u64(vzip1q_u64(first[i], second[i])));
                vst1q_u8((uint8_t *)(pair + 4 * i + 2), vreinterpretq_u8_u64(vzip2q_u64(first[i], second[i])));
            }
        }
}

// Zips two steps of eight outputs, w [8][4] and the next step's, to four pairs of outputs with eight weights each.
SORAD_INLINE void zip_weights(const char *w, bool has_next, int8x16_t pairs[4]) {
    int32x4_t a = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w)), b = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w + 16));
    int32x4_t c = vdupq_n_s32(0), d = c;
    if (has_next) c = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w + 64)), d = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w + 80));
    pairs[0] = vreinterpretq_s8_s32(vzip1q_s32(a, c)), pairs[1] = vreinterpretq_s8_s32(vzip2q_s32(a, c));
    pairs[2] = vreinterpretq_s8_s32(vzip1q_s32(b, d)), pairs[3] = vreinterpretq_s8_s32(vzip2q_s32(b, d));
}

// Eight values of every row, number `eighth` of the K-block at `a`, against eight outputs.
SORAD_INLINE void tile_eight_values(const size_t rows, const char *a, size_t eighth, const int8x16_t pairs[4], int32x4_t *acc) {
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r += 2) {
        uint8x16_t values = r + 1 < rows ? vld1q_u8((const uint8_t *)a + r * 64 + eighth * 16)
                                         : vcombine_u8(vld1_u8((const uint8_t *)a + r * 64 + eighth * 8), vdup_n_u8(0));
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 4; i++) acc[2 * r + i] = vusmmlaq_s32(acc[2 * r + i], values, pairs[i]);
    }
}

SORAD_INLINE void tile_half(const size_t mr, const char *a, const char *w, size_t steps, int32_t *sum, const size_t every,
                            tile_hook *const hook, void *context, const int variant) {
    int32x4_t acc[2 * MR];   // [pair of rows][pair of outputs][2 rows][2 outputs]
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 2 * ((mr + 1) & ~(size_t)1); i++) acc[i] = vdupq_n_s32(0);
    for (; steps > 0; a += mr * 64) {
        size_t kblock = steps < STEPS_OF_KBLOCK ? steps : STEPS_OF_KBLOCK, s = 0;
        int8x16_t pairs[4];
        steps -= kblock;
        for (; s + 2 <= kblock; s += 2, w += 2 * 64) {
            if (kblock == STEPS_OF_KBLOCK && s % every == 0) hook(context, variant);
            zip_weights(w, true, pairs);
            tile_eight_values(mr, a, s / 2, pairs, acc);
        }
        if (s < kblock) {
            zip_weights(w, false, pairs);
            tile_eight_values(mr, a, s / 2, pairs, acc);
            w += 64;
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++)
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 4; i++) {
            int32x4_t four = acc[2 * (r & ~(size_t)1) + i];
            vst1_s32(sum + r * SORAD_LANES + 2 * i, r & 1 ? vget_high_s32(four) : vget_low_s32(four));
        }
}

// The hook runs with the first half only. `every` is at least 2: values are taken eight at a time.
SORAD_INLINE void gemm_tile(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, size_t steps,
                            const partial_sums *start, partial_sums *sum, const size_t every, tile_hook *const hook, void *context,
                            const int variant) {
    (void)panels, (void)w_stride;
    int32_t *numbers = (int32_t *)(void *)sum;
    tile_half(mr, a, w, steps, numbers, every, hook, context, variant);
    tile_half(mr, a, w + 32, steps, numbers + 8, every, no_hook, NULL, 0);
    add_partial_sums(sum, start, mr);
}

#endif
