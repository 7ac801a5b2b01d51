// exp, tanh, the activations and quantization as Sources/CSoradKernels/scalar/scalar_math.h defines them.
#include "exact.glsl"
#include "constants.glsl"

float rounded(float x) {
    exact t = x + ROUND_MAGIC;
    exact r = t - ROUND_MAGIC;
    return r;
}

// What the low bits of x + ROUND_MAGIC count.
int magic_integer(float t) { return int(floatBitsToUint(t) - ROUND_MAGIC_BITS); }

float power_of_two(int exponent) { return uintBitsToFloat(uint(exponent + 127) << 23); }

float exp_reduce(float x, out int k) {
    exact t = fused(x, LOG2_E, ROUND_MAGIC);
    k = magic_integer(t);
    exact n = t - ROUND_MAGIC;
    return fused(n, MINUS_LN2_LOW, fused(n, MINUS_LN2_HIGH, x));
}

float exp_series(float r) {
    exact p = fused(TAYLOR_7, r, TAYLOR_6);
    p = fused(p, r, TAYLOR_5);
    p = fused(p, r, TAYLOR_4);
    p = fused(p, r, TAYLOR_3);
    return fused(p, r, 0.5);
}

float exponential(float x) {
    x = x > 89.0 ? 89.0 : x;
    x = x < -104.0 ? -104.0 : x;
    int k;
    exact r = exp_reduce(x, k);
    exact p = fused(fused(exp_series(r), r, 1.0), r, 1.0);
    int halved = k >> 1;
    exact y = p * power_of_two(halved);
    y = y * power_of_two(k - halved);
    return y;
}

float hyperbolic_tangent(float x) {
    x = x > 10.0 ? 10.0 : x;
    x = x < -10.0 ? -10.0 : x;
    int k;
    exact twice = 2.0 * x;
    exact r = exp_reduce(twice, k);
    exact scale = power_of_two(k), less = scale - 1.0, square = r * r;
    exact m = fused(scale, fused(square, exp_series(r), r), less);
    exact divisor = m + 2.0;
    return quotient(m, divisor);
}

// p · 2^(the integer in the low bits of t)
float scaled_by_magic(float p, float t) { return uintBitsToFloat(floatBitsToUint(p) + (floatBitsToUint(t) << 23)); }

float exp2_limited(float z) {
    z = z < EXP2_LIMIT ? z : EXP2_LIMIT;
    z = z > -EXP2_LIMIT ? z : -EXP2_LIMIT;
    exact t = z + ROUND_MAGIC;
    exact n = t - ROUND_MAGIC;
    exact f = z - n;
    exact p = fused(EXP2_C5, f, EXP2_C4);
    p = fused(p, f, EXP2_C3);
    p = fused(p, f, EXP2_C2);
    p = fused(p, f, EXP2_C1);
    p = fused(p, f, 1.0);
    return scaled_by_magic(p, t);
}

float silu(float x) {
    exact divisor = 1.0 + exponential(-x);
    return quotient(x, divisor);
}

float gelu_tanh(float x) {
    exact square = x * x;
    exact z = x * fused(square, GELU_CUBIC, GELU_LINEAR);
    exact divisor = 1.0 + exp2_limited(z);
    return quotient(x, divisor);
}

float relu(float x) { return x > 0.0 ? x : 0.0; }

float soft_clamp(float x) {
    exact y = hyperbolic_tangent(quotient(x, 3.0)) * 3.0;
    return y;
}

// A prob of 8 bits, x <= 0.
int exp2_byte(float x) {
    x = x > EXP2_MIN ? x : EXP2_MIN;
    exact t = x + ROUND_MAGIC;
    exact n = t - ROUND_MAGIC;
    exact f = x - n;
    exact p = fused(EXP2_BYTE_C3, f, EXP2_BYTE_C2);
    p = fused(p, f, EXP2_BYTE_C1);
    p = fused(p, f, 255.0);
    exact whole = scaled_by_magic(p, t) + ROUND_MAGIC;
    return int(floatBitsToUint(whole) & 0xFFu);
}

// A prob of 16 bits.
int exp2_word(float x) {
    x = x > EXP2_MIN ? x : EXP2_MIN;
    exact t = fused(exp2_limited(x), 65535.0, ROUND_MAGIC);
    return int(floatBitsToUint(t) & 0xFFFFu);
}

float finite(float x) {
    if (x != x) return 0.0;
    x = x > FLOAT_MAX ? FLOAT_MAX : x;
    return x < -FLOAT_MAX ? -FLOAT_MAX : x;
}

int clamped_int8(int q) { return clamp(q, -127, 127); }

void quantize_parameters(float low, float high, bool isAsymmetric, out float scale, out float inverse, out int zero) {
    exact s;
    if (isAsymmetric) {
        exact above = quotient(high, 254.0), below = quotient(low, 254.0);
        s = above - below;
    } else {
        exact magnitude = high > -low ? high : -low;
        s = quotient(magnitude, 127.0);
    }
    bool isEmpty = s < QUANTIZE_MIN_SCALE;
    scale = isEmpty ? 0.0 : s;
    inverse = isEmpty ? 0.0 : quotient(1.0, s);
    zero = 0;
    if (isAsymmetric && !isEmpty) zero = clamped_int8(int(rounded(fused(-low, inverse, -127.0))));
}

// The symmetric quantized value.
int quantize_value(float x, float inverse) {
    exact steps = x * inverse;
    exact t = steps + ROUND_MAGIC;
    return clamped_int8(magic_integer(t));
}

void widen(float x, inout float low, inout float high) {
    low = x < low ? x : low;
    high = x > high ? x : high;
}
