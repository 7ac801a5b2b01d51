// The int8 kernels for NEON without dot products (Cortex-A53, A72, A73: the Raspberry Pi 3 and 4, many boxes); the
// float kernels are those of neon.c.
#include "../internal/target.h"

#ifdef SORAD_ARM
#define SORAD_PREFIX neonmlal
#define SORAD_GEMM_TILE "../neon/gemm_tile_mlal.h"
#define SORAD_CONV_QT8 "conv_im2col.h"
#include "../lanes/int8_kernels.h"
#endif
