// 256-bit vpdpbusd: 6 rows by 16 outputs. One source for AVX-VNNI (VEX) and AVX512VL-VNNI (EVEX): the including file says
// which intrinsic SORAD_DPBUSD is.
enum { SORAD_INT8_ROWS = 6, SORAD_INT8_BLOCKS = 1, SORAD_INT8_OFFSET = 128 };
#define SORAD_INT8_PARTIAL_ROWS(tile) \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)

SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const int8_t *a, size_t a_step, size_t row_step,
                            const int8_t *w, size_t groups, lanes_i32 *sum) {
    (void)blocks;
    __m256i low[SORAD_INT8_ROWS], high[SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
    for (size_t g = 0; g < groups; g++, a += a_step, w += 64) {
        __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            int32_t word;
            memcpy(&word, a + r * row_step, sizeof word);
            __m256i four = _mm256_set1_epi32(word);
            low[r] = SORAD_DPBUSD(low[r], four, w0);
            high[r] = SORAD_DPBUSD(high[r], four, w1);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        memcpy(sum + r, low + r, 32);
        memcpy((char *)(sum + r) + 32, high + r, 32);
    }
}
