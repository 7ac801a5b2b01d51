"""A beginning in which the transformer already knows where each token is.

Rotary embeddings tell attention only relative positions, so a Wan transformer has to find the edges of the picture by
itself before it can put the sky above the ground: a token at the edge is one that has no neighbour beyond it. Large
models learn that on the way; a small one with an hour of training should not have to. Here the first two blocks
begin with it:

  block 0  four heads look at the neighbour above, below, left and right (the head falls back on the token itself
           where there is none); the feed-forward layer compares what they saw with the token, which gives one flag
           per side: a neighbour exists
  block 1  the same heads read their neighbour's flag, so that rows and columns one step from the edge differ too

Blocks 2 and 3 lean towards the same place in other frames, since things move little from one to the next.

Invariant: only initial values, nothing in the architecture; every weight goes on learning. Residual dimensions: the
C * 4 patch values come first, then OBSERVED of each head's view, then 4 flags and 4 neighbours' flags.
"""
from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from .transformer import Attention, Block, Transformer

OBSERVED = 12
SIDES = ((1, -1), (1, 1), (2, -1), (2, 1))      # (axis: time, row, column; step) of each head's neighbour
SHARPNESS = 2.0
SCALE = 0.75                                    # from normalised values back to roughly their size in the residual


def look_at_neighbours(attention: Attention) -> None:
    """Queries and keys from their biases alone: the logit is highest at one step along the head's axis."""
    width = attention.to_q.weight.shape[0]
    d = width // attention.heads
    side = 2 * (d // 6)
    first_pair = (0, d - 2 * side, d - side)     # the pair that turns by one radian per step, for each axis
    for linear in (attention.to_q, attention.to_k):
        linear.weight.mul_(0.03)
        linear.bias.zero_()
    for head, (axis, step) in enumerate(SIDES):
        for a in range(3):
            at = head * d + first_pair[a]
            turn = step if a == axis else 0
            attention.to_q.bias[at], attention.to_q.bias[at + 1] = math.cos(turn), math.sin(turn)
            attention.to_k.bias[at] = 1.0
    for norm in (attention.norm_q, attention.norm_k):
        norm.weight.fill_(SHARPNESS)


def look_along_time(attention: Attention, strength: float = 4.0) -> None:
    """Leans the heads towards the same place in the frame before, the frame after, and (two heads) every frame; the
    biases are added to what content asks for, so it is a leaning and no more."""
    d = attention.to_q.weight.shape[0] // attention.heads
    side = 2 * (d // 6)
    for head, step in enumerate((-1, 1, None, None)):
        for a, pair in enumerate((0, d - 2 * side, d - side)):
            if a == 0 and step is None:
                continue
            turn = step if a == 0 else 0
            attention.to_q.bias[head * d + pair] += strength * math.cos(turn)
            attention.to_q.bias[head * d + pair + 1] += strength * math.sin(turn)
            attention.to_k.bias[head * d + pair] += strength


def open_gates(block: Block) -> None:
    """Shift 0, scale 0, gate 1: the block's branches act at full strength at every timestep, to begin with."""
    block.scale_shift_table.zero_()
    block.scale_shift_table[:, [2, 5]] = 1.0


@torch.no_grad()
def initialise_position(model: Transformer) -> None:
    config = model.config
    values, width, heads = 4 * config.in_channels, config.width, config.num_attention_heads
    if heads < len(SIDES) or width < values + heads * OBSERVED + 8:
        raise ValueError("the positional beginning needs 4 heads or more and spare width beside the patch values")
    heads = len(SIDES)                           # further heads begin as any other
    d = config.attention_head_dim
    flags = values + heads * OBSERVED
    carry = model.patch_embedding.weight.flatten(1)
    carry.zero_()
    carry[range(values), range(values)] = 1.0
    back = carry.T.view(config.in_channels, 4, -1).transpose(0, 1).flatten(0, 1)
    model.proj_out.weight.copy_(0.64 * back)
    share = values // heads                      # patch values that each head looks at
    for block in model.blocks[:2]:
        look_at_neighbours(block.attn1)
        open_gates(block)
        for linear in (block.attn1.to_v, block.attn1.to_out[0], block.ffn.net[2]):
            linear.weight.mul_(0.1)
    for block in model.blocks[2:4]:
        look_along_time(block.attn1)
    first, second = model.blocks[0], model.blocks[1]
    for head in range(heads):
        for j in range(OBSERVED):
            first.attn1.to_v.weight[head * d + j] = 0
            first.attn1.to_v.weight[head * d + j, head * share + j] = 1.0
            row = first.attn1.to_out[0].weight[values + head * OBSERVED + j]
            row.zero_()
            row[head * d + j] = SCALE
    compare(first.ffn.net[0].proj, first.ffn.net[2], values, share, flags, heads)
    for head in range(heads):
        second.attn1.to_v.weight[head * d] = 0
        second.attn1.to_v.weight[head * d, flags + head] = 1.0
        row = second.attn1.to_out[0].weight[flags + 4 + head]
        row.zero_()
        row[head * d] = 1.0


def compare(inner: nn.Linear, outer: nn.Linear, values: int, share: int, flags: int, heads: int) -> None:
    """Hidden units that rise with |own value - neighbour's value|; their sum is the flag, about -1 or +1."""
    unit = 0
    steep = 2.0
    for head in range(heads):
        outer.weight[flags + head] = 0
        for j in range(OBSERVED):
            for sign in (1.0, -1.0):
                inner.weight[unit] = 0
                inner.weight[unit, head * share + j] = sign * steep
                inner.weight[unit, values + head * OBSERVED + j] = -sign * steep
                outer.weight[:, unit] = 0
                outer.weight[flags + head, unit] = 1.9 / (steep * OBSERVED * 1.1)
                unit += 1
        outer.bias[flags + head] = -1.2
