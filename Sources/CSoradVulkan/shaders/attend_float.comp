#version 450
#extension GL_GOOGLE_include_directive : require
// Float attention with a streaming softmax over blocks of 64 keys (attention_f32 of the kernels). A work group has one query of one head;
// its out may lie where the query did.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer Queries { float queries[]; };     // [M, H·D]
layout(std430, binding = 1) readonly buffer Keys { float keys[]; };           // [L, H·D]
layout(std430, binding = 2) readonly buffer Values { float values[]; };       // [L, H·D]
layout(std430, binding = 3) readonly buffer KeyBias { float keyBias[]; };     // [L]
layout(std430, binding = 4) readonly buffer Bias { float bias[]; };           // [H, biasRows, L]
layout(std430, binding = 5) writeonly buffer Out { float result[]; };         // [M, H·D]
layout(push_constant) uniform Parameters {
    uint base[10];
    uint queryBegin, queryEnd, keyCount, heads, headWidth, flags, biasRows;
    float scale;
} p;
const uint HAS_KEY_BIAS = 1u, HAS_BIAS = 2u;
shared float query[1024], probs[64], highs[64], lanes[16];

void main() {
    uint m = p.queryBegin + gl_WorkGroupID.x, head = gl_WorkGroupID.y, t = gl_LocalInvocationID.x;
    uint width = p.heads * p.headWidth, at = m * width + head * p.headWidth;
    for (uint c = t; c < p.headWidth; c += 64u) query[c] = queries[p.base[0] + at + c];
    barrier();
    exact highest = ATTENTION_MIN_SCORE, laneSum = 0.0;
    float sums[16];
    for (uint i = 0u; i < 16u; i++) sums[i] = 0.0;
    for (uint first = 0u; first < p.keyCount; first += 64u) {
        uint count = min(64u, p.keyCount - first);
        exact previous = highest, score = ATTENTION_MIN_SCORE;
        if (t < count) {
            uint key = first + t, keyAt = key * width + head * p.headWidth;
            exact product = 0.0;
            for (uint c = 0u; c < p.headWidth; c++) product = fused(query[c], keys[p.base[1] + keyAt + c], product);
            exact one = 0.0, other = 0.0;
            if ((p.flags & HAS_KEY_BIAS) != 0u) one = keyBias[p.base[3] + key];
            if ((p.flags & HAS_BIAS) != 0u) other = bias[p.base[4] + (head * p.biasRows + m) * p.keyCount + key];
            exact offset = one + other;
            score = fused(product, p.scale, offset);
        }
        highs[t] = score;
        barrier();
        for (uint apart = 32u; apart > 0u; apart /= 2u) {
            if (t < apart) highs[t] = highs[t + apart] > highs[t] ? highs[t + apart] : highs[t];
            barrier();
        }
        highest = highs[0] > highest ? highs[0] : highest;
        exact down = previous - highest, below = score - highest;
        exact correction = exponential(down);
        probs[t] = t < count ? exponential(below) : 0.0;
        barrier();
        if (t < 16u) {
            laneSum = laneSum * correction;
            for (uint j = t; j < count; j += 16u) laneSum = laneSum + probs[j];
        }
        for (uint i = 0u; i < 16u; i++) {
            uint c = i * 64u + t;
            if (c >= p.headWidth) break;
            exact sum = sums[i] * correction;
            for (uint j = 0u; j < count; j++) sum = fused(probs[j], values[p.base[2] + (first + j) * width + head * p.headWidth + c], sum);
            sums[i] = sum;
        }
        barrier();
    }
    if (t < 16u) lanes[t] = laneSum;
    barrier();
    for (uint apart = 8u; apart > 0u; apart /= 2u) {
        if (t < apart) {
            exact sum = lanes[t] + lanes[t + apart];
            lanes[t] = sum;
        }
        barrier();
    }
    exact share = quotient(1.0, lanes[0]);
    for (uint i = 0u; i < 16u; i++) {
        uint c = i * 64u + t;
        if (c >= p.headWidth) break;
        exact y = sums[i] * share;
        result[p.base[5] + at + c] = y;
    }
}
