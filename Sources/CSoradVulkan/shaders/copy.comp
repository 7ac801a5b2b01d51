#version 450
#extension GL_GOOGLE_include_directive : require
// Copies blocks of words to as many blocks of the same length.
#extension GL_EXT_spirv_intrinsics : require
layout(local_size_x = 64) in;
layout(std430, binding = 0) readonly buffer Source { uint source[]; };
layout(std430, binding = 1) writeonly buffer Target { uint target[]; };
layout(push_constant) uniform Parameters { uint base[10]; uint count, blockLength, sourceStride, targetStride; } p;

void main() {
    uint i = (gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x) * 64u + gl_LocalInvocationID.x;
    if (i >= p.count * p.blockLength) return;
    uint block = i / p.blockLength, within = i % p.blockLength;
    target[p.base[1] + block * p.targetStride + within] = source[p.base[0] + block * p.sourceStride + within];
}
