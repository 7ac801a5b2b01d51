// The int8 product for AVX-VNNI, VEX encoded.
#include "../internal/kernel_list.h"
#include "../internal/target.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma,avxvnni")

#define SORAD_PREFIX avxvnni
#ifdef SORAD_SIMDE
#define SORAD_DPBUSD _mm256_dpbusd_epi32
#else
#define SORAD_DPBUSD _mm256_dpbusd_avx_epi32
#endif
#include "../lanes/lanes.h"
#include "int8_tile.h"
#include "../lanes/gemm_int8.h"
#include "../lanes/quantize_rows.h"
#include "../lanes/conv_int8_lines.h"
#include "../lanes/attention_int8.h"

SORAD_TARGET_END
#endif
