#version 450
#extension GL_GOOGLE_include_directive : require
// For tests and the self-test: the operations on which all others stand, one at a time. out [kinds, count]
#include "math.glsl"
#include "dot.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer A { float a[]; };
layout(std430, binding = 1) readonly buffer B { float b[]; };
layout(std430, binding = 2) readonly buffer C { float c[]; };
layout(std430, binding = 3) writeonly buffer Out { float result[]; };
layout(push_constant) uniform Parameters { uint base[10]; uint count; } p;

void main() {
    uint i = flat_index();
    if (i >= p.count) return;
    exact x = a[p.base[0] + i], y = b[p.base[1] + i], z = c[p.base[2] + i], r[8];
    r[0] = x + y;
    r[1] = x - y;
    r[2] = x * y;
    r[3] = fused(x, y, z);
    r[4] = quotient(x, y);
    r[5] = root(x);
    r[6] = float(int(floatBitsToUint(x)));
    r[7] = float(dot4(int(floatBitsToUint(x)), int(floatBitsToUint(y))) + dot4_unsigned(int(floatBitsToUint(x)), floatBitsToUint(z)));
    for (uint kind = 0u; kind < 8u; kind++) result[p.base[3] + kind * p.count + i] = r[kind];
}
