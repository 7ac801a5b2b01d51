// SDOT: 6 rows by 16 outputs, 24 of the 32 registers holding sums. One instruction multiplies four outputs' weights with
// four values of one row, which stand in a quarter of a register.
//
// Both factors of an SDOT are signed, of a UDOT unsigned; there is no mixed one. Attention's weights reach 255, so its
// values are packed with 128 added and multiplied by UDOT; 128 times the sum of the weights is taken off afterwards.
enum { SORAD_INT8_ROWS = 6, SORAD_INT8_BLOCKS = 1, SORAD_INT8_OFFSET = 0 };
#define SORAD_INT8_WIDTH 1
#define SORAD_INT8_DEPTH 1024
#define SORAD_INT8_COLUMNS 128
#define SORAD_INT8_PARTIAL_ROWS(tile) \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)
#define SORAD_INT8_VALUE_OFFSET 128

SORAD_INLINE void int8_convert(const int8_t *a, void *out) { memcpy(out, a, 64); }

// One quarter of the rows' registers against the 16 outputs of a step.
#define SORAD_DOT(quarter)                                                                                                \
    do {                                                                                                                  \
        const int8_t *at = (const int8_t *)w + 64 * (quarter);                                                            \
        _Pragma("clang loop unroll(full)") for (size_t i = 0; i < 4; i++) {                                               \
            int8x16_t weights = vld1q_s8(at + 16 * i);                                                                    \
            _Pragma("clang loop unroll(full)") for (size_t r = 0; r < rows; r++)                                          \
                acc[4 * r + i] = is_unsigned                                                                              \
                    ? vreinterpretq_s32_u32(vdotq_laneq_u32(vreinterpretq_u32_s32(acc[4 * r + i]),                        \
                                                            vreinterpretq_u8_s8(weights),                                 \
                                                            vreinterpretq_u8_s8(values[r]), quarter))                     \
                    : vdotq_laneq_s32(acc[4 * r + i], weights, values[r], quarter);                                       \
        }                                                                                                                 \
    } while (0)

SORAD_INLINE void int8_dot_tile(const bool is_unsigned, const size_t rows, const char *a, const char *w, size_t steps,
                                lanes_i32 *sum) {
    int32x4_t acc[4 * SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < 4 * rows; i++) acc[i] = vdupq_n_s32(0);
    for (; steps > 0; a += rows * 64) {
        size_t line = steps < 16 ? steps : 16, s = 0;
        steps -= line;
        for (; s + 4 <= line; s += 4, w += 4 * 64) {
            int8x16_t values[SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
            for (size_t r = 0; r < rows; r++) values[r] = vld1q_s8((const int8_t *)a + r * 64 + s * 4);
            SORAD_DOT(0);
            SORAD_DOT(1);
            SORAD_DOT(2);
            SORAD_DOT(3);
        }
        for (; s < line; s++, w += 64) {
            int8x16_t values[SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
            for (size_t r = 0; r < rows; r++) {
                int32_t word;
                memcpy(&word, a + r * 64 + s * 4, sizeof word);
                values[r] = vreinterpretq_s8_s32(vdupq_n_s32(word));
            }
            SORAD_DOT(0);
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++)
#pragma clang loop unroll(full)
        for (size_t i = 0; i < 4; i++) memcpy((char *)(sum + r) + 16 * i, acc + 4 * r + i, 16);
}

SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride,
                            size_t steps, lanes_i32 *sum) {
    (void)blocks, (void)w_stride;
    int8_dot_tile(false, rows, a, w, steps, sum);
}

// Weights of 0 to 255 against values with 128 added.
SORAD_INLINE void int8_value_tile(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride,
                                  size_t steps, lanes_i32 *sum) {
    (void)blocks, (void)w_stride;
    int8_dot_tile(true, rows, a, w, steps, sum);
}
