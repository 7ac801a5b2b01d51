// The float kernels for NEON, which every 64-bit ARM has; the int8 products come from dotprod.c or i8mm.c.
#include "../internal/kernel_list.h"
#include "../internal/target.h"

#include <float.h>
#include <math.h>
#include <string.h>

#ifdef SORAD_ARM
#define SORAD_PREFIX neon
#include "../lanes/lanes.h"

// Six rows by 16: twenty-four sums, four weights, one factor of the 32 registers.
enum { SORAD_F32_ROWS = 6 };
#define SORAD_F32_PARTIAL_ROWS(tile) \
    SORAD_CASE(1, tile) SORAD_CASE(2, tile) SORAD_CASE(3, tile) SORAD_CASE(4, tile) SORAD_CASE(5, tile)

#include "../lanes/elementwise.h"
#include "../lanes/rows.h"
#include "../lanes/quantize_image.h"
#include "../lanes/gemm_f32.h"
#include "../lanes/attention.h"
#endif
