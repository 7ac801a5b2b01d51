// 512-bit vpdpbusd: 12 rows by 32 outputs, 24 of the 32 registers holding sums.
enum { SORAD_INT8_ROWS = 12, SORAD_INT8_BLOCKS = 2, SORAD_INT8_OFFSET = 128 };
#define SORAD_INT8_PARTIAL_ROWS(tile)                                                                               \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)             \
    SORAD_CASE(6, tile) SORAD_CASE(7, tile) SORAD_CASE(8, tile) SORAD_CASE(9, tile) SORAD_CASE(10, tile)            \
    SORAD_CASE(11, tile)

// The second block of weights lies groups * 64 bytes after the first.
SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const int8_t *a, size_t a_step, size_t row_step,
                            const int8_t *w, size_t groups, lanes_i32 *sum) {
    __m512i acc[SORAD_INT8_ROWS * SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < rows * blocks; i++) acc[i] = _mm512_setzero_si512();
    for (size_t g = 0; g < groups; g++, a += a_step, w += 64) {
        __m512i weights[SORAD_INT8_BLOCKS];
#pragma clang loop unroll(full)
        for (size_t b = 0; b < blocks; b++) weights[b] = _mm512_loadu_si512((const void *)(w + b * groups * 64));
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            int32_t word;
            memcpy(&word, a + r * row_step, sizeof word);
            __m512i four = _mm512_set1_epi32(word);
#pragma clang loop unroll(full)
            for (size_t b = 0; b < blocks; b++)
                acc[b * rows + r] = _mm512_dpbusd_epi32(acc[b * rows + r], four, weights[b]);
        }
    }
    for (size_t i = 0; i < rows * blocks; i++) memcpy(sum + i, acc + i, sizeof(lanes_i32));
}
