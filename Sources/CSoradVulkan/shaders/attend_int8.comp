#version 450
#extension GL_GOOGLE_include_directive : require
// Int8 attention with a streaming softmax over blocks of 256 keys (attention_f32_qd8kv of the kernels). A work group has one query of one
// head; its out may lie where the query did.
#include "math.glsl"
#include "dot.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer Queries { float queries[]; };     // [M, H·D]
layout(std430, binding = 1) readonly buffer Keys { int keys[]; };             // [H, L, D/4]
layout(std430, binding = 2) readonly buffer KeyScale { float keyScale[]; };   // [H, L]
layout(std430, binding = 3) readonly buffer Values { int values[]; };         // [H, L/4, D]
layout(std430, binding = 4) readonly buffer ValueScale { float valueScale[]; }; // [H·D]
layout(std430, binding = 5) readonly buffer ValueMean { float valueMean[]; }; // [H·D]
layout(std430, binding = 6) readonly buffer KeyBias { float keyBias[]; };     // [L]
layout(std430, binding = 7) writeonly buffer Out { float result[]; };         // [M, H·D]
layout(push_constant) uniform Parameters { uint base[10]; uint queryBegin, queryEnd, keyCount, heads, headWidth, flags; float scale; } p;
const uint HAS_KEY_BIAS = 1u, HAS_16_BITS = 2u;
const uint BLOCK = 256u;
shared int query[64];
shared uint probs[2][64]; // bytes of four keys; with 16 bits the high bytes, then the low ones
shared float scores[BLOCK], lows[64], highs[64];
shared int totals[64];

void main() {
    uint m = p.queryBegin + gl_WorkGroupID.x, head = gl_WorkGroupID.y, t = gl_LocalInvocationID.x;
    uint width = p.heads * p.headWidth, at = m * width + head * p.headWidth;
    uint words = (p.headWidth + 3u) / 4u, keyGroups = (p.keyCount + 3u) / 4u;

    float low = 0.0, high = 0.0, queryScale, inverse;
    int zero, word = 0;
    for (uint c = t; c < p.headWidth; c += 64u) widen(queries[p.base[0] + at + c], low, high);
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
    quantize_parameters(lows[0], highs[0], false, queryScale, inverse, zero);
    for (uint b = 0u; b < 4u; b++) {
        uint c = 4u * t + b;
        if (c < p.headWidth) word |= (quantize_value(queries[p.base[0] + at + c], inverse) & 255) << int(8u * b);
    }
    query[t] = word;
    exact perUnit = p.scale * LOG2_E;
    perUnit = queryScale * perUnit;
    barrier();

    exact highest = ATTENTION_MIN_SCORE, sum = 0.0;
    float sums[4];
    for (uint i = 0u; i < 4u; i++) sums[i] = 0.0;
    for (uint first = 0u; first < p.keyCount; first += BLOCK) {
        uint count = min(BLOCK, p.keyCount - first);
        exact most = ATTENTION_MIN_SCORE;
        for (uint j = t; j < count; j += 64u) {
            int product = 0;
            for (uint g = 0u; g < words; g++) product += dot4(query[g], keys[p.base[1] + (head * p.keyCount + first + j) * words + g]);
            exact factor = perUnit * keyScale[p.base[2] + head * p.keyCount + first + j], offset = 0.0;
            if ((p.flags & HAS_KEY_BIAS) != 0u) offset = keyBias[p.base[6] + first + j] * LOG2_E;
            exact score = fused(float(product), factor, offset);
            scores[j] = score;
            most = score > most ? score : most;
        }
        highs[t] = most;
        barrier();
        for (uint apart = 32u; apart > 0u; apart /= 2u) {
            if (t < apart) highs[t] = highs[t + apart] > highs[t] ? highs[t + apart] : highs[t];
            barrier();
        }
        most = highs[0];
        int total = 0;
        uint upper = 0u, lower = 0u;
        for (uint b = 0u; b < 4u; b++) {
            uint j = 4u * t + b;
            if (j >= count) continue;
            exact below = scores[j] - most;
            int prob = (p.flags & HAS_16_BITS) != 0u ? exp2_word(below) : exp2_byte(below);
            total += prob;
            upper |= (uint(prob) >> 8 & 255u) << (8u * b);
            lower |= (uint(prob) & 255u) << (8u * b);
        }
        probs[0][t] = upper;
        probs[1][t] = lower;
        totals[t] = total;
        barrier();
        for (uint apart = 32u; apart > 0u; apart /= 2u) {
            if (t < apart) totals[t] += totals[t + apart];
            barrier();
        }
        exact previous = highest;
        highest = most > highest ? most : highest;
        exact down = previous - highest, up = most - highest;
        down = down * LN2;
        up = up * LN2;
        exact correction = exponential(down), factor = exponential(up);
        exact corrected = sum * correction;
        sum = fused(float(totals[0]), factor, corrected);
        uint groups = (count + 3u) / 4u;
        for (uint i = 0u; i < 4u; i++) {
            uint c = i * 64u + t;
            if (c >= p.headWidth) break;
            int product = 0;
            for (uint g = 0u; g < groups; g++) {
                int four = values[p.base[3] + (head * keyGroups + first / 4u + g) * p.headWidth + c];
                product += dot4_unsigned(four, probs[1][g]);
                if ((p.flags & HAS_16_BITS) != 0u) product += 256 * dot4_unsigned(four, probs[0][g]);
            }
            exact kept = sums[i] * correction;
            sums[i] = fused(float(product), factor, kept);
        }
        barrier();
    }
    exact share = quotient(1.0, sum);
    for (uint i = 0u; i < 4u; i++) {
        uint c = i * 64u + t, channel = head * p.headWidth + c;
        if (c >= p.headWidth) break;
        exact mean = sums[i] * share;
        result[p.base[7] + at + c] = fused(mean, valueScale[p.base[4] + channel], valueMean[p.base[5] + channel]);
    }
}
