#version 450
#extension GL_GOOGLE_include_directive : require
// Keys and values as int8 attention reads them (attention_pack_qd8kv of the kernels), in two dispatches: the mean of every channel over
// the keys; then, without it, keys with a scale per key and head, or values with a scale per channel.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer X { float x[]; };                 // [keys, H·D]
layout(std430, binding = 1) buffer Mean { float mean[]; };                    // [H·D]
layout(std430, binding = 2) writeonly buffer Scale { float scale[]; };        // keys: [H, keys]; values: [H·D]
layout(std430, binding = 3) writeonly buffer Packed { int packed[]; };        // keys: [H, keys, D/4]; values: [H, keys/4, D]
layout(push_constant) uniform Parameters { uint base[10]; uint kind, keys, heads, headWidth; } p;

float centered(uint key, uint channel) {
    exact y = x[p.base[0] + key * p.heads * p.headWidth + channel] - mean[p.base[1] + channel];
    return y;
}

void main() {
    uint i = flat_index(), width = p.heads * p.headWidth;
    float low = 0.0, high = 0.0, s, inverse;
    int zero;
    if (p.kind == 0u) { // the mean; i is a channel
        if (i >= width) return;
        exact sum = 0.0;
        for (uint key = 0u; key < p.keys; key++) sum = sum + x[p.base[0] + key * width + i];
        mean[p.base[1] + i] = quotient(sum, float(p.keys));
    } else if (p.kind == 1u) { // keys; i is a key of a head
        if (i >= p.keys * p.heads) return;
        uint head = i / p.keys, key = i % p.keys, groups = (p.headWidth + 3u) / 4u;
        for (uint c = 0u; c < p.headWidth; c++) widen(centered(key, head * p.headWidth + c), low, high);
        quantize_parameters(low, high, false, s, inverse, zero);
        scale[p.base[2] + i] = s;
        for (uint group = 0u; group < groups; group++) {
            int word = 0;
            for (uint b = 0u; b < 4u; b++) {
                uint c = 4u * group + b;
                if (c < p.headWidth) word |= (quantize_value(centered(key, head * p.headWidth + c), inverse) & 255) << int(8u * b);
            }
            packed[p.base[3] + i * groups + group] = word;
        }
    } else { // values; i is a channel
        if (i >= width) return;
        for (uint key = 0u; key < p.keys; key++) widen(centered(key, i), low, high);
        quantize_parameters(low, high, false, s, inverse, zero);
        scale[p.base[2] + i] = s;
        uint groups = (p.keys + 3u) / 4u, head = i / p.headWidth;
        for (uint group = 0u; group < groups; group++) {
            int word = 0;
            for (uint b = 0u; b < 4u; b++) {
                uint key = 4u * group + b;
                if (key < p.keys) word |= (quantize_value(centered(key, i), inverse) & 255) << int(8u * b);
            }
            packed[p.base[3] + (head * groups + group) * p.headWidth + i % p.headWidth] = word;
        }
    }
}
