// The tile of AVX-VNNI and of AVX512VL-VNNI, 256-bit vpdpbusd: 6 rows x 16 outputs; the sums take 12 of the 16
// registers. The including file names the intrinsic, VEX or EVEX encoded, in SORAD_DPBUSD. See lanes/gemm_tile.h.
#ifndef SORAD_GEMM_TILE_AVXVNNI_H
#define SORAD_GEMM_TILE_AVXVNNI_H

enum { MR = 6, NR = 16, KC = 1024, NC = 256, TILE_A_OFFSET = 128, TILE_INTERLEAVES = false };
#define TILE_A_BYTES 1

// Flips the top bit: adds 128 to each value.
SORAD_INLINE void a_pack_kblock(const int8_t *a, void *out) {
    const __m256i top = _mm256_set1_epi8((char)0x80);
    for (int i = 0; i < 2; i++) {
        __m256i bytes = _mm256_loadu_si256((const __m256i *)a + i);
        _mm256_storeu_si256((__m256i *)out + i, _mm256_xor_si256(bytes, top));
    }
}

SORAD_INLINE void gemm_tile(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, size_t steps,
                            const partial_sums *start, partial_sums *sum, const size_t every, tile_hook *const hook, void *context,
                            const int variant) {
    (void)panels, (void)w_stride;
    __m256i low[MR], high[MR];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++) low[r] = high[r] = _mm256_setzero_si256();
    for (; steps > 0; a += mr * 64) {
        size_t kblock = steps < STEPS_OF_KBLOCK ? steps : STEPS_OF_KBLOCK;
        steps -= kblock;
        for (size_t s = 0; s < kblock; s++, w += 64) {
            if (kblock == STEPS_OF_KBLOCK && s % every == 0) hook(context, variant);
            __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
            __builtin_prefetch(w + 1024);
#pragma clang loop unroll(full)
            for (size_t r = 0; r < mr; r++) {
                int32_t word;
                memcpy(&word, a + r * 64 + s * 4, sizeof word);
                __m256i four = _mm256_set1_epi32(word);
                low[r] = SORAD_DPBUSD(low[r], four, w0);
                high[r] = SORAD_DPBUSD(high[r], four, w1);
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++) {
        memcpy(sum + r, low + r, 32);
        memcpy((char *)(sum + r) + 32, high + r, 32);
    }
    add_partial_sums(sum, start, mr);
}

// The same sums for a window of an image. Every third pixel's address is kept; the two after it are at constant
// distances.
SORAD_INLINE void conv_tile(const size_t mr, const size_t panels, const conv_window *window, const char *w, size_t w_stride,
                                  lanes_i32 *sum) {
    (void)panels, (void)w_stride;
    __m256i low[MR], high[MR];
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++) low[r] = high[r] = _mm256_setzero_si256();
    const size_t pixel = window->pixel;
    for (size_t row = 0; row < window->rows; row++) {
        const char *a0 = window->row[row], *a3 = a0 + 3 * pixel;
        for (size_t s = window->steps; s > 0; s--, w += 64, a0 += 4, a3 += 4) {
            __asm__("" : "+r"(a0), "+r"(a3));   // otherwise clang keeps six addresses
            const char *const from[2] = {a0, a3};
            __m256i w0 = _mm256_loadu_si256((const __m256i *)w), w1 = _mm256_loadu_si256((const __m256i *)(w + 32));
#pragma clang loop unroll(full)
            for (size_t r = 0; r < mr; r++) {
                int32_t word;
                memcpy(&word, from[r / 3] + r % 3 * pixel, sizeof word);
                __m256i four = _mm256_set1_epi32(word);
                low[r] = SORAD_DPBUSD(low[r], four, w0);
                high[r] = SORAD_DPBUSD(high[r], four, w1);
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++) {
        memcpy(sum + r, low + r, 32);
        memcpy((char *)(sum + r) + 32, high + r, 32);
    }
}

#endif
