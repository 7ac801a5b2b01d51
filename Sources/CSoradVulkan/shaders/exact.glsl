// Float arithmetic with one meaning on every device: IEEE 754 binary32, rounded to nearest even, denormals kept.
//
// Trusted of a device: +, -, * with NoContraction, comparisons, conversions between int and float, bit casts.
// Not trusted: fma(), which may round twice; / and sqrt(), which may be a few units off; every other function.
// So a product and a sum are fused by one of several tiers, and quotients and roots begin with the device's guess and are
// made right with integers. `exact` marks every float: without `precise` a compiler may contract or reorder.
#extension GL_EXT_spirv_intrinsics : require
spirv_execution_mode(extensions = ["SPV_KHR_float_controls"], capabilities = [4467], 4462, 32); // RoundingModeRTE
spirv_execution_mode(extensions = ["SPV_KHR_float_controls"], capabilities = [4466], 4461, 32); // SignedZeroInfNanPreserve

// 0: fma(), proven fused on the device or patched to OpFmaKHR; 1: integers. The float64 build has neither.
layout(constant_id = 0) const uint FMA_TIER = 0;
// Whether four int8 products go through the packed dot product; the same sums either way.
layout(constant_id = 1) const uint PACKED_DOT = 1;
// Units that a test adds to the device's guesses of quotients and roots.
layout(constant_id = 2) const int GUESS_ERROR = 0;

#define exact precise float
const uint SIGN = 0x80000000u, MAGNITUDE = 0x7FFFFFFFu, INFINITY_BITS = 0x7F800000u, NAN_BITS = 0x7FC00000u;

// A finite number other than zero is mantissa · 2^(exponent − 150), 2^23 <= mantissa < 2^24.
struct Parts { int exponent; uint mantissa; };

Parts parts_of(uint bits) {
    int exponent = int(bits >> 23) & 255;
    uint mantissa = bits & 0x7FFFFFu;
    if (exponent != 0) return Parts(exponent, mantissa | 0x800000u);
    int shift = 23 - findMSB(mantissa);
    return Parts(1 - shift, mantissa << shift);
}

#ifdef FMA_FLOAT64
// The product of two floats is exact in 53 bits. The sum is rounded to odd, after which rounding it to a float is right.
float fused(float a, float b, float c) {
    precise double product = double(a) * double(b), addend = double(c);
    precise double sum = product + addend;
    precise double shadow = sum - product;
    precise double error = (product - (sum - shadow)) + (addend - shadow);
    uvec2 bits = unpackDouble2x32(sum);
    if ((error > 0.0 || error < 0.0) && (bits.x & 1u) == 0u) {
        bool isAway = (error > 0.0) == (sum > 0.0);
        if (!isAway && bits.x == 0u) bits.y -= 1u;
        bits.x = isAway ? bits.x + 1u : bits.x - 1u;
    }
    exact result = float(packDouble2x32(bits));
    return result;
}
#else
#include "fma_integer.glsl"
float fused(float a, float b, float c) {
    if (FMA_TIER == 1u) return fused_integer(a, b, c);
    exact result = fma(a, b, c);
    return result;
}
#endif

// a / b
float quotient(float a, float b) {
    uint bitsA = floatBitsToUint(a), bitsB = floatBitsToUint(b);
    uint sign = (bitsA ^ bitsB) & SIGN;
    uint sizeA = bitsA & MAGNITUDE, sizeB = bitsB & MAGNITUDE;
    if (sizeA > INFINITY_BITS || sizeB > INFINITY_BITS || sizeA == sizeB && (sizeA == 0u || sizeA == INFINITY_BITS))
        return uintBitsToFloat(NAN_BITS);
    if (sizeA == INFINITY_BITS || sizeB == 0u) return uintBitsToFloat(sign | INFINITY_BITS);
    if (sizeB == INFINITY_BITS || sizeA == 0u) return uintBitsToFloat(sign);
    Parts dividend = parts_of(sizeA), divisor = parts_of(sizeB);
    int exponent = dividend.exponent - divisor.exponent + 127;
    if (dividend.mantissa < divisor.mantissa) {
        dividend.mantissa <<= 1;
        exponent -= 1;
    }
    // 2^23 <= whole < 2^24, and remainder = dividend · 2^23 − whole · divisor, which fits 32 bits though its terms do not.
    exact divisorFloat = float(divisor.mantissa);
    exact guess = float(dividend.mantissa) / divisorFloat * 8388608.0;
    int whole = int(guess) + GUESS_ERROR;
    int remainder = int((dividend.mantissa << 23) - uint(whole) * divisor.mantissa);
    exact units = floor(float(remainder) / divisorFloat);
    int correction = int(units);
    whole += correction;
    remainder -= correction * int(divisor.mantissa);
    if (remainder < 0) {
        whole -= 1;
        remainder += int(divisor.mantissa);
    } else if (remainder >= int(divisor.mantissa)) {
        whole += 1;
        remainder -= int(divisor.mantissa);
    }
    if (exponent > 0) {
        if (2 * remainder > int(divisor.mantissa)) whole += 1; // never a tie
        uint bits = (uint(exponent) << 23) + uint(whole) - 0x800000u; // a carry goes to the exponent
        return uintBitsToFloat(sign | (exponent >= 255 ? INFINITY_BITS : bits));
    }
    int shift = 1 - exponent;
    if (shift > 24) return uintBitsToFloat(sign);
    uint lost = uint(whole) & ((1u << shift) - 1u), tie = 1u << (shift - 1), denormal = uint(whole) >> shift;
    if (lost > tie || lost == tie && (remainder > 0 || (denormal & 1u) == 1u)) denormal += 1u;
    return uintBitsToFloat(sign | denormal);
}

// The square root of x.
float root(float x) {
    uint bits = floatBitsToUint(x);
    if ((bits & MAGNITUDE) == 0u || bits == INFINITY_BITS) return x;
    if (bits > INFINITY_BITS) return uintBitsToFloat(NAN_BITS);
    Parts square = parts_of(bits);
    int odd = (square.exponent + 1) & 1; // of the exponent without its bias
    // 2^23 <= whole < 2^24, remainder = mantissa · 2^(23 + odd) − whole²
    exact radicand = float(square.mantissa) * (odd == 1 ? 16777216.0 : 8388608.0);
    exact guess = sqrt(radicand);
    int whole = int(guess) + GUESS_ERROR;
    int remainder = int((square.mantissa << (23 + odd)) - uint(whole) * uint(whole));
    exact units = floor(float(remainder) / (2.0 * float(whole)));
    int correction = int(units);
    remainder -= correction * (2 * whole + correction);
    whole += correction;
    for (int i = 0; i < 2; i++) {
        if (remainder < 0) {
            whole -= 1;
            remainder += 2 * whole + 1;
        } else if (remainder > 2 * whole) {
            remainder -= 2 * whole + 1;
            whole += 1;
        }
    }
    if (remainder > whole) whole += 1;
    return uintBitsToFloat((uint((square.exponent - 127 - odd) / 2 + 127) << 23) + uint(whole) - 0x800000u);
}

// Index of the invocation in a grid of one or two axes: a device may allow only 65535 work groups along one.
uint flat_group() { return gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x; }
// In work groups of 64.
uint flat_index() { return flat_group() * 64u + gl_LocalInvocationID.x; }
