// The int8 kernels for AVX512VL-VNNI (EVEX encoded): the same 256-bit tile for CPUs that have AVX-512 but not AVX-VNNI.
#include "../internal/target.h"

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma,avx512f,avx512vl,avx512vnni")

#define SORAD_PREFIX avx512vlvnni
#define SORAD_DPBUSD _mm256_dpbusd_epi32
#define SORAD_GEMM_TILE "../avxvnni/gemm_tile_avxvnni.h"
#define SORAD_CONV_QT8 "conv_implicit_gemm.h"
#include "../lanes/int8_kernels.h"

SORAD_TARGET_END
#endif
