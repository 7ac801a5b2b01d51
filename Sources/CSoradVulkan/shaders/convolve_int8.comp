#version 450
#extension GL_GOOGLE_include_directive : require
// An int8 convolution of a quantized image, as conv2d_qt8_f32_qc8w of the kernels: a product whose rows are output pixels and whose
// inputs are (ky, kx, four channels).
#include "math.glsl"
#include "dot.glsl"
layout(local_size_x = 256) in;
layout(std430, binding = 0) readonly buffer Image { int image[]; };           // [height + 2, width + 2, channelGroups]
layout(std430, binding = 1) readonly buffer Head { uint head[]; };            // scale (f32), zero point (i32)
layout(std430, binding = 3) readonly buffer Weights { int weights[]; };
layout(std430, binding = 4) readonly buffer Scale { float scale[]; };
layout(std430, binding = 5) readonly buffer Sum { int weightSum[]; };
layout(std430, binding = 6) readonly buffer Bias { float bias[]; };
layout(std430, binding = 7) readonly buffer Gate { float gate[]; };           // never read
layout(std430, binding = 8) readonly buffer Residual { float residual[]; };
layout(std430, binding = 9) buffer Out { float result[]; };
layout(push_constant) uniform Parameters {
    uint base[10];
    uint rowBegin, rowEnd, columns, groups, flags;   // rows are output pixels
    uint width, channelGroups, outWidth, kernel, stride, isUpsampled;
} p;
#include "epilogue.glsl"
int left_word(uint pixel, uint group) {
    uint tap = group / p.channelGroups, padding = p.kernel / 2u;
    // The stored row of upsampled row v is v / 2 or v, rounded down, plus 1 for the border; v begins at −padding.
    uint y = (pixel / p.outWidth * p.stride + tap / p.kernel + 1u + p.isUpsampled - padding) >> p.isUpsampled;
    uint x = (pixel % p.outWidth * p.stride + tap % p.kernel + 1u + p.isUpsampled - padding) >> p.isUpsampled;
    return image[p.base[0] + (y * (p.width + 2u) + x) * p.channelGroups + group % p.channelGroups];
}
#include "int8_tile.glsl"

void main() {
    uint t = gl_LocalInvocationID.x, row0 = p.rowBegin + gl_WorkGroupID.y * TILE, column0 = gl_WorkGroupID.x * TILE;
    int sums[16];
    sum_products(row0, p.rowEnd, column0, p.columns, p.groups, p.base[3], sums);
    exact imageScale = uintBitsToFloat(head[p.base[1]]);
    int zero = int(head[p.base[1] + 1u]);
    for (uint i = 0u; i < 16u; i++) {
        uint m = row0 + t / 16u * 4u + i / 4u, n = column0 + t % 16u + 16u * (i % 4u);
        if (m >= p.rowEnd || n >= p.columns) continue;
        exact whole = float(sums[i] - zero * weightSum[p.base[5] + n]);
        exact factor = imageScale * scale[p.base[4] + n];
        exact offset = 0.0;
        if ((p.flags & HAS_BIAS) != 0u) offset = bias[p.base[6] + n];
        uint at = m * p.columns + n;
        result[p.base[9] + at] = epilogue(p.flags, fused(whole, factor, offset), 0u, p.base[8] + at);
    }
}
