// The list of kernels, one row each. Declarations and tables of every instruction set are made from it, so a kernel that
// is missing somewhere does not link.
#ifndef SORAD_KERNEL_LIST_H
#define SORAD_KERNEL_LIST_H

#include "sorad_kernels.h"

// ROW(isa prefix, kernel). The instruction sets that differ in int8 products only share the other list's kernels.
#define SORAD_INT8_KERNEL_LIST(ROW, isa)                                                                               \
    ROW(isa, int8_tile_rows)                                                                                           \
    ROW(isa, packed_rows_bytes)                                                                                        \
    ROW(isa, quantize_rows)                                                                                            \
    ROW(isa, gemm_int8_scratch_bytes)                                                                                  \
    ROW(isa, gemm_int8)                                                                                                \
    ROW(isa, gemm_int8_i32)                                                                                       \
    ROW(isa, conv2d_int8_scratch_bytes)                                                                           \
    ROW(isa, conv2d_int8)                                                                                         \
    ROW(isa, attention_int8_pack)                                                                                 \
    ROW(isa, attention_int8)

#define SORAD_FLOAT_KERNEL_LIST(ROW, isa)                                                                              \
    ROW(isa, gemm_f32)                                                                                                 \
    ROW(isa, conv2d)                                                                                                   \
    ROW(isa, widen_range)                                                                                              \
    ROW(isa, widen_channel_range)                                                                                      \
    ROW(isa, quantize_image)                                                                                           \
    ROW(isa, layer_norm)                                                                                               \
    ROW(isa, rms_norm)                                                                                                 \
    ROW(isa, rope)                                                                                                     \
    ROW(isa, hadamard)                                                                                                 \
    ROW(isa, attention_pack)                                                                                           \
    ROW(isa, attention)                                                                                                \
    ROW(isa, add)                                                                                                      \
    ROW(isa, mul)                                                                                                      \
    ROW(isa, scale_add)                                                                                                \
    ROW(isa, cfg_combine)                                                                                              \
    ROW(isa, relu)                                                                                                     \
    ROW(isa, silu)                                                                                                     \
    ROW(isa, gelu_tanh)                                                                                                \
    ROW(isa, gelu_tanh_mul)                                                                                            \
    ROW(isa, clamp_tanh)                                                                                               \
    ROW(isa, exp)                                                                                                      \
    ROW(isa, tanh)                                                                                                     \
    ROW(isa, euler_step)

// A function with the type of the table's field: `void sorad_scalar_add(const float *, ...)`.
#define SORAD_DECLARE_KERNEL(isa, kernel) __typeof__(*((sorad_kernels *)0)->kernel) sorad_##isa##_##kernel;
#define SORAD_TABLE_ENTRY(isa, kernel) .kernel = sorad_##isa##_##kernel,

#define SORAD_DECLARE_KERNELS(int8_isa, float_isa)           \
    SORAD_INT8_KERNEL_LIST(SORAD_DECLARE_KERNEL, int8_isa)   \
    SORAD_FLOAT_KERNEL_LIST(SORAD_DECLARE_KERNEL, float_isa)
#define SORAD_TABLE(id, int8_isa, float_isa)                       \
    {                                                              \
        .isa = id,                                                 \
        SORAD_INT8_KERNEL_LIST(SORAD_TABLE_ENTRY, int8_isa)        \
        SORAD_FLOAT_KERNEL_LIST(SORAD_TABLE_ENTRY, float_isa)      \
    }

SORAD_DECLARE_KERNELS(scalar, scalar)
SORAD_DECLARE_KERNELS(avx2, avx2)
SORAD_DECLARE_KERNELS(avxvnni, avx2)
SORAD_DECLARE_KERNELS(avx512vlvnni, avx2)
SORAD_DECLARE_KERNELS(avx512vnni, avx512vnni)
SORAD_DECLARE_KERNELS(neondotprod, neon)
SORAD_DECLARE_KERNELS(neoni8mm, neon)

#endif
