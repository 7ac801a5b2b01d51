// Vectors of 16 floats ("lanes"): every float kernel is written once on them and compiled for each instruction set.
//
// Invariant: each lane does exactly the IEEE operations of the scalar definition (scalar_math.h), in its order. A
// `lanes` value is one 512-bit register, two of 256 bits or four of 128; the arithmetic is the same by construction.
//
// The file of an instruction set defines SORAD_PREFIX before it includes kernels of this folder: KERNEL(add_f32) is
// then sorad_avx2_add_f32.
#ifndef SORAD_LANES_H
#define SORAD_LANES_H

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include "../internal/kernel_list.h"
#include "../scalar/scalar_math.h"

#pragma STDC FP_CONTRACT OFF
// Everything here is inlined into one file, so the calling convention of wide vectors never matters.
#pragma clang diagnostic ignored "-Wpsabi"

typedef float lanes __attribute__((vector_size(64)));
typedef int32_t lanes_i32 __attribute__((vector_size(64)));
typedef uint32_t lanes_u32 __attribute__((vector_size(64)));
typedef int8_t lanes_i8 __attribute__((vector_size(16)));
typedef float lanes_at __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t lanes_i32_at __attribute__((vector_size(64), aligned(4), may_alias));
typedef int32_t lanes_i32_anywhere __attribute__((vector_size(64), aligned(1), may_alias));
typedef int8_t lanes_i8_at __attribute__((vector_size(16), aligned(1), may_alias));

// tile(n) with a constant n = min(rows, most): a tile is compiled for each number of rows. `most` is 1 to 12.
#define SORAD_ROWS_CASE(n, most, tile) \
    case n:                            \
        if (n < (most)) { tile(n); }   \
        break;
#define SORAD_DISPATCH_ROWS(rows, most, tile)                                                                                \
    do {                                                                                                                     \
        const size_t rows_ = (rows);                                                                                         \
        if (rows_ >= (most)) {                                                                                               \
            tile(most);                                                                                                      \
            break;                                                                                                           \
        }                                                                                                                    \
        switch (rows_) {                                                                                                     \
            SORAD_ROWS_CASE(1, most, tile) SORAD_ROWS_CASE(2, most, tile) SORAD_ROWS_CASE(3, most, tile)                     \
            SORAD_ROWS_CASE(4, most, tile) SORAD_ROWS_CASE(5, most, tile) SORAD_ROWS_CASE(6, most, tile)                     \
            SORAD_ROWS_CASE(7, most, tile) SORAD_ROWS_CASE(8, most, tile) SORAD_ROWS_CASE(9, most, tile)                     \
            SORAD_ROWS_CASE(10, most, tile) SORAD_ROWS_CASE(11, most, tile)                                                  \
        }                                                                                                                    \
    } while (0)

#define SORAD_INLINE static inline __attribute__((always_inline))

#define SORAD_PASTE_(prefix, name) sorad_##prefix##_##name
#define SORAD_PASTE(prefix, name) SORAD_PASTE_(prefix, name)
#define KERNEL(name) SORAD_PASTE(SORAD_PREFIX, name)

SORAD_INLINE lanes splat(float x) { return (lanes){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }
SORAD_INLINE lanes_u32 splat_u32(uint32_t x) {
    return (lanes_u32){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
}
SORAD_INLINE lanes vfma(lanes a, lanes b, lanes c) { return __builtin_elementwise_fma(a, b, c); }
SORAD_INLINE lanes vselect(lanes_i32 mask, lanes a, lanes b) {
    return (lanes)((mask & (lanes_i32)a) | (~mask & (lanes_i32)b));
}
// a > b ? a : b, so b where one is NaN, as maxps does.
SORAD_INLINE lanes vmax(lanes a, lanes b) { return vselect(a > b, a, b); }
SORAD_INLINE lanes vmin(lanes a, lanes b) { return vselect(a < b, a, b); }

SORAD_INLINE lanes load16(const float *p) { return *(const lanes_at *)p; }
SORAD_INLINE void store16(float *p, lanes x) { *(lanes_at *)p = x; }

// `count` floats (1...16); lanes beyond are 0 and memory beyond is not touched.
SORAD_INLINE lanes load(const float *p, size_t count) {
    if (count == SORAD_LANES) return load16(p);
    float values[SORAD_LANES] = {0};
    for (size_t i = 0; i < count; i++) values[i] = p[i];
    return load16(values);
}
SORAD_INLINE void store(float *p, lanes x, size_t count) {
    if (count == SORAD_LANES) {
        store16(p, x);
        return;
    }
    float values[SORAD_LANES], *from = values;
    store16(values, x);
    // In pieces of a constant size: a loop takes longer than the vector took to compute.
    if (count & 8) memcpy(p, from, 8 * sizeof *p), p += 8, from += 8;
    if (count & 4) memcpy(p, from, 4 * sizeof *p), p += 4, from += 4;
    if (count & 2) memcpy(p, from, 2 * sizeof *p), p += 2, from += 2;
    if (count & 1) *p = *from;
}
SORAD_INLINE lanes_i32 load_i32(const int32_t *p, size_t count) {
    if (count == SORAD_LANES) return *(const lanes_i32_at *)p;
    int32_t values[SORAD_LANES] = {0};
    for (size_t i = 0; i < count; i++) values[i] = p[i];
    return *(const lanes_i32_at *)values;
}
SORAD_INLINE void store_i32(int32_t *p, lanes_i32 x, size_t count) {
    int32_t values[SORAD_LANES];
    *(lanes_i32_at *)values = x;
    for (size_t i = 0; i < count; i++) p[i] = values[i];
}
// Zeroes the lanes at and beyond `count`.
SORAD_INLINE lanes mask_tail(lanes x, size_t count) {
    if (count == SORAD_LANES) return x;
    const lanes_i32 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return (lanes)((lanes_i32)x & (index < (lanes_i32)splat_u32((uint32_t)count)));
}
// The first `count` lanes of x, the others from rest.
SORAD_INLINE lanes merge_tail(lanes x, lanes rest, size_t count) {
    const lanes_i32 index = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return vselect(index < (lanes_i32)splat_u32((uint32_t)count), x, rest);
}
SORAD_INLINE size_t lane_count(size_t i, size_t n) { return n - i < SORAD_LANES ? n - i : SORAD_LANES; }

#define SORAD_FOR_LANES(n) for (size_t i = 0, count; i < (n) && (count = lane_count(i, n), true); i += SORAD_LANES)

// The same, with the statements compiled twice: for whole vectors, whose count is a constant, and for the tail.
#define SORAD_FOR_LANES_SPLIT(n, ...)                                                      \
    do {                                                                              \
        size_t i = 0;                                                                 \
        for (; i + SORAD_LANES <= (n); i += SORAD_LANES) {                            \
            const size_t count = SORAD_LANES;                                         \
            __VA_ARGS__                                                               \
        }                                                                             \
        if (i < (n)) {                                                                \
            const size_t count = (n) - i;                                             \
            __VA_ARGS__                                                               \
        }                                                                             \
    } while (0)

// The rows of one head are far apart in memory, a pattern that hardware prefetchers miss.
enum { PREFETCH_ROWS = 12 };
SORAD_INLINE void prefetch_row(const float *x, size_t d, const bool to_write) {
    for (size_t i = 0; i < d; i += SORAD_LANES) to_write ? __builtin_prefetch(x + i, 1) : __builtin_prefetch(x + i);
}

// The lanes from 8 (4, 2, 1) on, moved to the front, for the halves of a tree; what fills the end is not used.
#define SORAD_LANES_FROM_8(x) __builtin_shufflevector(x, x, 8, 9, 10, 11, 12, 13, 14, 15, 8, 9, 10, 11, 12, 13, 14, 15)
#define SORAD_LANES_FROM_4(x) __builtin_shufflevector(x, x, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7, 4, 5, 6, 7)
#define SORAD_LANES_FROM_2(x) __builtin_shufflevector(x, x, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3, 2, 3)
#define SORAD_LANES_FROM_1(x) __builtin_shufflevector(x, x, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)

// The fixed tree of scalar_math.h: lanes 8 apart, then 4, 2, 1.
SORAD_INLINE float lanes_sum(lanes x) {
    x += SORAD_LANES_FROM_8(x);
    x += SORAD_LANES_FROM_4(x);
    x += SORAD_LANES_FROM_2(x);
    return (x + SORAD_LANES_FROM_1(x))[0];
}
SORAD_INLINE uint32_t lanes_sum_u32(lanes_u32 x) {
    x += SORAD_LANES_FROM_8(x);
    x += SORAD_LANES_FROM_4(x);
    x += SORAD_LANES_FROM_2(x);
    return (x + SORAD_LANES_FROM_1(x))[0];
}
// Any order gives the same maximum (of numbers).
SORAD_INLINE float lanes_max(lanes x) {
    x = vmax(x, SORAD_LANES_FROM_8(x));
    x = vmax(x, SORAD_LANES_FROM_4(x));
    x = vmax(x, SORAD_LANES_FROM_2(x));
    return vmax(x, SORAD_LANES_FROM_1(x))[0];
}

// What quantization sees: NaN is 0, infinity the largest float.
SORAD_INLINE lanes finite_lanes(lanes v) {
    v = (lanes)((lanes_i32)v & (v == v));
    return vmin(vmax(v, splat(-FLT_MAX)), splat(FLT_MAX));
}
SORAD_INLINE lanes load_finite(const float *x, size_t count) { return finite_lanes(load(x, count)); }

SORAD_INLINE lanes_i32 clamp_int8(lanes_i32 q) {
    const lanes_i32 max = (lanes_i32)splat_u32(127);
    return __builtin_elementwise_min(__builtin_elementwise_max(q, -max), max);
}

// Concatenation in registers: a wide load from what narrower stores have written would stall.
typedef int8_t i8x32 __attribute__((vector_size(32)));
typedef int8_t i8x64 __attribute__((vector_size(64)));
SORAD_INLINE i8x32 concat_i8x16(lanes_i8 a, lanes_i8 b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                                   26, 27, 28, 29, 30, 31);
}
SORAD_INLINE i8x64 concat_i8x32(i8x32 a, i8x32 b) {
    return __builtin_shufflevector(a, b, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25,
                                   26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52, 53, 54,
                                   55, 56, 57, 58, 59, 60, 61, 62, 63);
}

// ---- scalar_math.h, lane by lane -----------------------------------------------------------------------------------

SORAD_INLINE lanes power_of_two(lanes_i32 exponent) { return (lanes)(((lanes_u32)exponent + 127u) << 23); }

SORAD_INLINE lanes exp_reduce(lanes x, lanes_i32 *k) {
    lanes t = vfma(x, splat(SORAD_LOG2_E), splat(SORAD_ROUND_MAGIC));
    *k = (lanes_i32)((lanes_u32)t - SORAD_ROUND_MAGIC_BITS);
    lanes n = t - SORAD_ROUND_MAGIC;
    return vfma(n, splat(-SORAD_LN2_LOW), vfma(n, splat(-SORAD_LN2_HIGH), x));
}

SORAD_INLINE lanes exp_series(lanes r) {
    lanes p = splat(1.0f / 5040.0f);
    p = vfma(p, r, splat(1.0f / 720.0f));
    p = vfma(p, r, splat(1.0f / 120.0f));
    p = vfma(p, r, splat(1.0f / 24.0f));
    p = vfma(p, r, splat(1.0f / 6.0f));
    return vfma(p, r, splat(0.5f));
}

SORAD_INLINE lanes exp_lanes(lanes x) {
    x = vselect(x > 89.0f, splat(89.0f), x);
    x = vselect(x < -104.0f, splat(-104.0f), x);
    lanes_i32 k;
    lanes r = exp_reduce(x, &k);
    lanes p = vfma(vfma(exp_series(r), r, splat(1.0f)), r, splat(1.0f));
#ifdef SORAD_SCALE_BY_POWER
    return SORAD_SCALE_BY_POWER(p, k);
#else
    lanes_i32 half = k >> 1;
    return p * power_of_two(half) * power_of_two((lanes_i32)((lanes_u32)k - (lanes_u32)half));
#endif
}

SORAD_INLINE lanes tanh_lanes(lanes x) {
    x = vselect(x > 10.0f, splat(10.0f), x);
    x = vselect(x < -10.0f, splat(-10.0f), x);
    lanes_i32 k;
    lanes r = exp_reduce(2.0f * x, &k);
    lanes scale = power_of_two(k);
    lanes m = vfma(scale, vfma(r * r, exp_series(r), r), scale - 1.0f);
    return m / (m + 2.0f);
}

// In memory, for code whose registers hold sums.
typedef struct exp2_byte_constants {
    float min, magic, c3, c2, c1, scale;
} exp2_byte_constants;
#define SORAD_EXP2_BYTE \
    {SORAD_EXP2_MIN, SORAD_ROUND_MAGIC, SORAD_EXP2_BYTE_C3, SORAD_EXP2_BYTE_C2, SORAD_EXP2_BYTE_C1, 255.0f}

SORAD_INLINE lanes_u32 exp2_byte_lanes(lanes x, const exp2_byte_constants *c) {
    x = vmax(x, splat(c->min));
    lanes t = x + splat(c->magic), f = x - (t - splat(c->magic));
    lanes p = vfma(vfma(vfma(splat(c->c3), f, splat(c->c2)), f, splat(c->c1)), f, splat(c->scale));
    p = (lanes)((lanes_u32)p + ((lanes_u32)t << 23));
    return (lanes_u32)(p + splat(c->magic)) & 0xFFu;
}

SORAD_INLINE lanes exp2_limited_lanes(lanes z) {
#ifdef SORAD_CLAMP_MAGNITUDE
    z = SORAD_CLAMP_MAGNITUDE(z, SORAD_EXP2_LIMIT);
#else
    z = vmax(vmin(z, splat(SORAD_EXP2_LIMIT)), splat(-SORAD_EXP2_LIMIT));
#endif
    lanes t = z + SORAD_ROUND_MAGIC, f = z - (t - SORAD_ROUND_MAGIC);
    lanes p = vfma(vfma(splat(SORAD_EXP2_C5), f, splat(SORAD_EXP2_C4)), f, splat(SORAD_EXP2_C3));
    p = vfma(vfma(vfma(p, f, splat(SORAD_EXP2_C2)), f, splat(SORAD_EXP2_C1)), f, splat(1.0f));
    return (lanes)((lanes_u32)p + ((lanes_u32)t << 23));
}

SORAD_INLINE lanes_u32 exp2_word_lanes(lanes x) {
    x = vmax(x, splat(SORAD_EXP2_MIN));
    return (lanes_u32)vfma(exp2_limited_lanes(x), splat(65535.0f), splat(SORAD_ROUND_MAGIC)) & 0xFFFFu;
}

SORAD_INLINE lanes silu_lanes(lanes x) { return x / (1.0f + exp_lanes(-x)); }
SORAD_INLINE lanes gelu_tanh_lanes(lanes x) {
    return x / (1.0f + exp2_limited_lanes(x * vfma(x * x, splat(SORAD_GELU_CUBIC), splat(SORAD_GELU_LINEAR))));
}
SORAD_INLINE lanes relu_lanes(lanes x) { return vmax(x, splat(0.0f)); }
SORAD_INLINE lanes clamp_tanh_lanes(lanes x) { return tanh_lanes(x / 3.0f) * 3.0f; }

// Row m, outputs n ..< n + count.
SORAD_INLINE lanes epilogue_lanes(const sorad_epilogue *e, size_t m, size_t n, size_t count, lanes x) {
    switch (e->activation) {
    case SORAD_ACTIVATION_NONE: break;
    case SORAD_ACTIVATION_RELU: x = relu_lanes(x); break;
    case SORAD_ACTIVATION_GELU_TANH: x = gelu_tanh_lanes(x); break;
    case SORAD_ACTIVATION_SILU: x = silu_lanes(x); break;
    }
    if (e->residual) {
        lanes residual = load(e->residual + m * e->residual_stride + n, count);
        x = e->gate ? vfma(load(e->gate + m * e->gate_stride + n, count), x, residual) : residual + x;
    } else if (e->gate) {
        x = load(e->gate + m * e->gate_stride + n, count) * x;
    }
    return e->relu_at_end ? relu_lanes(x) : x;
}

#endif
