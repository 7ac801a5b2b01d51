// The epilogue of the int8 GEMM: from the integer sums of a tile to float results, or to the integer sums without
// offset.
//
// epilogue_tile does it at once. A deferred_epilogue does it later, one vector of 16 results at a time, from the hook
// of the next tile: with K = 1536 the float work then fits between that tile's products (they would otherwise wait
// one cycle in thirty).
#ifndef SORAD_LANES_EPILOGUE_H
#define SORAD_LANES_EPILOGUE_H

#include "gemm_tile.h"
#include "prefetch.h"

// Where the sums go: float results to args->out, or, where `sums` is not null, integers to `sums`.
typedef struct gemm_output {
    const sorad_gemm_qd8_args *args;
    int32_t *sums;
    size_t sums_stride;
} gemm_output;

// ---- At once -----------------------------------------------------------------------------------------------------------

// Float results of rows m ..< m + rows, outputs n ..< n + count, from sum [rows].
SORAD_INLINE void epilogue_rows(const sorad_gemm_qd8_args *args, const sorad_epilogue epilogue, const size_t rows, size_t m,
                                size_t n, const size_t count, const lanes_i32 *sum) {
    lanes_u32 w_sum = (lanes_u32)load_i32(args->w_sum + n, count), plain = w_sum * (uint32_t)TILE_A_OFFSET;
    lanes w_scale = load(args->w_scale + n, count), bias = args->bias ? load(args->bias + n, count) : splat(0.0f);
#pragma clang loop unroll_count(4)
    for (size_t r = 0; r < rows; r++, m++) {
        lanes_u32 offset = args->a_zero ? w_sum * (uint32_t)(args->a_zero[m] + TILE_A_OFFSET) : plain;
        lanes exact = __builtin_convertvector((lanes_i32)((lanes_u32)sum[r] - offset), lanes);
        lanes y = vfma(exact, splat(args->a_scale[m]) * w_scale, bias);
        store(args->out + m * args->out_stride + n, epilogue_lanes(&epilogue, m, n, count, y), count);
    }
}

// The same with a constant activation, and without the tests for gate and residual where there are none.
SORAD_INLINE void epilogue_rows_of(const sorad_gemm_qd8_args *args, const sorad_activation activation, const size_t rows, size_t m,
                                   size_t n, const size_t count, const lanes_i32 *sum) {
    sorad_epilogue epilogue = args->epilogue;
    epilogue.activation = activation;
    if (!epilogue.gate && !epilogue.residual && !epilogue.relu_at_end) {
        sorad_epilogue bare = {.activation = activation};
        epilogue_rows(args, bare, rows, m, n, count, sum);
    } else {
        epilogue_rows(args, epilogue, rows, m, n, count, sum);
    }
}

SORAD_INLINE void epilogue_panel(const gemm_output *output, const size_t rows, size_t m, size_t n, const size_t count,
                                 const lanes_i32 *sum) {
    const sorad_gemm_qd8_args *args = output->args;
    if (output->sums) {
        lanes_u32 offset = (lanes_u32)load_i32(args->w_sum + n, count) * (uint32_t)TILE_A_OFFSET;
        for (size_t r = 0; r < rows; r++)
            store_i32(output->sums + (m + r) * output->sums_stride + n, (lanes_i32)((lanes_u32)sum[r] - offset), count);
        return;
    }
    switch (args->epilogue.activation) {
    case SORAD_ACTIVATION_NONE: epilogue_rows_of(args, SORAD_ACTIVATION_NONE, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_RELU: epilogue_rows_of(args, SORAD_ACTIVATION_RELU, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_GELU_TANH: epilogue_rows_of(args, SORAD_ACTIVATION_GELU_TANH, rows, m, n, count, sum); break;
    case SORAD_ACTIVATION_SILU: epilogue_rows_of(args, SORAD_ACTIVATION_SILU, rows, m, n, count, sum); break;
    }
}

// Rows m ..< m + rows of `panels` panels from output n on; the sums of a panel begin `stride` vectors after those of
// the one before.
static __attribute__((noinline)) void epilogue_tile(const gemm_output *output, size_t rows, size_t m, size_t n, size_t panels,
                                                    const lanes_i32 *sum, size_t stride) {
    for (size_t p = 0; p < panels; p++, n += PANEL, sum += stride) {
        size_t count = lane_count(n, output->args->col_end);
        if (count != SORAD_LANES) epilogue_panel(output, rows, m, n, count, sum);
        else if (rows != MR) epilogue_panel(output, rows, m, n, SORAD_LANES, sum);
        else epilogue_panel(output, MR, m, n, SORAD_LANES, sum);
    }
}

// ---- Deferred ----------------------------------------------------------------------------------------------------------



// Epilogues that the interleaved tile is compiled for: testing what to do for every vector costs as much as a
// multiplication.
enum { EPILOGUE_BARE, EPILOGUE_GELU, EPILOGUE_ADDED, EPILOGUE_ANY };

// A whole tile of sums whose results are still to be written.
typedef struct deferred_epilogue {
    const lanes_i32 *sum;
    lanes_u32 w_sum[NR_PANELS], offset[NR_PANELS];
    lanes w_scale[NR_PANELS], bias[NR_PANELS];
    sorad_epilogue epilogue;
    int kind;       // EPILOGUE_...
    const float *a_scale;
    const int32_t *a_zero;
    size_t out_stride, first_m, first_n;
    size_t m, n;    // of the next vector
    float *out;     // of the next vector
    bool prefetches;                               // K is long enough to prefetch the next tile's output
    ptrdiff_t to_next_out, to_next_residual;       // floats from this tile's output and residual to the next tile's
    size_t next;    // vector, panel by panel; TILE_VECTORS: nothing is left
    size_t share;   // vectors in one call of the hook, so that three quarters of a tile's calls are enough
} deferred_epilogue;

SORAD_INLINE int deferred_kind(const sorad_epilogue *e) {
    if (e->relu_at_end) return EPILOGUE_ANY;
    if (e->gate || e->residual) return e->activation == SORAD_ACTIVATION_NONE ? EPILOGUE_ADDED : EPILOGUE_ANY;
    if (e->activation == SORAD_ACTIVATION_NONE) return EPILOGUE_BARE;
    return e->activation == SORAD_ACTIVATION_GELU_TANH ? EPILOGUE_GELU : EPILOGUE_ANY;
}

// Writes the next 16 results; `kind` is late->kind as a constant, or EPILOGUE_ANY.
SORAD_INLINE void deferred_vector(deferred_epilogue *late, const int kind) {
    sorad_epilogue epilogue = late->epilogue;
    if (kind != EPILOGUE_ANY) {
        epilogue.activation = kind == EPILOGUE_GELU ? SORAD_ACTIVATION_GELU_TANH : SORAD_ACTIVATION_NONE;
        epilogue.relu_at_end = false;
        if (kind != EPILOGUE_ADDED) epilogue.gate = epilogue.residual = NULL;
    }
    const size_t i = late->next, p = i / MR, m = late->m, n = late->n;
    float *out = late->out;
    late->next = i + 1, late->m = m + 1, late->out = out + late->out_stride;
    lanes_u32 offset = late->a_zero ? late->w_sum[p] * (uint32_t)(late->a_zero[m] + TILE_A_OFFSET) : late->offset[p];
    lanes exact = __builtin_convertvector((lanes_i32)((lanes_u32)late->sum[i] - offset), lanes);
    lanes y = vfma(exact, splat(late->a_scale[m]) * late->w_scale[p], late->bias[p]);
    store16(out, epilogue_lanes(&epilogue, m, n, SORAD_LANES, y));
    if (late->prefetches) {
        __builtin_prefetch(out + late->to_next_out, 1);
        if (epilogue.residual) __builtin_prefetch(epilogue.residual + m * epilogue.residual_stride + n + late->to_next_residual);
    }
    if (late->m == late->first_m + MR) {
        late->m = late->first_m, late->n = n + PANEL;
        late->out = out - (MR - 1) * late->out_stride + PANEL;
    }
}

SORAD_INLINE bool deferred_is_done(const deferred_epilogue *late) { return late->next >= TILE_VECTORS; }

// Writes one share.
SORAD_INLINE void deferred_share(deferred_epilogue *late, const int kind) {
    for (size_t i = late->share; i > 0 && !deferred_is_done(late); i--) deferred_vector(late, kind);
}

// Writes all that is left.
static __attribute__((noinline)) void deferred_rest(deferred_epilogue *late) {
    while (!deferred_is_done(late)) deferred_vector(late, EPILOGUE_ANY);
}

// Prepares for tiles whose hook is called `calls` times; nothing is left to write.
SORAD_INLINE void deferred_prepare(deferred_epilogue *late, const sorad_gemm_qd8_args *args, size_t k, size_t calls) {
    late->epilogue = args->epilogue, late->kind = deferred_kind(&args->epilogue);
    late->a_scale = args->a_scale, late->a_zero = args->a_zero;
    late->out_stride = args->out_stride;
    late->next = TILE_VECTORS;
    late->prefetches = k >= LONG_K;
    const size_t most = calls * 3 / 4;
    late->share = most > 0 ? (TILE_VECTORS + most - 1) / most : TILE_VECTORS;
}

// Takes the sums of the tile at (m, n), which stay in place until they are written.
SORAD_INLINE void deferred_begin(deferred_epilogue *late, const sorad_gemm_qd8_args *args, size_t m, size_t n, const lanes_i32 *sum) {
    late->sum = sum;
    for (size_t p = 0; p < NR_PANELS; p++) {
        late->w_sum[p] = (lanes_u32)load_i32(args->w_sum + n + p * PANEL, SORAD_LANES);
        late->offset[p] = late->w_sum[p] * (uint32_t)TILE_A_OFFSET;
        late->w_scale[p] = load16(args->w_scale + n + p * PANEL);
        late->bias[p] = args->bias ? load16(args->bias + n + p * PANEL) : splat(0.0f);
    }
    late->first_m = m, late->first_n = n;
    late->m = m, late->n = n, late->out = args->out + m * args->out_stride + n, late->next = 0;
}

// Says that the tile at (m, n) is the next one.
SORAD_INLINE void deferred_next_tile(deferred_epilogue *late, size_t m, size_t n) {
    const ptrdiff_t rows = (ptrdiff_t)m - (ptrdiff_t)late->first_m, outputs = (ptrdiff_t)n - (ptrdiff_t)late->first_n;
    late->to_next_out = rows * (ptrdiff_t)late->out_stride + outputs;
    late->to_next_residual = rows * (ptrdiff_t)late->epilogue.residual_stride + outputs;
}

#endif
