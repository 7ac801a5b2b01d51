// Row kernels in 16 lanes: norms, rotary position embedding, Hadamard rotation.

// ---- Norms ---------------------------------------------------------------------------------------------------------

// Arguments come by value: behind an address they would be read again after every store.
SORAD_INLINE lanes modulate_lanes(const sorad_norm_args args, size_t m, size_t i, size_t count, lanes y) {
    if (args.weight) {
        lanes weight = load(args.weight + i, count);
        y = args.bias ? fused(y, weight, load(args.bias + i, count)) : y * weight;
    }
    if (args.scale) {
        size_t at = m * args.modulation_stride + i;
        lanes gain = 1.0f + load(args.scale + at, count);
        y = args.shift ? fused(y, gain, load(args.shift + at, count)) : y * gain;
    }
    return y;
}

// Rows are taken four at a time: the sums of one are a chain in which every addition waits for the one before.
enum { NORM_ROWS = 4 };

SORAD_INLINE void layer_norm_rows(const sorad_norm_args args, size_t m, const size_t rows) {
    const float width = (float)args.k;
    const float *x = args.x + m * args.x_stride;
    lanes sums[NORM_ROWS], squares[NORM_ROWS], mean[NORM_ROWS], inverse[NORM_ROWS];
    for (size_t r = 0; r < rows; r++) sums[r] = squares[r] = splat(0.0f);
    SORAD_EACH_TWICE(args.k, for (size_t r = 0; r < rows; r++) sums[r] += load(x + r * args.x_stride + i, count););
    for (size_t r = 0; r < rows; r++) mean[r] = splat(lanes_sum(sums[r]) / width);
    SORAD_EACH_TWICE(args.k, for (size_t r = 0; r < rows; r++) {
        __builtin_prefetch(x + (r + NORM_ROWS) * args.x_stride + i, 0, 2);   // the rows after these
        lanes d = keep(load(x + r * args.x_stride + i, count) - mean[r], count);
        squares[r] = fused(d, d, squares[r]);
    });
    for (size_t r = 0; r < rows; r++) inverse[r] = splat(1.0f / sqrtf(lanes_sum(squares[r]) / width + args.eps));
    SORAD_EACH_TWICE(args.k, for (size_t r = 0; r < rows; r++) {
        lanes y = (load(x + r * args.x_stride + i, count) - mean[r]) * inverse[r];
        store(args.out + (m + r) * args.out_stride + i, modulate_lanes(args, m + r, i, count, y), count);
    });
}

void KERNEL(layer_norm_f32)(const sorad_norm_args *args) {
    size_t m = args->row_begin;
    for (; m + NORM_ROWS <= args->row_end; m += NORM_ROWS) layer_norm_rows(*args, m, NORM_ROWS);
    for (; m < args->row_end; m++) layer_norm_rows(*args, m, 1);
}

SORAD_INLINE void rms_norm_rows(const sorad_norm_args args, size_t m, const size_t rows) {
    const float *x = args.x + m * args.x_stride;
    lanes squares[NORM_ROWS], inverse[NORM_ROWS];
    for (size_t r = 0; r < rows; r++) squares[r] = splat(0.0f);
    SORAD_EACH_TWICE(args.k, for (size_t r = 0; r < rows; r++) {
        lanes v = load(x + r * args.x_stride + i, count);
        squares[r] = fused(v, v, squares[r]);
    });
    for (size_t r = 0; r < rows; r++) inverse[r] = splat(1.0f / sqrtf(lanes_sum(squares[r]) / (float)args.k + args.eps));
    SORAD_EACH_TWICE(args.k, for (size_t r = 0; r < rows; r++) {
        lanes y = load(x + r * args.x_stride + i, count) * inverse[r];
        store(args.out + (m + r) * args.out_stride + i, modulate_lanes(args, m + r, i, count, y), count);
    });
}

void KERNEL(rms_norm_f32)(const sorad_norm_args *args) {
    size_t m = args->row_begin;
    for (; m + NORM_ROWS <= args->row_end; m += NORM_ROWS) rms_norm_rows(*args, m, NORM_ROWS);
    for (; m < args->row_end; m++) rms_norm_rows(*args, m, 1);
}

// ---- Rotary position embedding -------------------------------------------------------------------------------------

// Eight values, each twice.
SORAD_INLINE lanes load_twice(const float *p) {
    typedef float half __attribute__((vector_size(32), aligned(4), may_alias));
    half v = *(const half *)p;
    return __builtin_shufflevector(v, v, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
}
// The sign bit of even lanes.
#define SORAD_EVEN_SIGNS ((lanes_u32){1u << 31, 0, 1u << 31, 0, 1u << 31, 0, 1u << 31, 0, \
                                      1u << 31, 0, 1u << 31, 0, 1u << 31, 0, 1u << 31, 0})

void KERNEL(rope_f32)(const sorad_rope_args *args) {
    const size_t d = args->head_dim, pairs = d / 2, whole = pairs / 8 * 8, width = args->heads * d;
    for (size_t m = args->row_begin; m < args->row_end; m++) {
        const float *cosines = args->cos + m * pairs, *sines = args->sin + m * pairs;
        float *x = args->x + m * args->x_stride;
        // All heads turn by the same angles.
        for (size_t i = 0; i < whole; i += 8) {
            const lanes cosine = load_twice(cosines + i), sine = (lanes)((lanes_u32)load_twice(sines + i) ^ SORAD_EVEN_SIGNS);
            for (size_t h = 2 * i; h < width; h += d) {
                lanes v = load16(x + h);
                lanes other = __builtin_shufflevector(v, v, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14);
                store16(x + h, fused(v, cosine, other * sine));
            }
        }
        for (size_t i = whole; i < pairs; i++)
            for (size_t h = 2 * i; h < width; h += d) {
                float even = x[h], odd = x[h + 1];
                x[h] = fmaf(even, cosines[i], -(odd * sines[i]));
                x[h + 1] = fmaf(odd, cosines[i], even * sines[i]);
            }
    }
}

// ---- Hadamard ------------------------------------------------------------------------------------------------------

SORAD_INLINE lanes negate(lanes x, lanes_i32 where) { return (lanes)((lanes_i32)x ^ (where & INT32_MIN)); }

// The 4 x 4 matrix on neighbouring lanes: y = (a+b, a-b, c+d, c-d), then (y0+y3, y0-y3, y1+y2, y2-y1).
SORAD_INLINE lanes hadamard_lanes_1(lanes x) {
    const lanes_i32 odd = {0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1, 0, -1};
    lanes y = __builtin_shufflevector(x, x, 1, 0, 3, 2, 5, 4, 7, 6, 9, 8, 11, 10, 13, 12, 15, 14) + negate(x, odd);
    lanes first = __builtin_shufflevector(y, y, 0, 0, 1, 2, 4, 4, 5, 6, 8, 8, 9, 10, 12, 12, 13, 14);
    lanes second = __builtin_shufflevector(y, y, 3, 3, 2, 1, 7, 7, 6, 5, 11, 11, 10, 9, 15, 15, 14, 13);
    return first + negate(second, odd);
}

// The same on lanes 4 apart.
SORAD_INLINE lanes hadamard_lanes_4(lanes x) {
    const lanes_i32 odd = {0, 0, 0, 0, -1, -1, -1, -1, 0, 0, 0, 0, -1, -1, -1, -1};
    lanes y = __builtin_shufflevector(x, x, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9, 10, 11) + negate(x, odd);
    lanes first = __builtin_shufflevector(y, y, 0, 1, 2, 3, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11);
    lanes second = __builtin_shufflevector(y, y, 12, 13, 14, 15, 12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7);
    return first + negate(second, odd);
}

// The same on whole vectors `step` apart.
SORAD_INLINE void hadamard_vectors(lanes *x, size_t vectors, size_t step) {
    for (size_t block = 0; block < vectors; block += 4 * step)
        for (size_t i = block; i < block + step; i++) {
            lanes a = x[i], b = x[i + step], c = x[i + 2 * step], d = x[i + 3 * step];
            lanes ab = a + b, a_b = a - b, cd = c + d, c_d = c - d;
            x[i] = ab + c_d;
            x[i + step] = ab - c_d;
            x[i + 2 * step] = a_b + cd;
            x[i + 3 * step] = cd - a_b;
        }
}

void KERNEL(hadamard_f32)(const sorad_hadamard_args *args) {
    size_t vectors = args->group / SORAD_LANES;
    float normalise = 1.0f;
    for (size_t step = 1; step < args->group; step *= 4) normalise *= 0.5f;
    if (vectors == 0) {
        sorad_scalar_hadamard_f32(args);
        return;
    }
    for (size_t m = args->row_begin; m < args->row_end; m++)
        for (size_t at = 0; at < args->k; at += args->group) {
            lanes values[16];
            for (size_t i = 0; i < vectors; i++)
                values[i] = hadamard_lanes_4(hadamard_lanes_1(load16(args->x + m * args->x_stride + at + i * SORAD_LANES)));
            for (size_t step = 1; step < vectors; step *= 4) hadamard_vectors(values, vectors, step);
            for (size_t i = 0; i < vectors; i++)
                store16(args->out + m * args->out_stride + at + i * SORAD_LANES, values[i] * splat(normalise));
        }
}
