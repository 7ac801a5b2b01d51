// Attention and the packing of keys and values.
#include "fuzz.h"

// A call of attention on keys and values that are packed for both tables.
typedef struct attention_shape {
    size_t heads, d, lq, lk;
} attention_shape;

typedef struct keys_values {
    sorad_attention_pack_args args;
    buffer k, v;
} keys_values;

static keys_values make_keys_values(attention_shape s) {
    const size_t columns = s.heads * s.d;
    sorad_attention_pack_args args = {.lk = s.lk, .head_dim = s.d, .k_stride = columns + 1, .v_stride = columns + 2};
    keys_values c = {args, floats((s.lk - 1) * args.k_stride + columns), floats((s.lk - 1) * args.v_stride + columns)};
    c.args.k = c.k.data, c.args.v = c.v.data;
    return c;
}
static void release_keys_values(keys_values c) { release(c.k.block), release(c.v.block); }

// Keys and values at once, or keys first and then values.
static void pack_range(sorad_attention_pack_fn *kernel, sorad_attention_pack_args args, bool at_once) {
    const float *v = args.v;
    if (!at_once) args.v = NULL, kernel(&args), args.k = NULL, args.v = v;
    kernel(&args);
}

static bool is_int8_pack(sorad_attention_pack_fn *definition) { return definition == scalar.attention_pack_qd8kv; }

static size_t packed_floats(attention_shape s, bool int8) {
    return int8 ? sorad_attention_packed_floats_qd8kv(s.heads, s.lk, s.d) : sorad_attention_packed_floats_f32(s.heads, s.lk, s.d);
}

// Packs heads and (for float) key blocks in several calls.
static void pack_in_pieces(sorad_attention_pack_fn *kernel, sorad_attention_pack_args args, attention_shape s, bool int8, float *packed) {
    args.packed = packed;
    const size_t split = int8 ? 0 : between(0, s.lk / SORAD_ATTENTION_KEY_BLOCK) * SORAD_ATTENTION_KEY_BLOCK;
    const size_t head_split = between(0, s.heads);
    for (int piece = 0; piece < 4; piece++) {
        args.key_begin = piece & 1 ? split : 0, args.key_end = piece & 1 ? s.lk : split;
        args.head_begin = piece & 2 ? head_split : 0, args.head_end = piece & 2 ? s.heads : head_split;
        if (args.key_begin < args.key_end) pack_range(kernel, args, coin());
    }
}

static attention_shape make_shape(bool int8) {
    attention_shape s = {.heads = between(1, 3), .d = between(1, coin() ? 20 : 140), .lq = between(1, int8 ? 30 : 70)};
    s.lk = between(1, int8 ? (coin() ? 70 : 600) : 200);
    if (!int8 && random_word() % 16 == 0) s.heads = 1, s.d = between(SORAD_MAX_HEAD_DIM, SORAD_MAX_FLOAT_HEAD_DIM);
    return s;
}

// Packed in pieces or at once: the same bytes. (fuzz_attention compares what packed data mean.)
void fuzz_attention_pack(sorad_attention_pack_fn *definition, sorad_attention_pack_fn *kernel, const sorad_kernels *kernels) {
    (void)kernels;
    const bool int8 = is_int8_pack(definition);
    const attention_shape s = make_shape(int8);
    keys_values c = make_keys_values(s);
    buffer whole = make(packed_floats(s, int8), 4), pieces = make(packed_floats(s, int8), 4);
    memset(whole.data, 0, whole.bytes), memset(pieces.data, 0, pieces.bytes);
    sorad_attention_pack_args args = c.args;
    args.packed = whole.data, args.head_end = s.heads, args.key_end = s.lk;
    kernel(&args);
    pack_in_pieces(kernel, c.args, s, int8, pieces.data);
    expect(memcmp(whole.data, pieces.data, whole.bytes) == 0, "packed in pieces differs from packed at once");
    release(whole.block), release(pieces.block);
    release_keys_values(c);
}

void fuzz_attention(sorad_attention_fn *definition, sorad_attention_fn *kernel, const sorad_kernels *kernels) {
    const bool int8 = definition == scalar.attention_f32_qd8kv;
    const attention_shape s = make_shape(int8);
    const size_t columns = s.heads * s.d;
    keys_values c = make_keys_values(s);
    buffer packed = make(packed_floats(s, int8), 4), packed_expected = make(packed_floats(s, int8), 4);
    pack_in_pieces(int8 ? scalar.attention_pack_qd8kv : scalar.attention_pack_f32, c.args, s, int8, packed_expected.data);
    pack_in_pieces(int8 ? kernels->attention_pack_qd8kv : kernels->attention_pack_f32, c.args, s, int8, packed.data);

    sorad_attention_args args = {.lk = s.lk, .head_dim = s.d, .q_stride = columns + 3, .out_stride = columns + between(0, 2)};
    args.scale = coin() ? 1.0f : 1.0f / sqrtf((float)s.d);
    args.bias_query_stride = s.lk + between(0, 2), args.bias_head_stride = s.lq * args.bias_query_stride;
    buffer q = floats((s.lq - 1) * args.q_stride + columns), key_bias = floats(s.lk);
    buffer bias = floats((s.heads - 1) * args.bias_head_stride + (s.lq - 1) * args.bias_query_stride + s.lk);
    if (coin())   // masked keys, but never all
        for (size_t j = 0; j + 1 < s.lk; j++)
            if (coin() || j < s.lk / 2) ((float *)key_bias.data)[j] = -INFINITY;
    args.q = q.data, args.key_bias = coin() ? key_bias.data : NULL;
    if (int8) args.probs_16bit = coin();
    else args.bias = coin() ? bias.data : NULL;
    range(s.heads, &args.head_begin, &args.head_end);
    range(s.lq, &args.query_begin, &args.query_end);
    buffer out = floats((s.lq - 1) * args.out_stride + columns), expected = copy(out, 4);
    args.out = expected.data, args.packed = packed_expected.data;
    definition(&args);
    args.out = out.data, args.packed = packed.data;
    kernel(&args);
    expect_equal(expected, out);
    release(packed.block), release(packed_expected.block), release(q.block), release(key_bias.block), release(bias.block);
    release_keys_values(c);
}
