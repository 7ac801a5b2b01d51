#version 450
#extension GL_GOOGLE_include_directive : require
// Layer norm and RMS norm of rows [M, K], as the kernels': 16 invocations for a row, which are the 16 lanes of the definition's sums.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) readonly buffer Weight { float weight[]; };       // [K]
layout(std430, binding = 2) readonly buffer Bias { float bias[]; };           // [K]
layout(std430, binding = 3) readonly buffer Scale { float scale[]; };         // [K]
layout(std430, binding = 4) readonly buffer Shift { float shift[]; };         // [K]
layout(std430, binding = 5) buffer Out { float result[]; };                   // [M, K], or [M] with ONLY_INVERSE
layout(push_constant) uniform Parameters { uint base[10]; uint rowBegin, rowEnd, inputs, flags; float epsilon; } p;
const uint IS_LAYER = 1u, HAS_WEIGHT = 2u, HAS_BIAS = 4u, HAS_SCALE = 8u, ONLY_INVERSE = 16u;
shared float lanes[64];

// The fixed tree: lanes 8 apart, then 4, 2, 1.
float lanes_sum(float mine) {
    uint t = gl_LocalInvocationID.x;
    lanes[t] = mine;
    barrier();
    for (uint apart = 8u; apart > 0u; apart /= 2u) {
        if (t % 16u < apart) {
            exact sum = lanes[t] + lanes[t + apart];
            lanes[t] = sum;
        }
        barrier();
    }
    exact sum = lanes[t - t % 16u];
    barrier();
    return sum;
}

void main() {
    uint t = gl_LocalInvocationID.x, lane = t % 16u, row = p.rowBegin + flat_group() * 4u + t / 16u, at = row * p.inputs;
    uint count = row < p.rowEnd ? p.inputs : 0u; // a work group's barriers are for all of its rows
    exact width = float(p.inputs), mean = 0.0;
    if ((p.flags & IS_LAYER) != 0u) {
        exact sum = 0.0;
        for (uint i = lane; i < count; i += 16u) sum = sum + x[p.base[0] + at + i];
        mean = quotient(lanes_sum(sum), width);
    }
    exact squares = 0.0;
    for (uint i = lane; i < count; i += 16u) {
        exact d = x[p.base[0] + at + i];
        if ((p.flags & IS_LAYER) != 0u) d = d - mean;
        squares = fused(d, d, squares);
    }
    exact variance = quotient(lanes_sum(squares), width) + p.epsilon;
    exact inverse = quotient(1.0, root(variance));
    if ((p.flags & ONLY_INVERSE) != 0u) {
        if (count > 0u && lane == 0u) result[p.base[5] + row] = inverse;
        return;
    }
    for (uint i = lane; i < count; i += 16u) {
        exact y = x[p.base[0] + at + i];
        if ((p.flags & IS_LAYER) != 0u) y = y - mean;
        y = y * inverse;
        if ((p.flags & HAS_WEIGHT) != 0u) {
            if ((p.flags & HAS_BIAS) != 0u) y = fused(y, weight[p.base[1] + i], bias[p.base[2] + i]);
            else y = y * weight[p.base[1] + i];
        }
        if ((p.flags & HAS_SCALE) != 0u) {
            exact gain = 1.0 + scale[p.base[3] + i];
            y = fused(y, gain, shift[p.base[4] + i]);
        }
        result[p.base[5] + at + i] = y;
    }
}
