// The same int8 product, EVEX encoded: what machines with AVX-512 but without AVX-VNNI run in its place.
#include "../internal/kernel_list.h"
#include "../internal/target.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma,avx512f,avx512vl,avx512vnni")

#define SORAD_PREFIX avx512vlvnni
#define SORAD_DPBUSD _mm256_dpbusd_epi32
#include "../lanes/lanes.h"
#include "int8_tile.h"
#include "../lanes/gemm_int8.h"
#include "../lanes/quantize_rows.h"
#include "../lanes/conv_int8_lines.h"
#include "../lanes/attention_int8.h"

SORAD_TARGET_END
#endif
