// Quantization of activation rows (qd8) straight to the packed form that the int8 GEMM reads, see gemm_loops.h.
#ifndef SORAD_LANES_QUANTIZE_QD8_H
#define SORAD_LANES_QUANTIZE_QD8_H

#include "gemm_loops.h"

// 16 values. NaN counts as 0; infinity, like all that is beyond the largest float's quantized value, becomes 127 or
// -127.
SORAD_INLINE lanes_i8 quantize_lanes(const float *x, size_t count, float inverse, int32_t zero) {
    lanes v = load(x, count);
    lanes t = (lanes)((lanes_i32)v & (v == v)) * splat(inverse) + SORAD_ROUND_MAGIC;
    lanes_i32 value = (lanes_i32)((lanes_u32)t - SORAD_ROUND_MAGIC_BITS + splat_u32((uint32_t)zero));
    return __builtin_convertvector(clamp_int8(value), lanes_i8);
}

SORAD_INLINE i8x32 quantize_32(const float *x, float inverse, int32_t zero) {
    return concat_i8x16(quantize_lanes(x, SORAD_LANES, inverse, zero), quantize_lanes(x + SORAD_LANES, SORAD_LANES, inverse, zero));
}

// Quantizes a K-block of values to packed form.
SORAD_INLINE void quantize_kblock(const float *x, float inverse, int32_t zero, char *out) {
    const i8x32 first = quantize_32(x, inverse, zero);
    if (TILE_A_BYTES == 1) {
        const i8x64 all = concat_i8x32(first, quantize_32(x + 32, inverse, zero));
        a_pack_kblock((const int8_t *)&all, out);
    } else {
        a_pack_kblock((const int8_t *)&first, out);
    }
}

// Quantizes `count` values, at most a K-block, to a K-block in packed form; zeros follow.
SORAD_INLINE void quantize_kblock_tail(const float *x, const size_t count, float inverse, int32_t zero, char *out) {
    int8_t values[KBLOCK_VALUES] = {0};
    for (size_t i = 0; i < count; i += SORAD_LANES) {
        size_t n = lane_count(i, count);
        lanes_i8 bytes = quantize_lanes(x + i, n, inverse, zero);
        memcpy(values + i, &bytes, n);
    }
    a_pack_kblock(values, out);
}

// Min-max reduction of x [k] and 0, within the finite floats. NaN does not count.
SORAD_INLINE void quantize_minmax(const float *x, size_t k, float *low, float *high) {
    // Two accumulators of each kind: with one, each operation would wait for the one before.
    lanes lows = splat(0.0f), highs = splat(0.0f), lows2 = splat(0.0f), highs2 = splat(0.0f);
    const size_t pairs = k / (2 * SORAD_LANES) * 2 * SORAD_LANES;
    for (size_t i = 0; i < pairs; i += 2 * SORAD_LANES) {
        lanes v = load16(x + i), next = load16(x + i + SORAD_LANES);
        lows = vmin(v, lows), lows2 = vmin(next, lows2);
        highs = vmax(v, highs), highs2 = vmax(next, highs2);
    }
    for (size_t i = pairs; i < k; i += SORAD_LANES) {
        lanes v = load(x + i, lane_count(i, k));
        lows = vmin(v, lows), highs = vmax(v, highs);
    }
    lows = vmax(vmin(lows, lows2), splat(-FLT_MAX)), highs = vmin(vmax(highs, highs2), splat(FLT_MAX));
    *low = -lanes_max(-lows), *high = lanes_max(highs);
}

void KERNEL(quantize_f32_qd8)(const sorad_quantize_rows_args *args) {
    const gemm_plan plan = gemm_plan_of(args->k);
    const float *x = args->x;
    for (size_t m = args->row_begin; m < args->row_end; m++, x += args->x_stride) {
        const size_t first = m / MR * MR;
        const size_t tile = args->rows - first < MR ? args->rows - first : MR;
        char *out = (char *)args->q + (first * plan.kblocks + m - first) * KBLOCK_BYTES;
        float low, high;
        quantize_minmax(x, args->k, &low, &high);
        float inverse;
        sorad_quantize_parameters(low, high, args->asymmetric, args->scale + m, &inverse, args->zero + m);
        const int32_t zero = args->zero[m];
        size_t k = 0;
        for (; k + KBLOCK_VALUES <= args->k; k += KBLOCK_VALUES, out += tile * KBLOCK_BYTES)
            quantize_kblock(x + k, inverse, zero, out);
        if (k < args->k) quantize_kblock_tail(x + k, args->k - k, inverse, zero, out);
        if (m == first + tile - 1) a_interleave_rows((char *)args->q + first * plan.kblocks * KBLOCK_BYTES, tile, plan.kblocks);
    }
}

#endif
