// Packs row-major weights to the layouts that GEMM and convolution read, and computes the sizes of packed data.
#include <string.h>

#include "sorad_portable.h"

size_t sorad_attention_packed_floats_f32(size_t heads, size_t lk, size_t head_dim) {
    size_t keys = (lk + SORAD_ATTENTION_KEY_BLOCK - 1) / SORAD_ATTENTION_KEY_BLOCK * SORAD_ATTENTION_KEY_BLOCK;
    return heads * keys * (head_dim + (head_dim + 15) / 16 * 16);
}

// Two numbers per key and per channel, then keys and values of at most 2 bytes each.
size_t sorad_attention_packed_floats_qd8kv(size_t heads, size_t lk, size_t head_dim) {
    size_t lk16 = (lk + 15) / 16 * 16, d4 = (head_dim + 3) / 4 * 4, d16 = (head_dim + 15) / 16 * 16;
    return heads * (2 * lk16 + 2 * d16 + lk16 * (d4 + d16) / 2);
}

size_t sorad_qd8_packed_max_bytes(size_t rows, size_t k) { return rows * ((k + 31) / 32 * 64); }

void sorad_pack_f32(const float *w, size_t n, size_t k, float *packed) {
    for (size_t block = 0; block < n; block += 16)
        for (size_t j = 0; j < k; j++)
            for (size_t i = 0; i < 16; i++) *packed++ = block + i < n ? w[(block + i) * k + j] : 0.0f;
}

void sorad_pack_int8(const int8_t *w, size_t n, size_t k, int8_t *packed, int32_t *sum) {
    memset(sum, 0, n * sizeof *sum);
    for (size_t block = 0; block < n; block += 16)
        for (size_t group = 0; group < k; group += 4)
            for (size_t i = block; i < block + 16; i++)
                for (size_t j = group; j < group + 4; j++) {
                    int8_t value = i < n && j < k ? w[i * k + j] : 0;
                    if (i < n) sum[i] += value;
                    *packed++ = value;
                }
}
