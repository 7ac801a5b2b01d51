#version 450
#extension GL_GOOGLE_include_directive : require
// The ways between latents [C, T, h, w], tokens and pixels. Every invocation makes one value of the result.
#include "math.glsl"
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer X { float x[]; };
layout(std430, binding = 1) writeonly buffer Out { float result[]; };
layout(std430, binding = 2) readonly buffer Mean { float mean[]; };           // [C]
layout(std430, binding = 3) readonly buffer Deviation { float deviation[]; }; // [C]
layout(push_constant) uniform Parameters {
    uint base[10];
    uint count, kind, channels, planeStride;          // planeStride: values from one channel of latents to the next
    uint patchFrames, patchHeight, patchWidth, gridHeight, gridWidth;
} p;

void main() {
    uint i = flat_index();
    if (i >= p.count) return;
    if (p.kind < 2u) { // 0: latents to rows [tokens, C · box], 1: rows [tokens, box · C] to latents; i counts latent values
        uint width = p.gridWidth * p.patchWidth, height = p.gridHeight * p.patchHeight;
        uint column = i % width, line = i / width % height, frame = i / (width * height) % (p.planeStride / (width * height));
        uint channel = i / p.planeStride, box = p.patchFrames * p.patchHeight * p.patchWidth;
        uint token = (frame / p.patchFrames * p.gridHeight + line / p.patchHeight) * p.gridWidth + column / p.patchWidth;
        uint within = (frame % p.patchFrames * p.patchHeight + line % p.patchHeight) * p.patchWidth + column % p.patchWidth;
        if (p.kind == 0u) result[p.base[1] + token * p.channels * box + channel * box + within] = x[p.base[0] + i];
        else result[p.base[1] + i] = x[p.base[0] + token * box * p.channels + within * p.channels + channel];
    } else if (p.kind < 4u) { // 2: a frame of latents to an image [h, w, C], 3: back; i counts the image's values
        uint c = i % p.channels, planar = c * p.planeStride + i / p.channels;
        exact m = mean[p.base[2] + c], d = deviation[p.base[3] + c];
        if (p.kind == 2u) result[p.base[1] + i] = fused(x[p.base[0] + planar], d, m);
        else {
            exact difference = x[p.base[0] + i] - m;
            result[p.base[1] + planar] = quotient(difference, d);
        }
    } else { // 4: pixels [h, w, C·r²] to [h·r, w·r, C], 5: back; i counts the values of the wide image
        uint r = p.patchWidth, c = i % p.channels, column = i / p.channels % (p.gridWidth * r), line = i / (p.channels * p.gridWidth * r);
        uint packed = ((line / r * p.gridWidth + column / r) * p.channels + c) * r * r + line % r * r + column % r;
        if (p.kind == 4u) result[p.base[1] + i] = x[p.base[0] + packed];
        else result[p.base[1] + packed] = x[p.base[0] + i];
    }
}
