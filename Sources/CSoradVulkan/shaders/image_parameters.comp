#version 450
#extension GL_GOOGLE_include_directive : require
// Scale, zero point and inverse of a whole image from what image_range.comp saw, in one work group.
#include "math.glsl"
layout(local_size_x = 256) in;
layout(std430, binding = 0) readonly buffer Ends { float ends[]; };           // [groups, 2, C], then [otherGroups, 2, otherC]
layout(std430, binding = 1) readonly buffer Factor { float factor[]; };       // [C], what channels are multiplied by
layout(std430, binding = 2) writeonly buffer Head { uint head[]; };           // scale, zero point
layout(std430, binding = 3) writeonly buffer FineHead { uint fineHead[]; };   // the same of the low plane
layout(std430, binding = 4) writeonly buffer Inverse { float inverse[]; };
layout(push_constant) uniform Parameters {
    uint base[10];
    uint groups, channels, otherGroups, otherChannels, flags;
    float minimumAt, minimum;                                                 // of SiLU
} p;
const uint HAS_SILU = 1u, HAS_FACTOR = 2u, HAS_FINE = 4u;
shared float lows[256], highs[256];

float least(float a, float b) { return b < a ? b : a; }
float greatest(float a, float b) { return b > a ? b : a; }

void main() {
    uint t = gl_LocalInvocationID.x;
    exact low = 0.0, high = 0.0;
    for (uint c = t; c < p.channels; c += 256u) {
        exact a = 0.0, b = 0.0;
        for (uint group = 0u; group < p.groups; group++) {
            a = least(a, ends[p.base[0] + 2u * group * p.channels + c]);
            b = greatest(b, ends[p.base[0] + (2u * group + 1u) * p.channels + c]);
        }
        if ((p.flags & HAS_SILU) != 0u) { // falls to its only minimum and rises from there
            exact below = silu(a), above = silu(b);
            a = a < p.minimumAt ? p.minimum : least(0.0, below);
            b = greatest(0.0, above);
        }
        if ((p.flags & HAS_FACTOR) != 0u) {
            exact one = a * factor[p.base[1] + c], other = b * factor[p.base[1] + c];
            one = finite(one);
            other = finite(other);
            a = least(one, other);
            b = greatest(one, other);
        }
        low = least(low, a);
        high = greatest(high, b);
    }
    uint more = p.base[0] + 2u * p.groups * p.channels;
    for (uint i = t; i < p.otherGroups * p.otherChannels; i += 256u) {
        uint group = i / p.otherChannels, c = i % p.otherChannels;
        low = least(low, ends[more + 2u * group * p.otherChannels + c]);
        high = greatest(high, ends[more + (2u * group + 1u) * p.otherChannels + c]);
    }
    lows[t] = low;
    highs[t] = high;
    barrier();
    for (uint apart = 128u; apart > 0u; apart /= 2u) {
        if (t < apart) {
            lows[t] = least(lows[t], lows[t + apart]);
            highs[t] = greatest(highs[t], highs[t + apart]);
        }
        barrier();
    }
    if (t != 0u) return;
    low = lows[0] + 0.0; // no negative zero
    high = highs[0] + 0.0;
    float scale, inverted;
    int zero;
    quantize_parameters(low, high, true, scale, inverted, zero);
    head[p.base[2]] = floatBitsToUint(scale);
    head[p.base[2] + 1u] = uint(zero);
    inverse[p.base[4]] = inverted;
    if ((p.flags & HAS_FINE) != 0u) {
        fineHead[p.base[3]] = floatBitsToUint(quotient(scale, 254.0));
        fineHead[p.base[3] + 1u] = 0u;
    }
}
