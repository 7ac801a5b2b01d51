// Int8 convolution by im2col: the rows of the int8 GEMM are the taps of output pixels.
//
// At most IM2COL_ROWS pixels are copied at a time, straight to packed form, and stay in the second-level cache while
// every output reads them; the whole matrix never exists. A row is `kernel` runs of the stored image, whose border
// makes tests for the edges unnecessary.
#ifndef SORAD_LANES_CONV_IM2COL_H
#define SORAD_LANES_CONV_IM2COL_H

#include "gemm_loops.h"

enum { IM2COL_ROWS = 96 };

// Bytes of one row before it is packed: whole K-blocks, zeros after K.
static size_t im2col_row_bytes(const gemm_plan *plan) { return (plan->k4 + KBLOCK_BYTES - 1) / KBLOCK_BYTES * KBLOCK_BYTES; }

static sorad_gemm_qd8_args im2col_gemm(const sorad_conv2d_qt8_args *args) {
    sorad_gemm_qd8_args product = {.w = args->w, .w_scale = args->w_scale, .w_sum = args->w_sum, .bias = args->bias};
    product.k = args->kernel * args->kernel * args->channels;
    product.out_stride = args->out_stride, product.col_end = args->c_out;
    product.epilogue = args->epilogue;
    return product;
}

static size_t im2col_out_width(const sorad_conv2d_qt8_args *args) {
    size_t width = args->upsample ? 2 * args->width : args->width;
    return (width + 2 * args->padding - args->kernel) / args->stride + 1;
}

size_t KERNEL(conv2d_qt8_scratch_bytes)(const sorad_conv2d_qt8_args *args) {
    sorad_gemm_qd8_args product = im2col_gemm(args);
    const gemm_plan plan = gemm_plan_of(product.k);
    product.row_end = (args->row_end - args->row_begin) * im2col_out_width(args);
    if (product.row_end > IM2COL_ROWS) product.row_end = IM2COL_ROWS;
    return im2col_row_bytes(&plan) + product.row_end * plan.kblocks * KBLOCK_BYTES + KERNEL(gemm_qd8_scratch_bytes)(&product);
}

// The row of output pixel (y, x): its taps in the order (ky, kx, channel).
SORAD_INLINE void im2col_row(const sorad_conv2d_qt8_args *args, size_t y, size_t x, int8_t *row) {
    const size_t upscale = args->upsample ? 1 : 0, image_row = (args->width + 2) * args->channels;
    const size_t top = y * args->stride + 1 + upscale - args->padding, left = x * args->stride + 1 + upscale - args->padding;
    for (size_t ky = 0; ky < args->kernel; ky++) {
        const int8_t *from = args->x + ((top + ky) >> upscale) * image_row;
        if (upscale == 0) {
            memcpy(row, from + left * args->channels, args->kernel * args->channels);
            row += args->kernel * args->channels;
        } else {
            for (size_t kx = 0; kx < args->kernel; kx++, row += args->channels)
                memcpy(row, from + ((left + kx) >> 1) * args->channels, args->channels);
        }
    }
}

// Output pixels m ..< m + rows, packed as quantize_qd8.h packs rows.
static void im2col_pack(const sorad_conv2d_qt8_args *args, const gemm_plan *plan, size_t m, size_t rows, char *packed,
                             int8_t *row) {
    const size_t out_width = im2col_out_width(args);
    size_t y = m / out_width, x = m % out_width;
    for (size_t at = 0, tile; at < rows; at += tile, packed += tile * plan->kblocks * KBLOCK_BYTES) {
        tile = rows - at < MR ? rows - at : MR;
        for (size_t r = 0; r < tile; r++) {
            im2col_row(args, y, x, row);
            if (++x == out_width) x = 0, y++;
            for (size_t b = 0; b < plan->kblocks; b++)
                a_pack_kblock(row + b * KBLOCK_VALUES, packed + (b * tile + r) * KBLOCK_BYTES);
        }
        a_interleave_rows(packed, tile, plan->kblocks);
    }
}

void KERNEL(conv2d_qt8_f32_qc8w)(const sorad_conv2d_qt8_args *args) {
    sorad_gemm_qd8_args product = im2col_gemm(args);
    const gemm_plan plan = gemm_plan_of(product.k);
    const size_t out_width = im2col_out_width(args), end = args->row_end * out_width;
    float scale[IM2COL_ROWS];
    int32_t zero[IM2COL_ROWS];
    for (size_t r = 0; r < IM2COL_ROWS; r++) scale[r] = args->x_scale, zero[r] = args->x_zero;
    product.a_scale = scale, product.a_zero = zero;
    // The scratch holds one row, then the packed rows, then the scratch of the GEMM.
    int8_t *row = args->scratch;
    memset(row, 0, im2col_row_bytes(&plan));
    char *packed = (char *)row + im2col_row_bytes(&plan);
    product.a = packed;
    for (size_t m = args->row_begin * out_width, rows; m < end; m += rows) {
        rows = end - m < IM2COL_ROWS ? end - m : IM2COL_ROWS;
        im2col_pack(args, &plan, m, rows, packed, row);
        product.rows = product.row_end = rows;
        product.scratch = packed + rows * plan.kblocks * KBLOCK_BYTES;
        product.out = args->out + m * args->out_stride;
        if (args->epilogue.residual) product.epilogue.residual = args->epilogue.residual + m * args->epilogue.residual_stride;
        if (args->epilogue.gate) product.epilogue.gate = args->epilogue.gate + m * args->epilogue.gate_stride;
        KERNEL(gemm_qd8_f32_qc8w)(&product);
    }
}

#endif
