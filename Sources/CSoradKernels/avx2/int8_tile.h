// AVX2: 6 rows by 16 outputs, on 16-bit numbers: vpmaddwd adds two exact products to an int32, then vpaddd.
// The other way, vpmaddubsw with the sign of w moved to a (exact within ±127), needs a vpsignb for every product, which
// on Zen 3 takes the multipliers' ports: it stood at two thirds of the vpmaddubsw peak loop. Widening rows and weights
// once per chunk costs 1 in 100 and leaves two multiplier operations for 32 products, as many as the peak loop has.
enum { SORAD_INT8_ROWS = 6, SORAD_INT8_BLOCKS = 1, SORAD_INT8_OFFSET = 0 };
#define SORAD_INT8_WIDTH 2
#define SORAD_INT8_DEPTH 768
#define SORAD_INT8_COLUMNS 128
#define SORAD_INT8_PARTIAL_ROWS(tile) \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)

// 32 values to 16 bits.
SORAD_INLINE void int8_convert(const int8_t *a, void *out) {
    for (int i = 0; i < 2; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(a + 16 * i));
        _mm256_storeu_si256((__m256i *)out + i, _mm256_cvtepi8_epi16(bytes));
    }
}

// [K/4][16][4] bytes -> [K/2][16][2] 16-bit numbers.
SORAD_INLINE void int8_expand(const int8_t *w, size_t groups, void *out) {
    // Within 4 outputs: their first pairs, then their second pairs.
    const __m256i pairs = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15));
    for (size_t g = 0; g < groups; g++, w += 64, out = (char *)out + 128) {
        for (int half = 0; half < 2; half++) {
            __m256i bytes = _mm256_loadu_si256((const __m256i *)(w + 32 * half));
            bytes = _mm256_permute4x64_epi64(_mm256_shuffle_epi8(bytes, pairs), 0xD8);   // 8 first pairs, 8 second
            _mm256_storeu_si256((__m256i *)out + half, _mm256_cvtepi8_epi16(_mm256_castsi256_si128(bytes)));
            _mm256_storeu_si256((__m256i *)out + 2 + half, _mm256_cvtepi8_epi16(_mm256_extracti128_si256(bytes, 1)));
        }
    }
}

#ifndef SORAD_SIMDE
// Whole lines of six rows, in assembly: 79 % of the peak loop, where clang's order of the same instructions stands at 69 %.
// Sums are in ymm0-11, a row's two beside each other, as `sum` wants them.
#define SORAD_ROW(r, s, low, high)                                                                       \
    "vpbroadcastd 64*" #r "+4*" #s "(%[a]), %%ymm14\n"                                                   \
    "vpmaddwd %%ymm12, %%ymm14, %%ymm15\n vpaddd %%ymm15, %%ymm" #low ", %%ymm" #low "\n"                \
    "vpmaddwd %%ymm13, %%ymm14, %%ymm15\n vpaddd %%ymm15, %%ymm" #high ", %%ymm" #high "\n"
#define SORAD_STEP(s)                                                                                    \
    "vmovdqu 64*" #s "(%[w]), %%ymm12\n vmovdqu 64*" #s "+32(%[w]), %%ymm13\n"                           \
    SORAD_ROW(0, s, 0, 1) SORAD_ROW(1, s, 2, 3) SORAD_ROW(2, s, 4, 5)                                    \
    SORAD_ROW(3, s, 6, 7) SORAD_ROW(4, s, 8, 9) SORAD_ROW(5, s, 10, 11)
#define SORAD_PAIR(r, low, high) "vmovdqu %%ymm" #low ", 64*" #r "(%[sum])\n vmovdqu %%ymm" #high ", 64*" #r "+32(%[sum])\n"
#define SORAD_ZERO(n) "vpxor %%ymm" #n ", %%ymm" #n ", %%ymm" #n "\n"

SORAD_INLINE void int8_six_rows(const char *a, const char *w, size_t lines, lanes_i32 *sum) {
    size_t quarters;
    __asm__ volatile(
        SORAD_ZERO(0) SORAD_ZERO(1) SORAD_ZERO(2) SORAD_ZERO(3) SORAD_ZERO(4) SORAD_ZERO(5)
        SORAD_ZERO(6) SORAD_ZERO(7) SORAD_ZERO(8) SORAD_ZERO(9) SORAD_ZERO(10) SORAD_ZERO(11)
        "1: mov $4, %[quarters]\n"
        "2:\n" SORAD_STEP(0) SORAD_STEP(1) SORAD_STEP(2) SORAD_STEP(3)
        "add $16, %[a]\n add $256, %[w]\n dec %[quarters]\n jnz 2b\n"
        "add $320, %[a]\n dec %[lines]\n jnz 1b\n"
        SORAD_PAIR(0, 0, 1) SORAD_PAIR(1, 2, 3) SORAD_PAIR(2, 4, 5) SORAD_PAIR(3, 6, 7) SORAD_PAIR(4, 8, 9) SORAD_PAIR(5, 10, 11)
        : [a] "+r"(a), [w] "+r"(w), [lines] "+r"(lines), [quarters] "=&r"(quarters)
        : [sum] "r"(sum)
        : "memory", "cc", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11",
          "ymm12", "ymm13", "ymm14", "ymm15");
}
#endif

SORAD_INLINE void int8_tile(const size_t rows, const size_t blocks, const char *a, const char *w, size_t w_stride,
                            size_t steps, lanes_i32 *sum) {
    (void)blocks, (void)w_stride;
    for (size_t r = 0; r < rows; r++) sum[r] = (lanes_i32){0};
#ifndef SORAD_SIMDE
    if (rows == SORAD_INT8_ROWS && steps >= 16) {
        int8_six_rows(a, w, steps / 16, sum);
        a += steps / 16 * rows * 64, w += steps / 16 * 16 * 64, steps %= 16;
        if (steps == 0) return;
    }
#endif
    __m256i low[SORAD_INT8_ROWS], high[SORAD_INT8_ROWS];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        memcpy(low + r, sum + r, 32);
        memcpy(high + r, (const char *)(sum + r) + 32, 32);
    }
    for (; steps > 0; a += rows * 64) {
        size_t line = steps < 16 ? steps : 16;
        steps -= line;
        for (size_t s = 0; s < line; s++, w += 64) {
            __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
#pragma clang loop unroll(full)
            for (size_t r = 0; r < rows; r++) {
                int32_t word;
                memcpy(&word, a + r * 64 + s * 4, sizeof word);
                __m256i two = _mm256_set1_epi32(word);
                low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(two, w0));
                high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(two, w1));
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < rows; r++) {
        memcpy(sum + r, low + r, 32);
        memcpy((char *)(sum + r) + 32, high + r, 32);
    }
}
