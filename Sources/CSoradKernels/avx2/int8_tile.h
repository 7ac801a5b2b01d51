// AVX2: 4 rows by 16 outputs. vpmaddubsw wants one unsigned factor, so the sign of w moves to a: |w| * (a sign w). With
// both within ±127 the sum of two products is at most 32258, so its 16 bits never saturate and the result is exact.
enum { SORAD_INT8_ROWS = 4, SORAD_INT8_BLOCKS = 1, SORAD_INT8_OFFSET = 0 };
#define SORAD_INT8_PARTIAL_ROWS(tile) SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile)

SORAD_INLINE __m256i int8_dot(__m256i sum, __m256i a, __m256i w, __m256i magnitude) {
    __m256i pairs = _mm256_maddubs_epi16(magnitude, _mm256_sign_epi8(a, w));
    return _mm256_add_epi32(sum, _mm256_madd_epi16(pairs, _mm256_set1_epi16(1)));
}

SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const int8_t *a, size_t a_step, size_t row_step,
                            const int8_t *w, size_t groups, lanes_i32 *sum) {
    (void)blocks;
    __m256i low[SORAD_INT8_ROWS], high[SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
    for (size_t g = 0; g < groups; g++, a += a_step, w += 64) {
        __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
        __m256i m0 = _mm256_abs_epi8(w0), m1 = _mm256_abs_epi8(w1);
#pragma clang loop unroll(full)
        for (size_t r = 0; r < rows; r++) {
            int32_t word;
            memcpy(&word, a + r * row_step, sizeof word);
            __m256i four = _mm256_set1_epi32(word);
            low[r] = int8_dot(low[r], four, w0, m0);
            high[r] = int8_dot(high[r], four, w1, m1);
        }
    }
    for (size_t r = 0; r < rows; r++) {
        memcpy(sum + r, low + r, 32);
        memcpy((char *)(sum + r) + 32, high + r, 32);
    }
}
