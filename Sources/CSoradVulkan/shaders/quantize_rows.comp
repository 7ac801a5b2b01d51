#version 450
#extension GL_GOOGLE_include_directive : require
// Rows [M, K] to int8 with a scale and zero point for each, after an optional Hadamard transform of every `rotation` neighboring values:
// quantize_f32_qd8 and hadamard_f32 of the kernels. A work group has one row, 256 values at a time; the transform is computed twice,
// for the range and for the values.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Rows { int rows[]; };            // [M, groups]
layout(std430, binding = 2) writeonly buffer RowScale { float rowScale[]; };
layout(std430, binding = 3) writeonly buffer RowZero { int rowZero[]; };
layout(push_constant) uniform Parameters { uint base[10]; uint count, inputs, rotation, isAsymmetric; } p;
shared float values[256], lows[64], highs[64];

// The four values of this invocation of those from `first` on; zeros after the row's end.
void load_values(uint row, uint first, out float mine[4]) {
    uint t = gl_LocalInvocationID.x;
    for (uint i = 0u; i < 4u; i++) {
        uint k = first + 4u * t + i;
        mine[i] = k < p.inputs ? x[p.base[0] + row * p.inputs + k] : 0.0;
    }
    if (p.rotation == 0u) return;
    for (uint i = 0u; i < 4u; i++) values[4u * t + i] = mine[i];
    barrier();
    exact normalize = 1.0;
    for (uint apart = 1u; apart < p.rotation; apart *= 4u) {
        uint at = t / apart * apart * 4u + t % apart;
        exact a = values[at], b = values[at + apart], c = values[at + 2u * apart], d = values[at + 3u * apart];
        exact ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
        exact r0 = ab + c_d, r1 = ab - c_d, r2 = a_b + cd, r3 = cd - a_b;
        values[at] = r0;
        values[at + apart] = r1;
        values[at + 2u * apart] = r2;
        values[at + 3u * apart] = r3;
        normalize = normalize * 0.5;
        barrier();
    }
    for (uint i = 0u; i < 4u; i++) {
        exact y = values[4u * t + i] * normalize;
        mine[i] = y;
    }
    barrier();
}

void main() {
    uint row = flat_group(), t = gl_LocalInvocationID.x, groups = (p.inputs + 3u) / 4u;
    if (row >= p.count) return; // the whole work group
    float mine[4], low = 0.0, high = 0.0;
    for (uint first = 0u; first < p.inputs; first += 256u) {
        load_values(row, first, mine);
        for (uint i = 0u; i < 4u; i++) widen(finite(mine[i]), low, high);
    }
    lows[t] = low;
    highs[t] = high;
    barrier();
    for (uint apart = 32u; apart > 0u; apart /= 2u) {
        if (t < apart) {
            lows[t] = lows[t + apart] < lows[t] ? lows[t + apart] : lows[t];
            highs[t] = highs[t + apart] > highs[t] ? highs[t + apart] : highs[t];
        }
        barrier();
    }
    float scale, inverse;
    int zero;
    quantize_parameters(lows[0], highs[0], p.isAsymmetric != 0u, scale, inverse, zero);
    if (t == 0u) {
        rowScale[p.base[2] + row] = scale;
        rowZero[p.base[3] + row] = zero;
    }
    for (uint first = 0u; first < p.inputs; first += 256u) {
        load_values(row, first, mine);
        int word = 0;
        for (uint i = 0u; i < 4u; i++) {
            exact steps = finite(mine[i]) * inverse;
            int q = first + 4u * t + i < p.inputs ? clamped_int8(int(rounded(steps)) + zero) : 0;
            word |= (q & 255) << int(8u * i);
        }
        if (first / 4u + t < groups) rows[p.base[1] + row * groups + first / 4u + t] = word;
    }
}
