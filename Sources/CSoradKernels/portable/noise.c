// Counter-based normal noise: Philox-4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011) and the Box-Muller transform.
#include <math.h>

#include "sorad_portable.h"

#pragma STDC FP_CONTRACT OFF

void sorad_philox_block(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c1 = (uint32_t)p1;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c3 = (uint32_t)p0;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

// Two uniform words to two normal values. The first is mapped to (0, 1], so its logarithm is finite.
static void box_muller(uint32_t a, uint32_t b, float out[2]) {
    double radius = sqrt(-2.0 * sorad_log(((double)a + 1.0) * 0x1p-32));
    double sine, cosine;
    sorad_sincos((double)b * (6.28318530717958647693 * 0x1p-32), &sine, &cosine);
    out[0] = (float)(radius * cosine);
    out[1] = (float)(radius * sine);
}

void sorad_philox_normal(uint64_t seed, uint64_t stream, uint64_t first, size_t count, float *out) {
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    float values[4];
    uint64_t made = UINT64_MAX;
    for (size_t i = 0; i < count; i++) {
        uint64_t element = first + i, block = element / 4;
        if (block != made) {
            const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), (uint32_t)stream,
                                         (uint32_t)(stream >> 32)};
            uint32_t words[4];
            sorad_philox_block(counter, key, words);
            box_muller(words[0], words[1], values);
            box_muller(words[2], words[3], values + 2);
            made = block;
        }
        out[i] = values[element % 4];
    }
}
