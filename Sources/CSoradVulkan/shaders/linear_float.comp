#version 450
#extension GL_GOOGLE_include_directive : require
// out [M, N] = epilogue(sum over K in order, fused, + bias), as gemm_f32 of the kernels.
#include "math.glsl"
layout(local_size_x = 256) in;
layout(std430, binding = 0) readonly buffer Rows { float rows[]; };           // [M, K]
layout(std430, binding = 3) readonly buffer Weights { float weights[]; };     // [N/16, K, 16]
layout(std430, binding = 6) readonly buffer Bias { float bias[]; };           // [N]
layout(std430, binding = 7) readonly buffer Gate { float gate[]; };           // [N]
layout(std430, binding = 8) readonly buffer Residual { float residual[]; };   // [M, N]
layout(std430, binding = 9) buffer Out { float result[]; };                   // [M, N]
layout(push_constant) uniform Parameters { uint base[10]; uint rowBegin, rowEnd, columns, inputs, flags; } p;
#include "epilogue.glsl"
float left_value(uint row, uint k) { return rows[p.base[0] + row * p.inputs + k]; }
bool takes_part(uint k) { return true; }
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
        result[p.base[9] + at] = epilogue(p.flags, x, p.base[7] + n, p.base[8] + at);
    }
}
