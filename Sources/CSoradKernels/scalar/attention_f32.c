// Attention with streaming softmax over fixed key blocks, scalar: the definition.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

enum { KEY_BLOCK = SORAD_ATTENTION_KEY_BLOCK };

// Packed form of this table: per head, keys [Lk][D], then values [Lk][D].
static float *head_of(float *packed, size_t head, size_t lk, size_t head_dim) {
    return packed + head * sorad_attention_packed_floats_f32(1, lk, head_dim);
}

void sorad_scalar_attention_pack_f32(const sorad_attention_pack_args *args) {
    size_t d = args->head_dim, bytes = d * sizeof(float);
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        float *keys = head_of(args->packed, h, args->lk, d), *values = keys + args->lk * d;
        for (size_t j = args->key_begin; j < args->key_end; j++) {
            if (args->k) memcpy(keys + j * d, args->k + j * args->k_stride + h * d, bytes);
            if (args->v) memcpy(values + j * d, args->v + j * args->v_stride + h * d, bytes);
        }
    }
}

// One query of one head: q [D] -> out [D]. `bias` [Lk] is this query's row or null.
static void attend(const sorad_attention_args *args, const float *q, const float *bias, const float *keys,
                   const float *values, float *out) {
    size_t d = args->head_dim;
    float max_score = SORAD_ATTENTION_MIN_SCORE, sums[SORAD_LANES] = {0}, acc[SORAD_MAX_FLOAT_HEAD_DIM] = {0};
    for (size_t j0 = 0; j0 < args->lk; j0 += KEY_BLOCK) {
        size_t count = args->lk - j0 < KEY_BLOCK ? args->lk - j0 : KEY_BLOCK;
        float prob[KEY_BLOCK], previous = max_score;
        for (size_t j = 0; j < count; j++) {
            const float *key = keys + (j0 + j) * d;
            float dot = 0.0f;
            for (size_t i = 0; i < d; i++) dot = fmaf(q[i], key[i], dot);
            float offset = (args->key_bias ? args->key_bias[j0 + j] : 0.0f) + (bias ? bias[j0 + j] : 0.0f);
            prob[j] = fmaf(dot, args->scale, offset);
            max_score = prob[j] > max_score ? prob[j] : max_score;
        }
        float correction = sorad_exp_f32(previous - max_score);
        for (size_t i = 0; i < SORAD_LANES; i++) sums[i] *= correction;
        for (size_t j = 0; j < count; j++) {
            prob[j] = sorad_exp_f32(prob[j] - max_score);
            sums[j % SORAD_LANES] += prob[j];
        }
        for (size_t i = 0; i < d; i++) acc[i] *= correction;
        for (size_t j = 0; j < count; j++)
            for (size_t i = 0; i < d; i++) acc[i] = fmaf(prob[j], values[(j0 + j) * d + i], acc[i]);
    }
    float inverse = 1.0f / sorad_lanes_sum(sums);
    for (size_t i = 0; i < d; i++) out[i] = acc[i] * inverse;
}

void sorad_scalar_attention_f32(const sorad_attention_args *args) {
    size_t d = args->head_dim;
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        const float *keys = head_of((float *)(uintptr_t)args->packed, h, args->lk, d), *values = keys + args->lk * d;
        for (size_t m = args->query_begin; m < args->query_end; m++) {
            const float *bias = args->bias ? args->bias + h * args->bias_head_stride + m * args->bias_query_stride : NULL;
            attend(args, args->q + m * args->q_stride + h * d, bias, keys, values, args->out + m * args->out_stride + h * d);
        }
    }
}
