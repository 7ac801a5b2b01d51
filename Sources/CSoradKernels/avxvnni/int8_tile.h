// 256-bit vpdpbusd: 6 rows by 16 outputs. One source for AVX-VNNI (VEX) and AVX512VL-VNNI (EVEX): the including file says
// which intrinsic SORAD_DPBUSD is.
enum { SORAD_INT8_ROWS = 6, SORAD_INT8_BLOCKS = 1, SORAD_INT8_OFFSET = 128 };
#define SORAD_INT8_WIDTH 1
#define SORAD_INT8_DEPTH 1024
#define SORAD_INT8_COLUMNS 256
#define SORAD_INT8_PARTIAL_ROWS(tile) \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)

// 64 values plus 128 each: the top bit flipped.
SORAD_INLINE void int8_convert(const int8_t *a, void *out) {
    const __m256i top = _mm256_set1_epi8((char)0x80);
    for (int i = 0; i < 2; i++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)a + i);
        _mm256_storeu_si256((__m256i *)out + i, _mm256_xor_si256(bytes, top));
    }
}

SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride,
                            size_t steps, lanes_i32 *sum) {
    (void)blocks, (void)w_stride;
    __m256i low[SORAD_INT8_ROWS], high[SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
    for (; steps > 0; a += rows * 64) {
        size_t line = steps < 16 ? steps : 16;
        steps -= line;
        for (size_t s = 0; s < line; s++, w += 64) {
            __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
            __builtin_prefetch(w + 1024);
#pragma clang loop unroll(full)
            for (size_t r = 0; r < rows; r++) {
                int32_t word;
                memcpy(&word, a + r * 64 + s * 4, sizeof word);
                __m256i four = _mm256_set1_epi32(word);
                low[r] = SORAD_DPBUSD(low[r], four, w0);
                high[r] = SORAD_DPBUSD(high[r], four, w1);
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        memcpy(sum + r, low + r, 32);
        memcpy((char *)(sum + r) + 32, high + r, 32);
    }
}

// The same for a window of an image: every third pixel's address is kept, the two behind it are so many bytes further on.
SORAD_INLINE void int8_pixel_tile(const size_t rows, const size_t blocks, const int8_window *window, const char *w, size_t w_stride,
                                  lanes_i32 *sum) {
    (void)blocks, (void)w_stride;
    __m256i low[SORAD_INT8_ROWS], high[SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) low[r] = high[r] = _mm256_setzero_si256();
    const size_t pixel = window->pixel;
    for (size_t line = 0; line < window->lines; line++) {
        const char *a0 = window->line[line], *a3 = a0 + 3 * pixel;
        for (size_t s = window->steps; s > 0; s--, w += 64, a0 += 4, a3 += 4) {
            __asm__("" : "+r"(a0), "+r"(a3));   // or clang makes six addresses of them
            const char *const from[2] = {a0, a3};
            __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
#pragma clang loop unroll(full)
            for (size_t r = 0; r < rows; r++) {
                int32_t word;
                memcpy(&word, from[r / 3] + r % 3 * pixel, sizeof word);
                __m256i four = _mm256_set1_epi32(word);
                low[r] = SORAD_DPBUSD(low[r], four, w0);
                high[r] = SORAD_DPBUSD(high[r], four, w1);
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        memcpy(sum + r, low + r, 32);
        memcpy((char *)(sum + r) + 32, high + r, 32);
    }
}
