#version 450
#extension GL_GOOGLE_include_directive : require
// The lowest and highest value of 0 and each channel over some pixels: minmax_channels_f32 of the kernels, of pixels as they are or
// normalized. A work group has `together` pixels; image_parameters.comp joins what all have seen.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer X { float x[]; };                 // [pixels, C]
layout(std430, binding = 1) readonly buffer Inverse { float inverse[]; };     // [pixels], of the norm
layout(std430, binding = 2) readonly buffer Weight { float weight[]; };       // [C], of the norm
layout(std430, binding = 3) writeonly buffer Ends { float ends[]; };          // [work groups, 2, C]
layout(push_constant) uniform Parameters { uint base[10]; uint pixels, channels, together, hasNorm; } p;

void main() {
    uint group = flat_group(), first = group * p.together, end = min(first + p.together, p.pixels);
    if (first >= p.pixels) return;
    for (uint c = gl_LocalInvocationID.x; c < p.channels; c += 64u) {
        exact low = 0.0, high = 0.0;
        for (uint pixel = first; pixel < end; pixel++) {
            exact y = x[p.base[0] + pixel * p.channels + c];
            if (p.hasNorm != 0u) {
                y = y * inverse[p.base[1] + pixel];
                y = y * weight[p.base[2] + c];
            }
            float value = finite(y);
            low = value < low ? value : low;
            high = value > high ? value : high;
        }
        ends[p.base[3] + 2u * group * p.channels + c] = low;
        ends[p.base[3] + (2u * group + 1u) * p.channels + c] = high;
    }
}
