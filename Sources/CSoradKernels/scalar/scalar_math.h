// The float functions that define every result: exp, tanh, the activations, quantization, the 16-lane sum, the
// epilogue.
//
// Invariant: IEEE operations only, in the order written, fused where fmaf stands and nowhere else (FP_CONTRACT is off
// in every file of this target). fmaf rounds once on every machine, in hardware or in libm.
#ifndef SORAD_SCALAR_MATH_H
#define SORAD_SCALAR_MATH_H

#include <float.h>
#include <math.h>
#include <string.h>

#include "sorad_kernels.h"

#pragma STDC FP_CONTRACT OFF

enum { SORAD_LANES = 16 };

// 1.5 * 2^23: adding and subtracting it rounds |x| < 2^22 to the nearest integer, ties to even.
#define SORAD_ROUND_MAGIC 12582912.0f
#define SORAD_ROUND_MAGIC_BITS 0x4B400000u

#define SORAD_LOG2_E 1.44269504088896340736f
#define SORAD_LN2 0.693147180559945309417f
#define SORAD_LN2_HIGH 0.693147182464599609375f // ln 2 rounded to float
#define SORAD_LN2_LOW -1.904654299957776e-9f    // ln 2 minus that

static inline float sorad_round(float x) { return (x + SORAD_ROUND_MAGIC) - SORAD_ROUND_MAGIC; }

static inline float sorad_power_of_two(int32_t exponent) {
    uint32_t bits = (uint32_t)(exponent + 127) << 23;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

// x = k ln 2 + r with |r| <= ln 2 / 2; returns r.
static inline float sorad_exp_reduce(float x, int32_t *k) {
    float t = fmaf(x, SORAD_LOG2_E, SORAD_ROUND_MAGIC);
    uint32_t bits;
    memcpy(&bits, &t, sizeof bits);
    *k = (int32_t)(bits - SORAD_ROUND_MAGIC_BITS);
    float n = t - SORAD_ROUND_MAGIC;
    return fmaf(n, -SORAD_LN2_LOW, fmaf(n, -SORAD_LN2_HIGH, x));
}

// (e^r - 1 - r) / r^2 by its Taylor series; the first omitted term is below 6e-9 of e^r.
static inline float sorad_exp_series(float r) {
    float p = 1.0f / 5040.0f;
    p = fmaf(p, r, 1.0f / 720.0f);
    p = fmaf(p, r, 1.0f / 120.0f);
    p = fmaf(p, r, 1.0f / 24.0f);
    p = fmaf(p, r, 1.0f / 6.0f);
    return fmaf(p, r, 0.5f);
}

// e^x; 0 below -104, infinity above 88.73. The power of two is applied in two halves, so denormal results are right.
static inline float sorad_exp_f32(float x) {
    x = x > 89.0f ? 89.0f : x;
    x = x < -104.0f ? -104.0f : x;
    int32_t k;
    float r = sorad_exp_reduce(x, &k);
    float p = fmaf(fmaf(sorad_exp_series(r), r, 1.0f), r, 1.0f);
    int32_t half = k >> 1;
    return p * sorad_power_of_two(half) * sorad_power_of_two(k - half);
}

// tanh x = m / (m + 2), m = e^2x - 1 computed without cancellation.
static inline float sorad_tanh_f32(float x) {
    x = x > 10.0f ? 10.0f : x;
    x = x < -10.0f ? -10.0f : x;
    int32_t k;
    float r = sorad_exp_reduce(2.0f * x, &k);
    float scale = sorad_power_of_two(k);
    float m = fmaf(scale, fmaf(r * r, sorad_exp_series(r), r), scale - 1.0f);
    return m / (m + 2.0f);
}

// 2^z between 2^-126 and 2^126 by the best polynomial of degree 5 that is exact at 0: within 2 units in the last
// place of what 2^z is for a z so rounded. For a sigmoid, where anything beyond is 0 or 1.
#define SORAD_EXP2_LIMIT 126.0f
#define SORAD_EXP2_C1 0.69314700365066528f
#define SORAD_EXP2_C2 0.24022242426872253f
#define SORAD_EXP2_C3 0.05550733581185341f
#define SORAD_EXP2_C4 0.00967151299118996f
#define SORAD_EXP2_C5 0.00132647273130715f
static inline float sorad_exp2_limited_f32(float z) {
    z = z < SORAD_EXP2_LIMIT ? z : SORAD_EXP2_LIMIT;
    z = z > -SORAD_EXP2_LIMIT ? z : -SORAD_EXP2_LIMIT;
    float t = z + SORAD_ROUND_MAGIC, f = z - (t - SORAD_ROUND_MAGIC);
    float p = fmaf(fmaf(fmaf(fmaf(fmaf(SORAD_EXP2_C5, f, SORAD_EXP2_C4), f, SORAD_EXP2_C3), f, SORAD_EXP2_C2), f, SORAD_EXP2_C1), f, 1.0f);
    uint32_t bits, exponent;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&exponent, &t, sizeof exponent);
    bits += exponent << 23;   // the low bits of t are the integer; the others are shifted out
    memcpy(&p, &bits, sizeof p);
    return p;
}

static inline float sorad_silu_f32(float x) { return x / (1.0f + sorad_exp_f32(-x)); }

// 0.5 x (1 + tanh u) = x / (1 + 2^(-2u log2 e)), u = sqrt(2/pi) (x + 0.044715 x^3) (Hendrycks and Gimpel 2016).
#define SORAD_GELU_LINEAR -2.302208198f    // -2 sqrt(2/pi) log2 e
#define SORAD_GELU_CUBIC -0.1029432396f    // that times 0.044715
static inline float sorad_gelu_tanh_f32(float x) {
    return x / (1.0f + sorad_exp2_limited_f32(x * fmaf(x * x, SORAD_GELU_CUBIC, SORAD_GELU_LINEAR)));
}

static inline float sorad_relu_f32(float x) { return x > 0.0f ? x : 0.0f; }
static inline float sorad_clamp_tanh_f32(float x) { return sorad_tanh_f32(x / 3.0f) * 3.0f; }

// Rows whose scale is below this are zero rows; it keeps 1 / scale finite.
#define SORAD_QUANTIZE_MIN_SCALE 0x1p-100f

// What quantization sees of x: NaN is 0, infinity the largest float.
static inline float sorad_finite(float x) {
    if (x != x) return 0.0f;
    x = x > FLT_MAX ? FLT_MAX : x;
    return x < -FLT_MAX ? -FLT_MAX : x;
}

static inline int32_t sorad_clamp_int8(int32_t q) { return q > 127 ? 127 : q < -127 ? -127 : q; }

// Scale, its inverse and the zero point of a row whose values lie in [low, high], low <= 0 <= high, both finite.
static inline void sorad_quantize_parameters(float low, float high, bool asymmetric, float *scale, float *inverse,
                                             int32_t *zero) {
    float magnitude = high > -low ? high : -low;
    float s = asymmetric ? high / 254.0f - low / 254.0f : magnitude / 127.0f;
    bool empty = s < SORAD_QUANTIZE_MIN_SCALE;
    *scale = empty ? 0.0f : s;
    *inverse = empty ? 0.0f : 1.0f / s;
    *zero = asymmetric && !empty ? sorad_clamp_int8((int32_t)sorad_round(fmaf(-low, *inverse, -127.0f))) : 0;
}

// One step of a min-max reduction.
static inline void sorad_minmax(float x, float *low, float *high) {
    *low = x < *low ? x : *low;
    *high = x > *high ? x : *high;
}
// The symmetric quantized value of x.
static inline int8_t sorad_quantize_value(float x, float inverse) {
    float t = x * inverse + SORAD_ROUND_MAGIC;
    uint32_t bits;
    memcpy(&bits, &t, sizeof bits);
    return (int8_t)sorad_clamp_int8((int32_t)(bits - SORAD_ROUND_MAGIC_BITS));
}

// round(255 * 2^x) for x <= 0 by the best polynomial of degree 3 that is exact at 0 (relative error 1e-4): within
// 0.03 of a step.
#define SORAD_EXP2_MIN -30.0f
#define SORAD_EXP2_BYTE_C1 176.787139892578125f
#define SORAD_EXP2_BYTE_C2 61.763797760009765625f
#define SORAD_EXP2_BYTE_C3 14.02730941772460938f
static inline int32_t sorad_exp2_byte(float x) {
    x = x > SORAD_EXP2_MIN ? x : SORAD_EXP2_MIN;
    float t = x + SORAD_ROUND_MAGIC, f = x - (t - SORAD_ROUND_MAGIC);
    float p = fmaf(fmaf(fmaf(SORAD_EXP2_BYTE_C3, f, SORAD_EXP2_BYTE_C2), f, SORAD_EXP2_BYTE_C1), f, 255.0f);
    uint32_t bits, exponent;
    memcpy(&bits, &p, sizeof bits);
    memcpy(&exponent, &t, sizeof exponent);
    bits += exponent << 23;   // the low bits of t are the integer; the others are shifted out
    memcpy(&p, &bits, sizeof p);
    t = p + SORAD_ROUND_MAGIC;
    memcpy(&bits, &t, sizeof bits);
    return (int32_t)(bits & 0xFF);
}

// round(65535 * 2^x) for x <= 0: 16-bit attention probabilities.
static inline int32_t sorad_exp2_word(float x) {
    x = x > SORAD_EXP2_MIN ? x : SORAD_EXP2_MIN;
    float t = fmaf(sorad_exp2_limited_f32(x), 65535.0f, SORAD_ROUND_MAGIC);
    uint32_t bits;
    memcpy(&bits, &t, sizeof bits);
    return (int32_t)(bits & 0xFFFF);
}

// The initial maximum of a query's scores. Not -infinity: -infinity minus it would be NaN.
#define SORAD_ATTENTION_MIN_SCORE -1e30f

// The fixed tree: lanes 8 apart, then 4, 2, 1.
static inline float sorad_lanes_sum(const float lanes[SORAD_LANES]) {
    float sum[SORAD_LANES];
    memcpy(sum, lanes, sizeof sum);
    for (int width = SORAD_LANES / 2; width > 0; width /= 2)
        for (int i = 0; i < width; i++) sum[i] += sum[i + width];
    return sum[0];
}

static inline float sorad_epilogue_f32(const sorad_epilogue *e, size_t m, size_t n, float x) {
    switch (e->activation) {
    case SORAD_ACTIVATION_NONE: break;
    case SORAD_ACTIVATION_RELU: x = sorad_relu_f32(x); break;
    case SORAD_ACTIVATION_GELU_TANH: x = sorad_gelu_tanh_f32(x); break;
    case SORAD_ACTIVATION_SILU: x = sorad_silu_f32(x); break;
    }
    if (e->gate && e->residual)
        x = fmaf(e->gate[m * e->gate_stride + n], x, e->residual[m * e->residual_stride + n]);
    else if (e->residual)
        x = e->residual[m * e->residual_stride + n] + x;
    else if (e->gate)
        x = e->gate[m * e->gate_stride + n] * x;
    return e->relu_at_end ? sorad_relu_f32(x) : x;
}

#endif
