// Every kernel for AVX-512 with VNNI.
#include "../internal/kernel_list.h"
#include "../internal/target.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")

#define SORAD_PREFIX avx512vnni
#ifndef SORAD_SIMDE
// p * 2^k rounded once, as two multiplications by halves of the power do. SIMDe's version rounds otherwise.
#define SORAD_SCALE_BY_POWER(p, k) (lanes)_mm512_scalef_ps((__m512)(p), _mm512_cvtepi32_ps((__m512i)(k)))
// Both limits at once: the smaller of |x| and the limit, with the sign of x.
#define SORAD_WITHIN(x, limit) (lanes)_mm512_range_ps((__m512)(x), _mm512_set1_ps(limit), 2)
#endif
#include "../lanes/lanes.h"

// Twelve rows by 16: twelve sums in flight hide the latency of two multiply-adds a cycle.
enum { SORAD_F32_ROWS = 12 };
#define SORAD_F32_PARTIAL_ROWS(tile)                                                                                \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)             \
    SORAD_CASE(6, tile) SORAD_CASE(7, tile) SORAD_CASE(8, tile) SORAD_CASE(9, tile) SORAD_CASE(10, tile)            \
    SORAD_CASE(11, tile)

#include "../lanes/elementwise.h"
#include "../lanes/rows.h"
#include "../lanes/quantize_image.h"
#include "../lanes/gemm_f32.h"
#include "../lanes/attention.h"
#include "int8_tile.h"
#include "../lanes/gemm_int8.h"
#include "../lanes/quantize_rows.h"
#include "../lanes/conv_int8_lines.h"
#include "../lanes/attention_int8.h"

SORAD_TARGET_END
#endif
