// The int8 kernels for NEON with matrix products (ARMv8.6; Cortex-A510, A710, X2, Neoverse V1, N2 and later); the
// float kernels are those of neon.c.
#include "../internal/target.h"

#ifdef SORAD_ARM
SORAD_TARGET_BEGIN("i8mm")

#define SORAD_PREFIX neoni8mm
#define SORAD_GEMM_TILE "../neon/gemm_tile_i8mm.h"
#define SORAD_CONV_QT8 "conv_im2col.h"
#include "../lanes/int8_kernels.h"

SORAD_TARGET_END
#endif
