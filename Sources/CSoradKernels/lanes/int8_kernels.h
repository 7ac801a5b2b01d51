// The int8 kernels, for a file of an instruction set to include. Before, that file defines
//   SORAD_PREFIX      the prefix of its kernels: KERNEL(gemm_qd8_f32_qc8w) is sorad_avx2_gemm_qd8_f32_qc8w
//   SORAD_GEMM_TILE   the file of its register tile, see gemm_tile.h
//   SORAD_CONV_QT8    how it convolves: "conv_implicit_gemm.h" where its tile has conv_tile, else "conv_im2col.h"
#ifndef SORAD_LANES_INT8_KERNELS_H
#define SORAD_LANES_INT8_KERNELS_H

#include "attention_qd8kv.h"
#include "gemm_loops.h"
#include "quantize_qd8.h"
#include SORAD_CONV_QT8

#endif
