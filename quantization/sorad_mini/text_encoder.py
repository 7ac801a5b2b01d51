"""A small text encoder in the layout of transformers' `UMT5EncoderModel`.

It is that class itself, so the layout cannot drift; this file holds its size and the rule for the context that the
diffusion transformer reads. Invariant: rows past a prompt's own tokens are zero, as diffusers' WanPipeline does.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from .tokenizer import EOS, PAD, TEXT_LENGTH, Tokenizer


def build(vocabulary: int) -> UMT5EncoderModel:
    config = UMT5Config(
        vocab_size=vocabulary, d_model=256, d_kv=64, num_heads=4, d_ff=512, num_layers=4, num_decoder_layers=0,
        feed_forward_proj="gated-gelu", dropout_rate=0.0, relative_attention_num_buckets=32,
        relative_attention_max_distance=128, tie_word_embeddings=False, pad_token_id=PAD, eos_token_id=EOS,
        decoder_start_token_id=PAD, is_encoder_decoder=False, use_cache=False)
    return UMT5EncoderModel(config)


def encode(model: UMT5EncoderModel, ids: Tensor, length: int = TEXT_LENGTH) -> Tensor:
    """ids [N, L] padded with PAD to context [N, length, 256], zero after each prompt's own tokens."""
    mask = (ids != PAD).long()
    hidden = model(input_ids=ids, attention_mask=mask).last_hidden_state * mask[..., None]
    return torch.nn.functional.pad(hidden, (0, 0, 0, length - ids.shape[1]))


def encode_folded(model: UMT5EncoderModel, tokenizer: Tokenizer, texts: list[str]) -> tuple[Tensor, Tensor]:
    """Context [N, L + 1, 256] and its `text_bias` [L + 1]: the last row stands for all the padding to TEXT_LENGTH."""
    ids = torch.from_numpy(tokenizer.batch(texts)).to(model.device)
    used = min(ids.shape[1], TEXT_LENGTH - 1)
    bias = torch.zeros(used + 1, device=model.device)
    bias[-1] = math.log(TEXT_LENGTH - used)
    return encode(model, ids[:, :used], used + 1), bias


def encode_texts(model: UMT5EncoderModel, tokenizer: Tokenizer, texts: list[str], length: int = TEXT_LENGTH) -> Tensor:
    return encode(model, torch.from_numpy(tokenizer.batch(texts)).to(model.device), length)
