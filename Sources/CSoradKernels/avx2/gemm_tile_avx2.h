// The tile of AVX2: 6 rows x 16 outputs on 16-bit values. vpmaddwd adds two exact products to an int32, vpaddd adds
// that to the sum. The alternative, vpmaddubsw with the sign of w moved to a (exact within +-127), needs a vpsignb
// for every product, which on Zen 3 competes for the multipliers' ports: it reached two thirds of the vpmaddubsw
// peak. Widening rows and weights once costs 1 % and leaves two multiplier operations for 32 products, as many as the
// peak-throughput microbenchmark has. See lanes/gemm_tile.h.
#ifndef SORAD_GEMM_TILE_AVX2_H
#define SORAD_GEMM_TILE_AVX2_H

enum { MR = 6, NR = 16, KC = 768, NC = 128, TILE_A_OFFSET = 0, TILE_INTERLEAVES = false };
#define TILE_A_BYTES 2

// 32 values to 16 bits.
SORAD_INLINE void a_pack_kblock(const int8_t *a, void *out) {
    for (int i = 0; i < 2; i++) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(a + 16 * i));
        _mm256_storeu_si256((__m256i *)out + i, _mm256_cvtepi8_epi16(bytes));
    }
}

// [K/4][16][4] bytes -> [K/2][16][2] 16-bit numbers.
SORAD_INLINE void w_widen_panel(const int8_t *w, size_t groups, void *out) {
    // Of 4 outputs: their first pairs, then their second pairs.
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
#define TILE_HAS_ASSEMBLY 1
// Whole K-blocks of six rows, in assembly: 79 % of the peak, where clang's order of the same instructions reaches 69
// %. The sums are in ymm0-11, the two halves of a row side by side, as `sum` stores them.
#define SORAD_ROW(r, s, low, high)                                                                       \
    "vpbroadcastd 64*" #r "+4*" #s "(%[a]), %%ymm14\n"                                                   \
    "vpmaddwd %%ymm12, %%ymm14, %%ymm15\n vpaddd %%ymm15, %%ymm" #low ", %%ymm" #low "\n"                \
    "vpmaddwd %%ymm13, %%ymm14, %%ymm15\n vpaddd %%ymm15, %%ymm" #high ", %%ymm" #high "\n"
#define SORAD_STEP(s)                                                                                    \
    "vmovdqu 64*" #s "(%[w]), %%ymm12\n vmovdqu 64*" #s "+32(%[w]), %%ymm13\n"                           \
    SORAD_ROW(0, s, 0, 1) SORAD_ROW(1, s, 2, 3) SORAD_ROW(2, s, 4, 5)                                    \
    SORAD_ROW(3, s, 6, 7) SORAD_ROW(4, s, 8, 9) SORAD_ROW(5, s, 10, 11)
#define SORAD_STORE(r, low, high) "vmovdqu %%ymm" #low ", 64*" #r "(%[sum])\n vmovdqu %%ymm" #high ", 64*" #r "+32(%[sum])\n"
#define SORAD_ZERO(n) "vpxor %%ymm" #n ", %%ymm" #n ", %%ymm" #n "\n"

SORAD_INLINE void tile_kblocks(const char *a, const char *w, size_t kblocks, partial_sums *sum) {
    size_t quarters;
    __asm__ volatile(
        SORAD_ZERO(0) SORAD_ZERO(1) SORAD_ZERO(2) SORAD_ZERO(3) SORAD_ZERO(4) SORAD_ZERO(5)
        SORAD_ZERO(6) SORAD_ZERO(7) SORAD_ZERO(8) SORAD_ZERO(9) SORAD_ZERO(10) SORAD_ZERO(11)
        "1: mov $4, %[quarters]\n"
        "2:\n" SORAD_STEP(0) SORAD_STEP(1) SORAD_STEP(2) SORAD_STEP(3)
        "add $16, %[a]\n add $256, %[w]\n dec %[quarters]\n jnz 2b\n"
        "add $320, %[a]\n dec %[kblocks]\n jnz 1b\n"
        SORAD_STORE(0, 0, 1) SORAD_STORE(1, 2, 3) SORAD_STORE(2, 4, 5) SORAD_STORE(3, 6, 7) SORAD_STORE(4, 8, 9) SORAD_STORE(5, 10, 11)
        : [a] "+r"(a), [w] "+r"(w), [kblocks] "+r"(kblocks), [quarters] "=&r"(quarters)
        : [sum] "r"(sum)
        : "memory", "cc", "ymm0", "ymm1", "ymm2", "ymm3", "ymm4", "ymm5", "ymm6", "ymm7", "ymm8", "ymm9", "ymm10", "ymm11",
          "ymm12", "ymm13", "ymm14", "ymm15");
}
#else
#define TILE_HAS_ASSEMBLY 0   // SIMDe has no instructions to write
SORAD_INLINE void tile_kblocks(const char *a, const char *w, size_t kblocks, partial_sums *sum) {
    (void)a, (void)w, (void)kblocks, (void)sum;
}
#endif

SORAD_INLINE void gemm_tile(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, size_t steps,
                            const partial_sums *start, partial_sums *sum, const size_t every, tile_hook *const hook, void *context,
                            const int variant) {
    (void)panels, (void)w_stride;
    for (size_t r = 0; r < mr; r++) sum[r] = (partial_sums){0};
    if (TILE_HAS_ASSEMBLY && mr == MR && hook == no_hook && steps >= STEPS_OF_KBLOCK) {
        const size_t kblocks = steps / STEPS_OF_KBLOCK;
        tile_kblocks(a, w, kblocks, sum);
        a += kblocks * mr * 64, w += kblocks * STEPS_OF_KBLOCK * 64, steps %= STEPS_OF_KBLOCK;
    }
    if (steps > 0) {
        __m256i low[MR], high[MR];
#pragma clang loop unroll(full)
        for (size_t r = 0; r < mr; r++) {
            memcpy(low + r, sum + r, 32);
            memcpy(high + r, (const char *)(sum + r) + 32, 32);
        }
        for (; steps > 0; a += mr * 64) {
            size_t kblock = steps < STEPS_OF_KBLOCK ? steps : STEPS_OF_KBLOCK;
            steps -= kblock;
            for (size_t s = 0; s < kblock; s++, w += 64) {
                if (kblock == STEPS_OF_KBLOCK && s % every == 0) hook(context, variant);
                __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
#pragma clang loop unroll(full)
                for (size_t r = 0; r < mr; r++) {
                    int32_t word;
                    memcpy(&word, a + r * 64 + s * 4, sizeof word);
                    __m256i two = _mm256_set1_epi32(word);
                    low[r] = _mm256_add_epi32(low[r], _mm256_madd_epi16(two, w0));
                    high[r] = _mm256_add_epi32(high[r], _mm256_madd_epi16(two, w1));
                }
            }
        }
#pragma clang loop unroll(full)
        for (size_t r = 0; r < mr; r++) {
            memcpy(sum + r, low + r, 32);
            memcpy((char *)(sum + r) + 32, high + r, 32);
        }
    }
    add_partial_sums(sum, start, mr);
}

#endif
