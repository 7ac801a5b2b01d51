// FIPS 180-4, 6.2.2, with the CPU's instructions: four rounds at a time, the message schedule in a ring of four vectors.
#include "sorad_linux_sha256.h"

#if defined(__x86_64__) || defined(__aarch64__)
// First 32 bits of the fractional parts of the cube roots of the first 64 primes.
static const uint32_t constants[64] __attribute__((aligned(16))) = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
    0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
    0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
    0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
    0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
    0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};
#endif

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>

int sorad_linux_sha256_available(void) {
    unsigned eax, ebx, ecx, edx;
    if (!__get_cpuid(1, &eax, &ebx, &ecx, &edx)) return 0;
    const unsigned ssse3 = 1u << 9, sse41 = 1u << 19;
    if ((ecx & (ssse3 | sse41)) != (ssse3 | sse41)) return 0;
    if (!__get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx)) return 0;
    return (ebx >> 29) & 1;
}

__attribute__((target("sha,sse4.1,ssse3")))
void sorad_linux_sha256_compress(uint32_t *state, const void *bytes, size_t blocks) {
    const __m128i big_endian = _mm_set_epi64x(0x0c0d0e0f08090a0bLL, 0x0405060700010203LL);
    const uint8_t *input = bytes;
    // The instructions want the words as (f, e, b, a) and (h, g, d, c), lowest first.
    const __m128i abcd = _mm_loadu_si128((const __m128i *)state);
    const __m128i efgh = _mm_loadu_si128((const __m128i *)(state + 4));
    const __m128i badc = _mm_shuffle_epi32(abcd, 0xB1), hgfe = _mm_shuffle_epi32(efgh, 0x1B);
    __m128i abef = _mm_alignr_epi8(badc, hgfe, 8);
    __m128i cdgh = _mm_blend_epi16(hgfe, badc, 0xF0);
    for (; blocks > 0; blocks--, input += 64) {
        const __m128i abef_before = abef, cdgh_before = cdgh;
        __m128i ring[4];
#pragma clang loop unroll(full)
        for (int group = 0; group < 16; group++) {
            __m128i words;
            if (group < 4) {
                words = _mm_shuffle_epi8(_mm_loadu_si128((const __m128i *)(input + 16 * group)), big_endian);
            } else {
                const __m128i newest = ring[(group + 3) & 3], second = ring[(group + 2) & 3];
                words = _mm_add_epi32(_mm_sha256msg1_epu32(ring[group & 3], ring[(group + 1) & 3]), _mm_alignr_epi8(newest, second, 4));
                words = _mm_sha256msg2_epu32(words, newest);
            }
            ring[group & 3] = words;
            const __m128i keyed = _mm_add_epi32(words, _mm_load_si128((const __m128i *)(constants + 4 * group)));
            cdgh = _mm_sha256rnds2_epu32(cdgh, abef, keyed);
            abef = _mm_sha256rnds2_epu32(abef, cdgh, _mm_shuffle_epi32(keyed, 0x0E));
        }
        abef = _mm_add_epi32(abef, abef_before);
        cdgh = _mm_add_epi32(cdgh, cdgh_before);
    }
    const __m128i feba = _mm_shuffle_epi32(abef, 0x1B), dchg = _mm_shuffle_epi32(cdgh, 0xB1);
    _mm_storeu_si128((__m128i *)state, _mm_blend_epi16(feba, dchg, 0xF0));
    _mm_storeu_si128((__m128i *)(state + 4), _mm_alignr_epi8(dchg, feba, 8));
}
#elif defined(__aarch64__)
#include <arm_neon.h>
#include <sys/auxv.h>

int sorad_linux_sha256_available(void) { return (getauxval(AT_HWCAP) >> 6) & 1; }   // HWCAP_SHA2

__attribute__((target("sha2")))
void sorad_linux_sha256_compress(uint32_t *state, const void *bytes, size_t blocks) {
    const uint8_t *input = bytes;
    uint32x4_t abcd = vld1q_u32(state), efgh = vld1q_u32(state + 4);
    for (; blocks > 0; blocks--, input += 64) {
        const uint32x4_t abcd_before = abcd, efgh_before = efgh;
        uint32x4_t ring[4];
#pragma clang loop unroll(full)
        for (int group = 0; group < 16; group++) {
            uint32x4_t words;
            if (group < 4) {
                words = vreinterpretq_u32_u8(vrev32q_u8(vld1q_u8(input + 16 * group)));
            } else {
                words = vsha256su0q_u32(ring[group & 3], ring[(group + 1) & 3]);
                words = vsha256su1q_u32(words, ring[(group + 2) & 3], ring[(group + 3) & 3]);
            }
            ring[group & 3] = words;
            const uint32x4_t keyed = vaddq_u32(words, vld1q_u32(constants + 4 * group)), abcd_then = abcd;
            abcd = vsha256hq_u32(abcd, efgh, keyed);
            efgh = vsha256h2q_u32(efgh, abcd_then, keyed);
        }
        abcd = vaddq_u32(abcd, abcd_before);
        efgh = vaddq_u32(efgh, efgh_before);
    }
    vst1q_u32(state, abcd);
    vst1q_u32(state + 4, efgh);
}
#else
int sorad_linux_sha256_available(void) { return 0; }

void sorad_linux_sha256_compress(uint32_t *state, const void *bytes, size_t blocks) {
    (void)state, (void)bytes, (void)blocks;
    __builtin_trap();
}
#endif
