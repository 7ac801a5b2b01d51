// The int8 kernels for AVX-VNNI (VEX encoded); the float kernels are those of avx2.c.
#include "../internal/target.h"

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma,avxvnni")

#define SORAD_PREFIX avxvnni
#ifdef SORAD_SIMDE
#define SORAD_DPBUSD _mm256_dpbusd_epi32
#else
#define SORAD_DPBUSD _mm256_dpbusd_avx_epi32
#endif
#define SORAD_GEMM_TILE "../avxvnni/gemm_tile_avxvnni.h"
#define SORAD_CONV_QT8 "conv_implicit_gemm.h"
#include "../lanes/int8_kernels.h"

SORAD_TARGET_END
#endif
