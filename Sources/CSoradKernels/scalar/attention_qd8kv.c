// Attention with int8 products, scalar: the definition (after SageAttention, Zhang et al. 2025).
//
// Softmax does not change when one vector is subtracted from every key, and a weighted mean does not change when one
// is subtracted from every value and added to the result. So the means of keys and values are subtracted before
// quantization, which leaves more of the 8 bits to the differences. Keys have one scale per token, values one per
// channel, queries one per token and head.
//
// A block's probs are bytes relative to its own greatest prob; their sum, and their products with the values, are
// exact integers until the block ends. Scores are in base 2 (log2 of a prob), so a prob is a power of two of its
// score without a multiplication.
//
// With 16-bit probs (where few keys have nearly all the weight, a byte is too coarse for the others) the values are
// multiplied with the high and the low byte. The sums stay exact: 256 keys of 65535 * 127 fit 31 bits.
#include "../internal/kernel_list.h"
#include "scalar_math.h"

enum { KEY_BLOCK = SORAD_ATTENTION_QD8KV_KEY_BLOCK };

// Packed form of this table, one head: key_scale [Lk], value_scale [D], value_mean [D], then bytes keys [Lk][D] and
// values [Lk][D].
typedef struct scalar_head {
    float *key_scale, *value_scale, *value_mean;
    int8_t *keys, *values;
} scalar_head;

static scalar_head head_of(const float *packed, size_t head, size_t lk, size_t d) {
    float *at = (float *)(uintptr_t)packed + head * sorad_attention_packed_floats_qd8kv(1, lk, d);
    return (scalar_head){at, at + lk, at + lk + d, (int8_t *)(at + lk + 2 * d), (int8_t *)(at + lk + 2 * d) + lk * d};
}

static float mean_of(const float *x, size_t stride, size_t count) {
    float sum = 0.0f;
    for (size_t j = 0; j < count; j++) sum += x[j * stride];
    return sum / (float)count;
}

static void pack_keys(const scalar_head *head, const float *k, size_t stride, size_t lk, size_t d) {
    float mean[SORAD_MAX_HEAD_DIM], inverse;
    int32_t zero;
    for (size_t i = 0; i < d; i++) mean[i] = mean_of(k + i, stride, lk);
    for (size_t j = 0; j < lk; j++) {
        float low = 0.0f, high = 0.0f;
        for (size_t i = 0; i < d; i++) sorad_minmax(k[j * stride + i] - mean[i], &low, &high);
        sorad_quantize_parameters(low, high, false, head->key_scale + j, &inverse, &zero);
        for (size_t i = 0; i < d; i++) head->keys[j * d + i] = sorad_quantize_value(k[j * stride + i] - mean[i], inverse);
    }
}

static void pack_values(const scalar_head *head, const float *v, size_t stride, size_t lk, size_t d) {
    float inverse;
    int32_t zero;
    for (size_t i = 0; i < d; i++) {
        float low = 0.0f, high = 0.0f, mean = mean_of(v + i, stride, lk);
        for (size_t j = 0; j < lk; j++) sorad_minmax(v[j * stride + i] - mean, &low, &high);
        sorad_quantize_parameters(low, high, false, head->value_scale + i, &inverse, &zero);
        for (size_t j = 0; j < lk; j++) head->values[j * d + i] = sorad_quantize_value(v[j * stride + i] - mean, inverse);
        head->value_mean[i] = mean;
    }
}

void sorad_scalar_attention_pack_qd8kv(const sorad_attention_pack_args *args) {
    const size_t d = args->head_dim, lk = args->lk;
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        const scalar_head head = head_of(args->packed, h, lk, d);
        if (args->k) pack_keys(&head, args->k + h * d, args->k_stride, lk, d);
        if (args->v) pack_values(&head, args->v + h * d, args->v_stride, lk, d);
    }
}

// One query of one head: q [D] -> out [D].
static void attend(const sorad_attention_args *args, const scalar_head *head, const float *q, float *out) {
    size_t d = args->head_dim;
    float max_score = SORAD_ATTENTION_MIN_SCORE, sum = 0.0f, acc[SORAD_MAX_HEAD_DIM] = {0}, low = 0.0f, high = 0.0f;
    float q_scale, inverse;
    int32_t zero;
    int8_t query[SORAD_MAX_HEAD_DIM];
    for (size_t i = 0; i < d; i++) sorad_minmax(q[i], &low, &high);
    sorad_quantize_parameters(low, high, false, &q_scale, &inverse, &zero);
    for (size_t i = 0; i < d; i++) query[i] = sorad_quantize_value(q[i], inverse);
    q_scale *= args->scale * SORAD_LOG2_E;
    for (size_t j0 = 0; j0 < args->lk; j0 += KEY_BLOCK) {
        size_t count = args->lk - j0 < KEY_BLOCK ? args->lk - j0 : KEY_BLOCK;
        float score[KEY_BLOCK], block_max = SORAD_ATTENTION_MIN_SCORE;
        int32_t prob[KEY_BLOCK], total = 0;
        for (size_t j = 0; j < count; j++) {
            int32_t dot = 0;
            for (size_t i = 0; i < d; i++) dot += query[i] * head->keys[(j0 + j) * d + i];
            score[j] = fmaf((float)dot, q_scale * head->key_scale[j0 + j], args->key_bias ? args->key_bias[j0 + j] * SORAD_LOG2_E : 0.0f);
            block_max = score[j] > block_max ? score[j] : block_max;
        }
        for (size_t j = 0; j < count; j++)
            total += prob[j] = args->probs_16bit ? sorad_exp2_word(score[j] - block_max) : sorad_exp2_byte(score[j] - block_max);
        float previous = max_score;
        max_score = block_max > max_score ? block_max : max_score;
        float correction = sorad_exp_f32((previous - max_score) * SORAD_LN2), factor = sorad_exp_f32((block_max - max_score) * SORAD_LN2);
        sum = fmaf((float)total, factor, sum * correction);
        for (size_t i = 0; i < d; i++) {
            int32_t dot = 0;
            for (size_t j = 0; j < count; j++) dot += prob[j] * head->values[(j0 + j) * d + i];
            acc[i] = fmaf((float)dot, factor, acc[i] * correction);
        }
    }
    inverse = 1.0f / sum;
    for (size_t i = 0; i < d; i++) out[i] = fmaf(acc[i] * inverse, head->value_scale[i], head->value_mean[i]);
}

void sorad_scalar_attention_f32_qd8kv(const sorad_attention_args *args) {
    size_t d = args->head_dim;
    for (size_t h = args->head_begin; h < args->head_end; h++) {
        scalar_head head = head_of(args->packed, h, args->lk, d);
        for (size_t m = args->query_begin; m < args->query_end; m++)
            attend(args, &head, args->q + m * args->q_stride + h * d, args->out + m * args->out_stride + h * d);
    }
}
