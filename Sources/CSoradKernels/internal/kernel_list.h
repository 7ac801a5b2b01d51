// The list of kernels, one row each. Declarations and tables of every instruction set are made from it, so a kernel that
// is missing somewhere does not link.
#ifndef SORAD_KERNEL_LIST_H
#define SORAD_KERNEL_LIST_H

#include "sorad_kernels.h"

// ROW(isa prefix, kernel)
#define SORAD_KERNEL_LIST(ROW, isa)                                                                                    \
    ROW(isa, quantize_rows)                                                                                            \
    ROW(isa, gemm_int8_scratch_bytes)                                                                                  \
    ROW(isa, gemm_int8)                                                                                                \
    ROW(isa, gemm_int8_i32)                                                                                            \
    ROW(isa, gemm_f32)                                                                                                 \
    ROW(isa, conv2d)                                                                                                   \
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

SORAD_KERNEL_LIST(SORAD_DECLARE_KERNEL, scalar)

#endif
