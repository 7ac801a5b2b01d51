// Int8 matrix product: what is done beside a tile's products, a little at a time, while the multipliers would else wait (with 1536 inputs
// one cycle in thirty): memory is asked for that is needed later, and the results of the tile before are written.

// Memory that is needed later, in pieces that lie apart, of which each tile brings a share nearer.
typedef struct int8_ahead {
    const char *at, *until, *end;   // what comes next; where this tile's share ends; where the piece ends
    size_t pieces;                  // after this one
    size_t bytes, stride, share;    // of a piece; from one to the next; of a tile
} int8_ahead;

static int8_ahead int8_ahead_of(const char *at, size_t pieces, size_t lines, size_t stride, size_t tiles) {
    int8_ahead ahead = {.at = at, .until = at, .end = at};
    if (pieces == 0) return ahead;
    const size_t times = tiles / pieces;   // tiles for a piece
    ahead.share = (times > 0 ? (lines + times - 1) / times : (pieces * lines + tiles - 1) / tiles) * INT8_LINE;
    ahead.bytes = lines * INT8_LINE, ahead.stride = stride, ahead.pieces = pieces - 1, ahead.end += ahead.bytes;
    return ahead;
}

// Begins the share of a tile, or `share` bytes of it: it ends with the piece.
SORAD_INLINE void int8_ahead_begin(int8_ahead *ahead, size_t share) {
    if (ahead->at == ahead->end && ahead->pieces > 0) {
        ahead->at += ahead->stride - ahead->bytes, ahead->end += ahead->stride;
        ahead->pieces--;
    }
    ahead->until = (size_t)(ahead->end - ahead->at) < share ? ahead->end : ahead->at + share;
}

// All of a tile's share at once.
static __attribute__((noinline)) void int8_bring(int8_ahead *ahead) {
    for (size_t share = ahead->share; share > 0;) {
        int8_ahead_begin(ahead, share);
        if (ahead->at == ahead->until) return;
        share -= (size_t)(ahead->until - ahead->at);
        for (; ahead->at < ahead->until; ahead->at += INT8_LINE) __builtin_prefetch(ahead->at, 0, 2);
    }
}

#ifdef SORAD_INT8_CHORES
// Lines at a time, if a tile's share is brought in so many goes.
static size_t int8_lines_each(const int8_ahead *ahead, size_t times) {
    const size_t lines = ahead->share / INT8_LINE;
    return times > 0 ? (lines + times - 1) / times : 0;
}

// One line of it, without a branch that nobody can foresee.
SORAD_INLINE void int8_bring_line(int8_ahead *ahead) {
    const char *at = ahead->at;
    __builtin_prefetch(at, 0, 2);
    ahead->at = at + (at < ahead->until ? INT8_LINE : 0);
}

// A whole tile whose products are done and whose results are still to be written.
typedef struct int8_late {
    const lanes_i32 *sum;
    lanes_u32 w_sum[SORAD_INT8_BLOCKS], offset[SORAD_INT8_BLOCKS];
    lanes w_scale[SORAD_INT8_BLOCKS], bias[SORAD_INT8_BLOCKS];
    sorad_epilogue epilogue;
    int kind;       // of it
    const float *a_scale;
    const int32_t *a_zero;
    size_t out_stride, first_row, first_output;
    size_t m, n;    // the next vector's row and first output
    float *out;     // where it goes
    bool long_rows;                          // long enough to ask for what comes next on the way
    ptrdiff_t to_next_out, to_next_residual; // from a result, and what is added to it, to those of the tile after
    size_t next;    // vector of results, block by block; INT8_LATE_VECTORS: nothing is left
    size_t share;   // vectors at a time, so that three quarters of a tile's products are time enough
} int8_late;

// Epilogues that a tile's code is made for: asking what to do, vector by vector, costs as much as a multiplication.
enum { INT8_LATE_BARE, INT8_LATE_GELU, INT8_LATE_ADDED, INT8_LATE_ANY };

static int int8_late_kind(const sorad_epilogue *e) {
    if (e->relu_at_end) return INT8_LATE_ANY;
    if (e->gate || e->residual) return e->activation == SORAD_ACTIVATION_NONE ? INT8_LATE_ADDED : INT8_LATE_ANY;
    if (e->activation == SORAD_ACTIVATION_NONE) return INT8_LATE_BARE;
    return e->activation == SORAD_ACTIVATION_GELU_TANH ? INT8_LATE_GELU : INT8_LATE_ANY;
}

enum { INT8_LATE_VECTORS = SORAD_INT8_ROWS * SORAD_INT8_BLOCKS, INT8_LATE_STEPS = 4 };

SORAD_INLINE void int8_late_vector(int8_late *late, const int kind) {
    sorad_epilogue epilogue = late->epilogue;
    if (kind != INT8_LATE_ANY) {
        epilogue.activation = kind == INT8_LATE_GELU ? SORAD_ACTIVATION_GELU_TANH : SORAD_ACTIVATION_NONE;
        epilogue.relu_at_end = false;
        if (kind != INT8_LATE_ADDED) epilogue.gate = epilogue.residual = NULL;
    }
    const size_t i = late->next, b = i / SORAD_INT8_ROWS, m = late->m, n = late->n;
    float *out = late->out;
    late->next = i + 1, late->m = m + 1, late->out = out + late->out_stride;
    lanes_u32 offset = late->a_zero ? late->w_sum[b] * (uint32_t)(late->a_zero[m] + SORAD_INT8_OFFSET) : late->offset[b];
    lanes exact = __builtin_convertvector((lanes_i32)((lanes_u32)late->sum[i] - offset), lanes);
    lanes y = fused(exact, splat(late->a_scale[m]) * late->w_scale[b], late->bias[b]);
    store16(out, epilogue_lanes(&epilogue, m, n, SORAD_LANES, y));
    if (late->long_rows) {
        __builtin_prefetch(out + late->to_next_out, 1);
        if (epilogue.residual) __builtin_prefetch(epilogue.residual + m * epilogue.residual_stride + n + late->to_next_residual);
    }
    if (late->m == late->first_row + SORAD_INT8_ROWS) {
        late->m = late->first_row, late->n = n + SORAD_LANES;
        late->out = out - (SORAD_INT8_ROWS - 1) * late->out_stride + SORAD_LANES;
    }
}

static __attribute__((noinline)) void int8_late_rest(int8_late *late) {
    while (late->next < INT8_LATE_VECTORS) int8_late_vector(late, INT8_LATE_ANY);
}

SORAD_INLINE void int8_late_begin(int8_late *late, const sorad_gemm_qd8_args *args, size_t m, size_t n, const lanes_i32 *sum) {
    late->sum = sum;
    for (size_t b = 0; b < SORAD_INT8_BLOCKS; b++) {
        late->w_sum[b] = (lanes_u32)load_i32(args->w_sum + n + b * SORAD_LANES, SORAD_LANES);
        late->offset[b] = late->w_sum[b] * (uint32_t)SORAD_INT8_OFFSET;
        late->w_scale[b] = load16(args->w_scale + n + b * SORAD_LANES);
        late->bias[b] = args->bias ? load16(args->bias + n + b * SORAD_LANES) : splat(0.0f);
    }
    late->first_row = m, late->first_output = n;
    late->m = m, late->n = n, late->out = args->out + m * args->out_stride + n, late->next = 0;
}

// Rows m and on of outputs n and on are the next tile.
SORAD_INLINE void int8_late_before(int8_late *late, size_t m, size_t n) {
    const ptrdiff_t rows = (ptrdiff_t)m - (ptrdiff_t)late->first_row, outputs = (ptrdiff_t)n - (ptrdiff_t)late->first_output;
    late->to_next_out = rows * (ptrdiff_t)late->out_stride + outputs;
    late->to_next_residual = rows * (ptrdiff_t)late->epilogue.residual_stride + outputs;
}
#endif
