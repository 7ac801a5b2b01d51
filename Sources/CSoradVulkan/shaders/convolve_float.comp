#version 450
#extension GL_GOOGLE_include_directive : require
// A float convolution of one image or two joined along the channels, as conv2d_f32 of the kernels: a product whose rows are output
// pixels and whose inputs are (ky, kx, channel).
#include "math.glsl"
layout(local_size_x = 256) in;
layout(std430, binding = 0) readonly buffer First { float first[]; };         // [height, width, c0]
layout(std430, binding = 1) readonly buffer Second { float second[]; };       // [height, width, c1]
layout(std430, binding = 3) readonly buffer Weights { float weights[]; };
layout(std430, binding = 6) readonly buffer Bias { float bias[]; };
layout(std430, binding = 7) readonly buffer Gate { float gate[]; };           // never read
layout(std430, binding = 8) readonly buffer Residual { float residual[]; };
layout(std430, binding = 9) buffer Out { float result[]; };
layout(push_constant) uniform Parameters {
    uint base[10];
    uint rowBegin, rowEnd, columns, inputs, flags;
    uint height, width, outWidth, kernel, stride, isUpsampled, padding, c0, c1, hasSecond;
} p;
#include "epilogue.glsl"
bool takes_part(uint k) { return p.hasSecond != 0u || k % (p.c0 + p.c1) < p.c0; }
float left_value(uint pixel, uint k) {
    uint c = k % (p.c0 + p.c1), tap = k / (p.c0 + p.c1);
    // Plus the padding, so that they are not negative.
    uint y = pixel / p.outWidth * p.stride + tap / p.kernel, x = pixel % p.outWidth * p.stride + tap % p.kernel;
    bool isInside = y >= p.padding && x >= p.padding && y < (p.height << p.isUpsampled) + p.padding
        && x < (p.width << p.isUpsampled) + p.padding;
    if (!isInside) return 0.0;
    uint at = ((y - p.padding) >> p.isUpsampled) * p.width + ((x - p.padding) >> p.isUpsampled);
    if (c < p.c0) return first[p.base[0] + at * p.c0 + c];
    return p.hasSecond != 0u ? second[p.base[1] + at * p.c1 + c - p.c0] : 0.0;
}
#include "float_tile.glsl"

void main() {
    uint t = gl_LocalInvocationID.x, row0 = p.rowBegin + gl_WorkGroupID.y * TILE_ROWS, column0 = gl_WorkGroupID.x * TILE;
    float sums[8];
    sum_products(row0, p.rowEnd, column0, p.columns, p.inputs, p.base[3], sums);
    for (uint i = 0u; i < 8u; i++) {
        uint m = row0 + t / 16u * 2u + i / 4u, n = column0 + t % 16u + 16u * (i % 4u);
        if (m >= p.rowEnd || n >= p.columns) continue;
        exact offset = 0.0;
        if ((p.flags & HAS_BIAS) != 0u) offset = bias[p.base[6] + n];
        exact x = sums[i] + offset;
        uint at = m * p.columns + n;
        result[p.base[9] + at] = epilogue(p.flags, x, 0u, p.base[8] + at);
    }
}
