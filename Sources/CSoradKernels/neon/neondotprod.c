// The int8 kernels for NEON with dot products (ARMv8.2, optional; Cortex-A55, A76 and later); the float kernels are
// those of neon.c.
#include "../internal/target.h"

#ifdef SORAD_ARM
SORAD_TARGET_BEGIN("dotprod")

#define SORAD_PREFIX neondotprod
#define SORAD_GEMM_TILE "../neon/gemm_tile_dotprod.h"
#define SORAD_CONV_QT8 "conv_im2col.h"
#include "../lanes/int8_kernels.h"

SORAD_TARGET_END
#endif
