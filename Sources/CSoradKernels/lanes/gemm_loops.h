// The loops of the int8 GEMM around the register tile of an instruction set (gemm_tile.h):
//
//   gemm_product   for n in steps of NC     a group of outputs; for m in steps of MC   rows whose partial sums fit the scratch
//   gemm_group       for k in steps of KC   the group's weights [NC, KC] stay in the second-level cache
//   gemm_rows          for m in steps of MR   a packed tile of rows [MR, KC] stays in the first-level cache
//   gemm_row_tile        for n in steps of NR   one call of gemm_tile
//
// Weights are therefore read from memory once for MC rows. Rows come packed by quantize_qd8.h as [row
// tile][K-block][row][64 bytes], so a tile reads one contiguous block. Between two passes over K the sums wait in the
// scratch as partial accumulators. All sums are exact integers, so no order changes a bit.
//
// A tile's epilogue runs at once, or, where the instruction set's tile interleaves (TILE_INTERLEAVES), from the next
// tile's hook.
#ifndef SORAD_LANES_GEMM_LOOPS_H
#define SORAD_LANES_GEMM_LOOPS_H

#include "epilogue.h"
#include "gemm_tile.h"
#include "prefetch.h"

enum {
    MC = 384,                 // rows between two passes over K; a multiple of every MR
    GEMM_HOOK_STEPS = 4,      // steps of the tile between two calls of the GEMM's hook
};

// ---- How K is split ----------------------------------------------------------------------------------------------------

typedef struct gemm_plan {
    size_t k4;       // K up to a multiple of 4
    size_t kc;       // inputs of a pass: equal, a multiple of 64, at most KC; the last pass may be shorter
    size_t passes;
    size_t kblocks;  // of one packed row
} gemm_plan;

static gemm_plan gemm_plan_of(size_t k) {
    size_t k4 = (k + 3) / 4 * 4, wanted = (k4 + KC - 1) / KC;
    size_t kc = ((k4 + wanted - 1) / (wanted ? wanted : 1) + 63) / 64 * 64;
    gemm_plan plan = {k4, kc, kc ? (k4 + kc - 1) / kc : 0, 0};
    plan.kblocks = (k4 + KBLOCK_VALUES - 1) / KBLOCK_VALUES;
    return plan;
}

size_t KERNEL(gemm_qd8_mr)(void) { return MR; }

size_t KERNEL(qd8_packed_bytes)(size_t rows, size_t k) { return rows * gemm_plan_of(k).kblocks * KBLOCK_BYTES; }

static size_t gemm_partial_bytes(const gemm_plan *plan, size_t rows) {
    return plan->passes > 1 ? rows * NC * sizeof(int32_t) : 0;
}

// The scratch holds the partial accumulators, then, where weights are widened, those of a group.
size_t KERNEL(gemm_qd8_scratch_bytes)(const sorad_gemm_qd8_args *args) {
    const gemm_plan plan = gemm_plan_of(args->k);
    size_t rows = args->row_end - args->row_begin + 2 * (MR - 1);   // of the tiles that hold them
    if (rows > MC) rows = MC;
    return gemm_partial_bytes(&plan, rows) + (TILE_A_BYTES == 1 ? 0 : plan.kc * NC * TILE_A_BYTES);
}

// ---- One tile ------------------------------------------------------------------------------------------------------------

// What is interleaved with a tile's products: the epilogue of the tile before, then the prefetches.
typedef struct interleaved_work {
    lanes_i32 sums[2][TILE_VECTORS];   // of the deferred tile and of the present one
    size_t present;
    deferred_epilogue late;
    size_t weights_per_call, rows_per_call;   // K-blocks of the two streams that one call of the hook prefetches
} interleaved_work;

// A pass over K for a group of outputs and some rows.
typedef struct gemm_pass {
    const gemm_output *output;
    const gemm_plan *plan;
    size_t first_kblock, k;      // of this pass
    bool first, last;            // pass
    const char *w;               // this pass of the group's first panel
    size_t w_stride;             // bytes from one panel to the next
    size_t n_begin, n_end;       // the group's outputs
    partial_sums *partials;      // [row][panel of the group], row tile by row tile
    prefetch_stream weights, rows;   // of the next pass or group; of the next row tile
    interleaved_work interleaved;
} gemm_pass;

// The rows of a tile that the call asks for: low ..< high of those from m on.
typedef struct tile_rows {
    size_t m, low, high;
} tile_rows;

// Writes results first: the prefetches must not delay them.
SORAD_INLINE void gemm_hook(void *context, const int kind) {
    gemm_pass *pass = context;
    interleaved_work *work = &pass->interleaved;
    if (!deferred_is_done(&work->late)) {
        deferred_share(&work->late, kind);
        return;
    }
    for (size_t i = 0; i < work->weights_per_call; i++) prefetch_kblock(&pass->weights);
    for (size_t i = 0; i < work->rows_per_call; i++) prefetch_kblock(&pass->rows);
}

// A whole tile, interleaved. `partials` are its sums between passes.
SORAD_INLINE void gemm_tile_interleaved(gemm_pass *pass, const char *a, const char *w, size_t steps, tile_rows rows, size_t n,
                                        partial_sums *partials) {
    static const lanes_i32 zeros[TILE_VECTORS];
    interleaved_work *work = &pass->interleaved;
    const sorad_gemm_qd8_args *args = pass->output->args;
    lanes_i32 *sum = work->sums[work->present];
    prefetch_begin_share(&pass->weights, pass->weights.share), prefetch_begin_share(&pass->rows, pass->rows.share);
    deferred_next_tile(&work->late, rows.m, n);
    const partial_sums *start = pass->first ? (const partial_sums *)zeros : partials;
    partial_sums *const to = pass->last ? (partial_sums *)sum : partials;
#define SORAD_TILE(kind) gemm_tile(MR, NR_PANELS, a, w, pass->w_stride, steps, start, to, GEMM_HOOK_STEPS, gemm_hook, pass, kind)
    switch (work->late.kind) {
    case EPILOGUE_BARE: SORAD_TILE(EPILOGUE_BARE); break;
    case EPILOGUE_GELU: SORAD_TILE(EPILOGUE_GELU); break;
    case EPILOGUE_ADDED: SORAD_TILE(EPILOGUE_ADDED); break;
    default: SORAD_TILE(EPILOGUE_ANY);
    }
#undef SORAD_TILE
    if (!deferred_is_done(&work->late)) deferred_rest(&work->late);
    if (!pass->last) return;
    if (rows.high - rows.low == MR && !pass->output->sums && args->col_end - n >= NR) {
        deferred_begin(&work->late, args, rows.m, n, sum);
        work->present ^= 1;
    } else {
        epilogue_tile(pass->output, rows.high - rows.low, rows.m + rows.low, n, NR_PANELS, sum + rows.low, MR);
    }
}

// A tile of `mr` rows and `panels` panels, its epilogue at once.
SORAD_INLINE void gemm_tile_at_once(gemm_pass *pass, const size_t mr, const size_t panels, const char *a, const char *w, size_t steps,
                                    tile_rows rows, size_t n, partial_sums *partials) {
    const size_t m = rows.m + rows.low, count = rows.high - rows.low;
    if (pass->last && !pass->output->sums && pass->plan->k4 >= LONG_K) prefetch_output(pass->output->args, m, count, n, panels);
    prefetch_share(&pass->weights);
    prefetch_share(&pass->rows);
    lanes_i32 sum[TILE_VECTORS];
    gemm_tile(mr, panels, a, w, pass->w_stride, steps, pass->first ? NULL : partials, (partial_sums *)sum, 1, no_hook, NULL, 0);
    if (pass->last) epilogue_tile(pass->output, count, m, n, panels, sum + rows.low, mr);
    else memcpy(partials, sum, mr * panels * sizeof *sum);
}

// ---- The loops -----------------------------------------------------------------------------------------------------------

// A tile of `mr` rows against all outputs of the group. `partials` are the tile's, panel by panel.
SORAD_INLINE void gemm_row_tile(gemm_pass *pass, const size_t mr, tile_rows rows, partial_sums *partials) {
    const sorad_gemm_qd8_args *args = pass->output->args;
    const char *a = (const char *)args->a + (rows.m * pass->plan->kblocks + pass->first_kblock * mr) * KBLOCK_BYTES;
    const size_t steps = pass->k / STEP_VALUES;
    for (size_t n = pass->n_begin, panels; n < pass->n_end; n += panels * PANEL) {
        panels = pass->n_end - n > NR - PANEL ? NR_PANELS : 1;
        const char *w = pass->w + (n - pass->n_begin) / PANEL * pass->w_stride;
        partial_sums *kept = partials + (n - pass->n_begin) / PANEL * mr;
        if (panels == 1 && NR_PANELS > 1) gemm_tile_at_once(pass, mr, 1, a, w, steps, rows, n, kept);
        else if (TILE_INTERLEAVES && mr == MR) gemm_tile_interleaved(pass, a, w, steps, rows, n, kept);
        else gemm_tile_at_once(pass, mr, NR_PANELS, a, w, steps, rows, n, kept);
    }
}

// The row tile at m, spread over the tiles of the one before it.
static prefetch_stream gemm_next_rows(const gemm_pass *pass, size_t m, size_t end) {
    const sorad_gemm_qd8_args *args = pass->output->args;
    if (m >= end) return prefetch_stream_of(NULL, 0, 0, 0, 1);
    size_t count = end - m < MR ? end - m : MR, tiles = (pass->n_end - pass->n_begin + NR - 1) / NR;
    return prefetch_stream_of((const char *)args->a + (m * pass->plan->kblocks + pass->first_kblock * count) * KBLOCK_BYTES, 1,
                              (pass->k + KBLOCK_VALUES - 1) / KBLOCK_VALUES * count, 0, tiles);
}

// Row tiles m ..< end; m is the first row of a tile.
static void gemm_rows(gemm_pass *pass, size_t m, size_t end) {
    const sorad_gemm_qd8_args *args = pass->output->args;
    interleaved_work *work = &pass->interleaved;
    partial_sums *partials = pass->partials;
    size_t prefetch_calls = 0;
    if (TILE_INTERLEAVES) {
        const size_t calls = pass->k / STEP_VALUES / GEMM_HOOK_STEPS;
        deferred_prepare(&work->late, args, pass->k, calls);
        const size_t busy = (TILE_VECTORS + work->late.share - 1) / work->late.share;   // calls that write results
        prefetch_calls = calls > busy ? calls - busy : 0;
        work->weights_per_call = prefetch_kblocks_per_call(&pass->weights, prefetch_calls);
    }
    for (size_t count; m < end; m += count) {
        count = args->rows - m < MR ? args->rows - m : MR;
        tile_rows rows = {m, args->row_begin > m ? args->row_begin - m : 0, args->row_end - m < count ? args->row_end - m : count};
        pass->rows = gemm_next_rows(pass, m + count, end);
        if (TILE_INTERLEAVES) work->rows_per_call = prefetch_kblocks_per_call(&pass->rows, prefetch_calls);
#define SORAD_TILE(mr) gemm_row_tile(pass, mr, rows, partials)
        SORAD_DISPATCH_ROWS(count, MR, SORAD_TILE);
#undef SORAD_TILE
        partials += count * (NC / PANEL);
    }
    if (TILE_INTERLEAVES) deferred_rest(&work->late);
}

// The weights that come next, spread over `tiles` tiles.
SORAD_INLINE prefetch_stream gemm_next_weights(const char *w, size_t outputs, size_t k, size_t stride, size_t tiles) {
    return prefetch_stream_of(w, (outputs + PANEL - 1) / PANEL, k * PANEL / KBLOCK_BYTES, stride, tiles);
}

// Rows m ..< end against outputs n_begin ..< n_end, NC at most. After them come the outputs next ..< next_end.
static void gemm_group(const gemm_output *output, const gemm_plan *plan, size_t m, size_t end, size_t n_begin, size_t n_end, size_t next,
                       size_t next_end) {
    const sorad_gemm_qd8_args *args = output->args;
    gemm_pass pass = {.output = output, .plan = plan, .n_begin = n_begin, .n_end = n_end, .partials = args->scratch};
    size_t k0 = 0;
    do {
        pass.k = plan->k4 - k0 < plan->kc ? plan->k4 - k0 : plan->kc;
        pass.first_kblock = k0 / KBLOCK_VALUES;
        pass.first = k0 == 0, pass.last = k0 + pass.k >= plan->k4;
        pass.w = (const char *)args->w + n_begin * plan->k4 + k0 * PANEL;
        pass.w_stride = plan->k4 * PANEL;
        if (TILE_A_BYTES > 1) {
            char *widened = (char *)args->scratch + gemm_partial_bytes(plan, end - m < MC ? end - m : MC);
            for (size_t n = n_begin; n < n_end; n += PANEL)
                w_widen_panel((const int8_t *)pass.w + (n - n_begin) / PANEL * pass.w_stride, pass.k / 4,
                              widened + (n - n_begin) * pass.k * TILE_A_BYTES);
            pass.w = widened, pass.w_stride = pass.k * PANEL * TILE_A_BYTES;
        } else {
            const size_t tiles = (end - m + MR - 1) / MR * ((n_end - n_begin + NR - 1) / NR), rest = plan->k4 - k0 - pass.k;
            pass.weights = rest > 0 ? gemm_next_weights(pass.w + pass.k * PANEL, n_end - n_begin, rest < plan->kc ? rest : plan->kc,
                                                        pass.w_stride, tiles)
                                    : gemm_next_weights((const char *)args->w + next * plan->k4, next_end - next,
                                                        plan->k4 < plan->kc ? plan->k4 : plan->kc, pass.w_stride, tiles);
        }
        gemm_rows(&pass, m, end);
        k0 += pass.k;
    } while (k0 < plan->k4);
}

static void gemm_product(const gemm_output *output) {
    const sorad_gemm_qd8_args *args = output->args;
    const gemm_plan plan = gemm_plan_of(args->k);
    if (args->row_begin >= args->row_end) return;
    const size_t begin = args->row_begin / MR * MR;
    size_t end = (args->row_end + MR - 1) / MR * MR;
    if (end > args->rows) end = args->rows;
    for (size_t n = args->col_begin; n < args->col_end; n += NC) {
        const size_t n_end = args->col_end - n < NC ? args->col_end : n + NC;
        const size_t n_after = args->col_end - n_end < NC ? args->col_end : n_end + NC;
        for (size_t m = begin, next; m < end; m = next) {
            next = plan.passes <= 1 || end - m < MC ? end : m + MC;
            const bool same = next < end;   // the next rows meet the same weights
            gemm_group(output, &plan, m, next, n, n_end, same ? n : n_end, same ? n_end : n_after);
        }
    }
}

void KERNEL(gemm_qd8_f32_qc8w)(const sorad_gemm_qd8_args *args) {
    const gemm_output output = {args, NULL, 0};
    gemm_product(&output);
}

void KERNEL(gemm_qd8_i32_qc8w)(const sorad_gemm_qd8_args *args, int32_t *out, size_t out_stride) {
    const gemm_output output = {args, out, out_stride};
    gemm_product(&output);
}

#endif
