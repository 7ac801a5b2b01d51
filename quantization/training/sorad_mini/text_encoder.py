"""A small text encoder in the layout of transformers' `UMT5EncoderModel`.

It is that class itself, so the layout cannot drift; this file holds its size, its beginning and the rule for the
context that the diffusion transformer reads. Invariant: rows past a prompt's own tokens are zero, as diffusers'
WanPipeline does.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from .tokenizer import EOS, PAD, TEXT_LENGTH, Tokenizer

NEIGHBOUR_BIAS = 5.0        # logit by which two heads of each layer prefer the token before and the token after


def build(vocabulary: int) -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=vocabulary, d_model=256, d_kv=64, num_heads=4, d_ff=768, num_layers=5, num_decoder_layers=0,
        feed_forward_proj="gated-gelu", dropout_rate=0.0, relative_attention_num_buckets=32,
        relative_attention_max_distance=128, tie_word_embeddings=False, pad_token_id=PAD, eos_token_id=EOS,
        decoder_start_token_id=PAD, is_encoder_decoder=False, use_cache=False)
    return UMT5EncoderModel(config)


@torch.no_grad()
def initialise(model: UMT5EncoderModel) -> None:
    """Begins with attention to neighbours and quiet feed-forward layers.

    From transformers' own beginning the first feed-forward layer adds fifteen times what it is given, every attention
    is flat, and the encoder stays a bag of words for 200,000 clips. In each layer head 0 begins at the token before,
    head 1 at the token after; bucket k of the relative bias is k tokens back, half of the buckets plus k is k ahead.
    """
    torch.nn.init.normal_(model.shared.weight, std=1.0)
    ahead = model.config.relative_attention_num_buckets // 2
    for layer in model.encoder.block:
        attention, feed = layer.layer[0].SelfAttention, layer.layer[1].DenseReluDense
        bias = attention.relative_attention_bias.weight
        torch.nn.init.zeros_(bias)
        bias[1, 0] = bias[ahead + 1, 1] = NEIGHBOUR_BIAS
        width = attention.q.weight.shape[1]
        for linear, gain in ((attention.q, 1 / attention.key_value_proj_dim ** 0.5), (attention.k, 1.0),
                             (attention.v, 1.0), (attention.o, 1.0), (feed.wi_0, 1.0), (feed.wi_1, 1.0)):
            torch.nn.init.normal_(linear.weight, std=gain * width ** -0.5)
        torch.nn.init.normal_(feed.wo.weight, std=0.5 * feed.wo.weight.shape[1] ** -0.5)


def encode(model: UMT5EncoderModel, ids: Tensor, length: int = TEXT_LENGTH) -> Tensor:
    """ids [N, L] padded with PAD to context [N, length, 256], zero after each prompt's own tokens."""
    mask = (ids != PAD).long()
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
    return torch.nn.functional.pad(hidden, (0, 0, 0, length - ids.shape[1]))


def encode_folded(model: UMT5EncoderModel, ids: Tensor) -> tuple[Tensor, Tensor]:
    """ids [N, L] to context [N, L + 1, 256] and its `text_bias` [L + 1]: the last row stands for all the padding to
    TEXT_LENGTH."""
    used = min(ids.shape[1], TEXT_LENGTH - 1)
    bias = torch.zeros(used + 1, device=ids.device)
    bias[-1] = math.log(TEXT_LENGTH - used)
    return encode(model, ids[:, :used], used + 1), bias


def encode_texts(model: UMT5EncoderModel, tokenizer: Tokenizer, texts: list[str], length: int = TEXT_LENGTH) -> Tensor:
    return encode(model, torch.from_numpy(tokenizer.batch(texts)).to(model.device), length)
