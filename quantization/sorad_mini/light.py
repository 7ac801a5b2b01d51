"""The decoder's easy beginning: MemBlocks left out, every ReLU lifted so that it passes.

Sixteen convolutions deep and full of random ReLUs, the decoder learns next to nothing from pixels for its first ten
minutes. Without the MemBlocks it is a shallow, nearly linear chain of upsamplings that is three times as fast and
within two minutes better than the deep one after ten. Then the MemBlocks are opened: their last convolution begins at
zero, so nothing changes at that moment, and they add what a linear chain cannot do.

Invariant: block numbers are those of the published decoder: 3-5, 9-11, 15-17 MemBlocks; 7, 13, 19 TGrow; 8, 14, 20
convolutions after upsampling; 22 the last.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .autoencoder import Autoencoder, MemBlock, TGrow

LIFT = 2.5          # standard deviations by which a channel's mean stands above zero
FIRST_OF_LEVEL = (3, 9, 15)


def near_identity(conv: nn.Conv2d, mix: float = 0.3) -> None:
    """An orthogonal map at the centre tap plus a little of everything."""
    weight = conv.weight
    nn.init.normal_(weight, std=mix / weight[0].numel() ** 0.5)
    middle = torch.empty(weight.shape[:2], device=weight.device)
    nn.init.orthogonal_(middle)
    weight[:, :, weight.shape[2] // 2, weight.shape[3] // 2] += middle


@torch.no_grad()
def prepare_decoder(model: Autoencoder, latents: Tensor) -> None:
    """Sets the decoder for light training, its offsets from latents [N, T, 48, h, w].

    Convolutions after upsampling have no bias, so channel 0 of the last level is kept at one and serves as theirs.
    """
    blocks = model.decoder
    for k in (1, 7, 8, 13, 14, 19, 20, 22):
        near_identity(blocks[k].conv if isinstance(blocks[k], TGrow) else blocks[k])
    blocks[1].weight.mul_(2.0)
    blocks[1].bias.fill_(LIFT)
    blocks[14].weight[0] = 0
    blocks[20].weight[:, 0] = 0
    grow = blocks[19].conv.weight
    channels = grow.shape[1]
    for frame in range(grow.shape[0] // channels):
        grow[frame * channels] = 0
        grow[frame * channels, 0] = 1
    x = latents.flatten(0, 1)
    for k, block in enumerate(blocks):
        if isinstance(block, MemBlock):
            last = block.conv[4]
            last.weight.zero_()
            last.bias.zero_()
            if k in FIRST_OF_LEVEL[1:]:
                std, mean = torch.std_mean(x, (0, 2, 3))
                last.bias.copy_(LIFT * std - mean)
                if k == FIRST_OF_LEVEL[2]:
                    last.bias[0] = 1
            x = F.relu(x + last.bias[:, None, None])
            continue
        if k == 20:
            std, mean = torch.std_mean(block(x), (0, 2, 3))
            block.weight[:, 0, 1, 1] = LIFT * std - mean
        elif k == 22:
            block.weight.mul_(0.1)
            block.bias.zero_()
            block.bias.copy_(0.5 - block(x).mean((0, 2, 3)))
        x = block(x)


@torch.no_grad()
def open_blocks(model: Autoencoder, latents: Tensor) -> None:
    """Gives the MemBlocks their convolutions, centred on what they now receive; the output does not change."""
    x = latents.flatten(0, 1)
    for block in model.decoder:
        if isinstance(block, MemBlock):
            first, _, second, _, last = block.conv
            for conv in (first, second):
                nn.init.kaiming_normal_(conv.weight)
                nn.init.zeros_(conv.bias)
            mean = x.mean((0, 2, 3))
            first.bias.copy_(-(first.weight.sum((2, 3)) @ torch.cat([mean, mean])))
            last.weight.zero_()
            x = F.relu(x + last.bias[:, None, None])
        else:
            x = block(x)
