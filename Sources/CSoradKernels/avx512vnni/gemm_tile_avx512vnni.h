// The tile of AVX512-VNNI, 512-bit vpdpbusd: 12 rows x 32 outputs; the sums take 24 of the 32 registers. See
// lanes/gemm_tile.h.
#ifndef SORAD_GEMM_TILE_AVX512VNNI_H
#define SORAD_GEMM_TILE_AVX512VNNI_H

enum { MR = 12, NR = 32, KC = 1536, NC = 256, TILE_A_OFFSET = 128, TILE_INTERLEAVES = true };
#define TILE_A_BYTES 1

// Flips the top bit: adds 128 to each value.
SORAD_INLINE void a_pack_kblock(const int8_t *a, void *out) {
    __m512i bytes = _mm512_loadu_si512((const void *)a);
    _mm512_storeu_si512(out, _mm512_xor_si512(bytes, _mm512_set1_epi32((int32_t)0x80808080)));
}

// One step of K: four values of every row against every panel. Prefetches weights 64 steps ahead, since the first row
// tile of a group reads them from beyond the second-level cache.
SORAD_INLINE void tile_step(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, __m512i *acc) {
    __m512i weights[NR / PANEL];
#pragma clang loop unroll(full)
    for (size_t p = 0; p < panels; p++) {
        weights[p] = _mm512_loadu_si512((const void *)(w + p * w_stride));
        __builtin_prefetch(w + p * w_stride + 4096);
    }
#pragma clang loop unroll(full)
    for (size_t r = 0; r < mr; r++) {
        int32_t word;
        memcpy(&word, a + r * 64, sizeof word);
        __m512i four = _mm512_set1_epi32(word);
#pragma clang loop unroll(full)
        for (size_t p = 0; p < panels; p++) acc[p * mr + r] = _mm512_dpbusd_epi32(acc[p * mr + r], four, weights[p]);
    }
}

// The hook runs in the shadow of products, so it should do little at a time: instructions that wait for their own
// operands occupy the scheduler's entries in which products would wait.
SORAD_INLINE void gemm_tile(const size_t mr, const size_t panels, const char *a, const char *w, size_t w_stride, size_t steps,
                            const partial_sums *start, partial_sums *sum, const size_t every, tile_hook *const hook, void *context,
                            const int variant) {
    __m512i acc[MR * (NR / PANEL)];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < mr * panels; i++) acc[i] = start ? (__m512i)start[i] : _mm512_setzero_si512();
    for (; steps >= 16; steps -= 16, a += (mr - 1) * 64) {
        for (size_t part = 0; part < 16; part += every, a += every * 4, w += every * 64) {
            hook(context, variant);
#pragma clang loop unroll(full)
            for (size_t s = 0; s < every; s++) tile_step(mr, panels, a + s * 4, w + s * 64, w_stride, acc);
        }
    }
    for (; steps > 0; steps--, a += 4, w += 64) tile_step(mr, panels, a, w, w_stride, acc);
#pragma clang loop unroll(full)
    for (size_t i = 0; i < mr * panels; i++) sum[i] = (partial_sums)acc[i];
}

// The same sums for a window of an image. Every third pixel's address is kept; the two after it are at constant
// distances.
SORAD_INLINE void conv_tile(const size_t mr, const size_t panels, const conv_window *window, const char *w, size_t w_stride,
                            lanes_i32 *sum) {
    __m512i acc[MR * (NR / PANEL)];
#pragma clang loop unroll(full)
    for (size_t i = 0; i < mr * panels; i++) acc[i] = _mm512_setzero_si512();
    const size_t pixel = window->pixel;
    for (size_t row = 0; row < window->rows; row++) {
        const char *a0 = window->row[row], *a3 = a0 + 3 * pixel, *a6 = a0 + 6 * pixel, *a9 = a0 + 9 * pixel;
        for (size_t s = window->steps; s > 0; s--, w += 64, a0 += 4, a3 += 4, a6 += 4, a9 += 4) {
            __asm__("" : "+r"(a0), "+r"(a3), "+r"(a6), "+r"(a9));   // otherwise clang keeps twelve addresses
            const char *const from[4] = {a0, a3, a6, a9};
            __m512i weights[NR / PANEL];
#pragma clang loop unroll(full)
            for (size_t p = 0; p < panels; p++) weights[p] = _mm512_loadu_si512((const void *)(w + p * w_stride));
#pragma clang loop unroll(full)
            for (size_t r = 0; r < mr; r++) {
                int32_t word;
                memcpy(&word, from[r / 3] + r % 3 * pixel, sizeof word);
                __m512i four = _mm512_set1_epi32(word);
#pragma clang loop unroll(full)
                for (size_t p = 0; p < panels; p++)
                    acc[p * mr + r] = _mm512_dpbusd_epi32(acc[p * mr + r], four, weights[p]);
            }
        }
    }
#pragma clang loop unroll(full)
    for (size_t i = 0; i < mr * panels; i++) memcpy(sum + i, acc + i, sizeof(lanes_i32));
}

#endif
