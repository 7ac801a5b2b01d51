#version 450
#extension GL_GOOGLE_include_directive : require
// Images to int8 inside a border of zero points, as quantize_f32_qt8 of the kernels, after an optional norm and SiLU of the pixels and
// an optional factor for each channel. Every invocation makes four channels of one pixel.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer First { float first[]; };         // [height, width, c0]
layout(std430, binding = 1) readonly buffer Second { float second[]; };       // [height, width, c1]
layout(std430, binding = 2) readonly buffer NormInverse { float normInverse[]; }; // [height · width]
layout(std430, binding = 3) readonly buffer Weight { float weight[]; };       // [C], of the norm
layout(std430, binding = 4) readonly buffer Factor { float factor[]; };       // [C]
layout(std430, binding = 5) readonly buffer Head { uint head[]; };            // scale, zero point
layout(std430, binding = 6) readonly buffer Inverse { float inverse[]; };
layout(std430, binding = 7) writeonly buffer Image { int image[]; };          // [height + 2, width + 2, groups]
layout(std430, binding = 8) writeonly buffer Fine { int fine[]; };            // the same of the low plane
layout(push_constant) uniform Parameters { uint base[10]; uint height, width, c0, c1, flags; } p;
const uint HAS_NORM = 1u, HAS_FACTOR = 2u, HAS_FINE = 4u, HAS_SECOND = 8u;

float value_of(uint pixel, uint c) {
    exact y = 0.0;
    if (c < p.c0) y = first[p.base[0] + pixel * p.c0 + c];
    else if ((p.flags & HAS_SECOND) != 0u) y = second[p.base[1] + pixel * p.c1 + c - p.c0];
    if ((p.flags & HAS_NORM) != 0u) {
        y = y * normInverse[p.base[2] + pixel];
        y = y * weight[p.base[3] + c];
        y = silu(y);
    }
    if ((p.flags & HAS_FACTOR) != 0u) y = y * factor[p.base[4] + c];
    return finite(y);
}

void main() {
    uint i = flat_index(), channels = p.c0 + p.c1, groups = (channels + 3u) / 4u;
    if (i >= (p.height + 2u) * (p.width + 2u) * groups) return;
    uint group = i % groups, x = i / groups % (p.width + 2u), y = i / groups / (p.width + 2u);
    bool isInside = y > 0u && y <= p.height && x > 0u && x <= p.width;
    int zero = int(head[p.base[5] + 1u]), word = 0, fineWord = 0;
    exact inverted = inverse[p.base[6]];
    for (uint b = 0u; b < 4u; b++) {
        uint c = 4u * group + b;
        int q = zero, low = 0;
        if (isInside && c < channels) {
            exact steps = value_of((y - 1u) * p.width + x - 1u, c) * inverted;
            exact whole = rounded(steps);
            q = clamped_int8(int(whole) + zero);
            if ((p.flags & HAS_FINE) != 0u) {
                exact rest = steps - whole;
                rest = rest * 254.0;
                low = clamped_int8(int(rounded(rest)));
            }
        }
        word |= (q & 255) << int(8u * b);
        fineWord |= (low & 255) << int(8u * b);
    }
    image[p.base[7] + i] = word;
    if ((p.flags & HAS_FINE) != 0u) fine[p.base[8] + i] = fineWord;
}
