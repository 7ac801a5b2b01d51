// All kernels for AVX2 + FMA; AVX-VNNI and AVX512VL-VNNI share the float ones.
#include "../internal/target.h"

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma")

#define SORAD_PREFIX avx2
#define F32_MR 6   // twelve registers of sums, two of weights, one factor: 15 of 16
#define SORAD_GEMM_TILE "../avx2/gemm_tile_avx2.h"
#define SORAD_CONV_QT8 "conv_im2col.h"
#include "../lanes/float_kernels.h"
#include "../lanes/int8_kernels.h"

SORAD_TARGET_END
#endif
