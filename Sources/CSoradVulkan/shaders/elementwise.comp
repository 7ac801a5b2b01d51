#version 450
#extension GL_GOOGLE_include_directive : require
// The elementwise operations and fill.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer A { float a[]; };
layout(std430, binding = 1) readonly buffer B { float b[]; };
layout(std430, binding = 2) writeonly buffer Out { float result[]; };
// Not parameters of the dispatch: dt is another number in every step, and the step's commands stay the same.
layout(std430, binding = 3) readonly buffer Numbers { float numbers[]; }; // factor, offset
layout(push_constant) uniform Parameters { uint base[10]; uint count, kind; } p;

void main() {
    uint i = flat_index();
    if (i >= p.count) return;
    exact x = a[p.base[0] + i], y = b[p.base[1] + i], r = 0.0;
    exact factor = 0.0, offset = 0.0;
    if (p.kind == 0u || p.kind > 4u) {
        factor = numbers[p.base[3]];
        offset = numbers[p.base[3] + 1u];
    }
    switch (p.kind) {
    case 0u: r = factor; break;
    case 1u: r = x + y; break;
    case 2u: r = silu(x); break;
    case 3u: r = gelu_tanh(x) * y; break;
    case 4u: r = soft_clamp(x); break;
    case 5u: r = x * factor; r = r + offset; break;
    case 6u: r = y - x; r = fused(factor, r, x); break;
    case 7u: r = fused(factor, y, x); break;
    }
    result[p.base[2] + i] = r;
}
