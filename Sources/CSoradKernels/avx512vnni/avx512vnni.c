// All kernels for AVX-512 with VNNI.
#include "../internal/target.h"

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

#define SORAD_PREFIX avx512vnni
#ifndef SORAD_SIMDE
// p * 2^k, rounded once, as two multiplications by halves of the power are. (SIMDe's version rounds otherwise.)
#define SORAD_SCALE_BY_POWER(p, k) (lanes)_mm512_scalef_ps((__m512)(p), _mm512_cvtepi32_ps((__m512i)(k)))
// Clamps |x| to the limit and keeps the sign of x.
#define SORAD_CLAMP_MAGNITUDE(x, limit) (lanes)_mm512_range_ps((__m512)(x), _mm512_set1_ps(limit), 2)
#endif
#define F32_MR 12   // twelve sums in flight hide the latency of two multiply-adds a cycle
#define SORAD_GEMM_TILE "../avx512vnni/gemm_tile_avx512vnni.h"
#define SORAD_CONV_QT8 "conv_implicit_gemm.h"
#include "../lanes/float_kernels.h"
#include "../lanes/int8_kernels.h"

SORAD_TARGET_END
#endif
