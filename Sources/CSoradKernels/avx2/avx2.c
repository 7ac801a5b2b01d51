// Every kernel for AVX2 + FMA.
#include "../internal/kernel_list.h"
#include "../internal/target.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef SORAD_X86
SORAD_TARGET_BEGIN("avx2,fma")

#define SORAD_PREFIX avx2
#include "../lanes/lanes.h"

// Six rows by 16: twelve sums, two weights, one factor of the 16 registers.
enum { SORAD_F32_ROWS = 6 };
#define SORAD_F32_PARTIAL_ROWS(tile) \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)

#include "../lanes/elementwise.h"
#include "../lanes/rows.h"
#include "../lanes/quantize_image.h"
#include "../lanes/gemm_f32.h"
#include "../lanes/attention.h"
#include "int8_tile.h"
#include "../lanes/gemm_int8.h"
#include "../lanes/quantize_rows.h"
#include "../lanes/conv_int8_gathered.h"
#include "../lanes/attention_int8.h"

SORAD_TARGET_END
#endif
