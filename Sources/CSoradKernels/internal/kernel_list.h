// Declares the kernels of every instruction set, and SORAD_TABLE, which makes the table of one.
#ifndef SORAD_INTERNAL_KERNEL_LIST_H
#define SORAD_INTERNAL_KERNEL_LIST_H

#include "sorad_kernels.h"

#define SORAD_DECLARE_KERNEL(isa, kernel, type) sorad_##type##_fn sorad_##isa##_##kernel;
#define SORAD_DECLARE_KERNELS(id, value, name, int8_isa, float_isa) SORAD_INT8_KERNEL_LIST(SORAD_DECLARE_KERNEL, int8_isa)

SORAD_ISA_LIST(SORAD_DECLARE_KERNELS)
SORAD_FLOAT_KERNEL_LIST(SORAD_DECLARE_KERNEL, scalar)
SORAD_FLOAT_KERNEL_LIST(SORAD_DECLARE_KERNEL, avx2)
SORAD_FLOAT_KERNEL_LIST(SORAD_DECLARE_KERNEL, avx512vnni)
SORAD_FLOAT_KERNEL_LIST(SORAD_DECLARE_KERNEL, neon)

#define SORAD_TABLE_ENTRY(isa, kernel, type) .kernel = sorad_##isa##_##kernel,
#define SORAD_TABLE(id, int8_isa, float_isa)                     \
    {                                                            \
        .isa = id,                                               \
        SORAD_INT8_KERNEL_LIST(SORAD_TABLE_ENTRY, int8_isa)      \
        SORAD_FLOAT_KERNEL_LIST(SORAD_TABLE_ENTRY, float_isa)    \
    }

#endif
