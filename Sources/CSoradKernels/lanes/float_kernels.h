// The float kernels, for a file of an instruction set to include. Before, that file defines
//   SORAD_PREFIX   the prefix of its kernels: KERNEL(add_f32) is sorad_avx2_add_f32
//   F32_MR         rows of the float register tile (at most 12), as many as its registers hold sums of 16 floats
#ifndef SORAD_LANES_FLOAT_KERNELS_H
#define SORAD_LANES_FLOAT_KERNELS_H

#include "attention_f32.h"
#include "conv_f32.h"
#include "dequantize.h"
#include "elementwise.h"
#include "gemm_f32.h"
#include "hadamard.h"
#include "norm.h"
#include "quantize_qt8.h"
#include "rope.h"

#endif
