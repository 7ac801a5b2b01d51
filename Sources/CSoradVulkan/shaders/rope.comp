#version 450
#extension GL_GOOGLE_include_directive : require
// Rotary position embedding of x [M, H·D] in place; row m is position m modulo `positions`.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) buffer X { float x[]; };
layout(std430, binding = 1) readonly buffer Cosines { float cosines[]; };     // [positions, D/2]
layout(std430, binding = 2) readonly buffer Sines { float sines[]; };
layout(push_constant) uniform Parameters { uint base[10]; uint rows, heads, pairs, positions; } p;

void main() {
    uint i = flat_index();
    if (i >= p.rows * p.heads * p.pairs) return;
    uint at = i / (p.heads * p.pairs) % p.positions * p.pairs + i % p.pairs;
    exact c = cosines[p.base[1] + at], s = sines[p.base[2] + at];
    exact even = x[p.base[0] + 2u * i], odd = x[p.base[0] + 2u * i + 1u];
    exact crossed = odd * s, other = even * s;
    x[p.base[0] + 2u * i] = fused(even, c, -crossed);
    x[p.base[0] + 2u * i + 1u] = fused(odd, c, other);
}
