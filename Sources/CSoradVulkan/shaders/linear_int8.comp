#version 450
#extension GL_GOOGLE_include_directive : require
// out [M, N] = epilogue(scale · (sum of int8 products − zero · weight sum) + bias), as gemm_qd8_f32_qc8w of the kernels.
#include "math.glsl"
#include "dot.glsl"
layout(local_size_x = 256) in;
layout(std430, binding = 0) readonly buffer Rows { int rows[]; };             // [M, groups], four int8 each
layout(std430, binding = 1) readonly buffer RowScale { float rowScale[]; };   // [M]
layout(std430, binding = 2) readonly buffer RowZero { int rowZero[]; };       // [M]
layout(std430, binding = 3) readonly buffer Weights { int weights[]; };       // [N/16, groups, 16]
layout(std430, binding = 4) readonly buffer Scale { float scale[]; };         // [N]
layout(std430, binding = 5) readonly buffer Sum { int weightSum[]; };         // [N]
layout(std430, binding = 6) readonly buffer Bias { float bias[]; };           // [N]
layout(std430, binding = 7) readonly buffer Gate { float gate[]; };           // [N]
layout(std430, binding = 8) readonly buffer Residual { float residual[]; };   // [M, N]
layout(std430, binding = 9) buffer Out { float result[]; };                   // [M, N]
layout(push_constant) uniform Parameters { uint base[10]; uint rowBegin, rowEnd, columns, groups, flags; } p;
#include "epilogue.glsl"
int left_word(uint row, uint group) { return rows[p.base[0] + row * p.groups + group]; }
#include "int8_tile.glsl"

void main() {
    uint t = gl_LocalInvocationID.x, row0 = p.rowBegin + gl_WorkGroupID.y * TILE, column0 = gl_WorkGroupID.x * TILE;
    int sums[16];
    sum_products(row0, p.rowEnd, column0, p.columns, p.groups, p.base[3], sums);
    for (uint i = 0u; i < 16u; i++) {
        uint m = row0 + t / 16u * 4u + i / 4u, n = column0 + t % 16u + 16u * (i % 4u);
        if (m >= p.rowEnd || n >= p.columns) continue;
        int zero = (p.flags & HAS_ZERO) != 0u ? rowZero[p.base[2] + m] : 0;
        exact whole = float(sums[i] - zero * weightSum[p.base[5] + n]);
        exact factor = rowScale[p.base[1] + m] * scale[p.base[4] + n];
        exact offset = 0.0;
        if ((p.flags & HAS_BIAS) != 0u) offset = bias[p.base[6] + n];
        uint at = m * p.columns + n;
        result[p.base[9] + at] = epilogue(p.flags, fused(whole, factor, offset), p.base[7] + n, p.base[8] + at);
    }
}
