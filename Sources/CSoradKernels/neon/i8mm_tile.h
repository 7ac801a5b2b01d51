// USMMLA: 12 rows by 16 outputs, the outputs in two halves so that 24 of the 32 registers hold sums. One instruction
// multiplies two rows of eight unsigned values with two outputs' eight weights each, so rows lie packed in pairs, and two
// steps of four weights are woven into eight while they are read: four instructions for twenty-four products.
enum { SORAD_INT8_ROWS = 12, SORAD_INT8_BLOCKS = 1, SORAD_INT8_OFFSET = 128 };
#define SORAD_INT8_WIDTH 1
#define SORAD_INT8_DEPTH 1024
#define SORAD_INT8_COLUMNS 128
#define SORAD_INT8_PARTIAL_ROWS(tile)                                                                               \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)             \
    SORAD_CASE(6, tile) SORAD_CASE(7, tile) SORAD_CASE(8, tile) SORAD_CASE(9, tile) SORAD_CASE(10, tile)            \
    SORAD_CASE(11, tile)

// 64 values plus 128 each: the top bit flipped.
SORAD_INLINE void int8_convert(const int8_t *a, void *out) {
    for (int i = 0; i < 64; i += 16)
        vst1q_u8((uint8_t *)out + i, veorq_u8(vld1q_u8((const uint8_t *)a + i), vdupq_n_u8(0x80)));
}

// Weaves the rows of a packed tile: the 64 bytes of two neighbours become [8][2 rows][8]. A last odd row stays as it is.
#define SORAD_INT8_PAIRS 1
SORAD_INLINE void int8_pair(char *tile, size_t rows, size_t lines) {
    for (size_t line = 0; line < lines; line++, tile += rows * 64)
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

// Two steps of eight outputs: w [8][4], and the next step's, to four pairs of outputs with eight weights each.
SORAD_INLINE void int8_weave(const char *w, bool next, int8x16_t pairs[4]) {
    int32x4_t a = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w)), b = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w + 16));
    int32x4_t c = vdupq_n_s32(0), d = c;
    if (next) c = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w + 64)), d = vreinterpretq_s32_s8(vld1q_s8((const int8_t *)w + 80));
    pairs[0] = vreinterpretq_s8_s32(vzip1q_s32(a, c)), pairs[1] = vreinterpretq_s8_s32(vzip2q_s32(a, c));
    pairs[2] = vreinterpretq_s8_s32(vzip1q_s32(b, d)), pairs[3] = vreinterpretq_s8_s32(vzip2q_s32(b, d));
}

// Eight values of every row at `a`, the eighth-th of a line, against eight outputs.
SORAD_INLINE void int8_eight(const size_t rows, const char *a, size_t eighth, const int8x16_t pairs[4], int32x4_t *acc) {
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r += 2) {
        uint8x16_t values = r + 1 < rows ? vld1q_u8((const uint8_t *)a + r * 64 + eighth * 16)
                                         : vcombine_u8(vld1_u8((const uint8_t *)a + r * 64 + eighth * 8), vdup_n_u8(0));
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 4; i++) acc[2 * r + i] = vusmmlaq_s32(acc[2 * r + i], values, pairs[i]);
    }
}

SORAD_INLINE void int8_half_tile(const size_t rows, const char *a, const char *w, size_t steps, int32_t *sum) {
    int32x4_t acc[2 * SORAD_INT8_ROWS];   // [pair of rows][pair of outputs][2 rows][2 outputs]
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 2 * ((rows + 1) & ~(size_t)1); i++) acc[i] = vdupq_n_s32(0);
    for (; steps > 0; a += rows * 64) {
        size_t line = steps < 16 ? steps : 16, s = 0;
        int8x16_t pairs[4];
        steps -= line;
        for (; s + 2 <= line; s += 2, w += 2 * 64) {
            int8_weave(w, true, pairs);
            int8_eight(rows, a, s / 2, pairs, acc);
        }
        if (s < line) {
            int8_weave(w, false, pairs);
            int8_eight(rows, a, s / 2, pairs, acc);
            w += 64;
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 4; i++) {
            int32x4_t four = acc[2 * (r & ~(size_t)1) + i];
            vst1_s32(sum + r * SORAD_LANES + 2 * i, r & 1 ? vget_high_s32(four) : vget_low_s32(four));
        }
}

SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride,
                            size_t steps, lanes_i32 *sum) {
    (void)blocks, (void)w_stride;
    int32_t *numbers = (int32_t *)(void *)sum;
    int8_half_tile(rows, a, w, steps, numbers);
    int8_half_tile(rows, a, w + 32, steps, numbers + 8);
}
