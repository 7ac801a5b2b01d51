"""From the closed-form encoder to one that also learns.

The closed-form encoder (`fit_encoder.py`) is a linear map of blocks: what moves fast between them is lost. `widen` adds
channels at every level, a second tower inside the published layout: new channels read everything, old ones read only
each other and stay as they are (`Pins`), and at the end the new ones add to the latents, beginning with nothing.
The old weights must not even be shaken: faint components are told from strong ones by their last digits, and a
training step on them cost more than a whole run brought back.
`anchor_loss` keeps strong channels near their closed-form values and leaves faint ones free, so that large structure
stays where it was, a transformer trained on the closed-form latents has little to relearn, and the latents keep their
spectrum.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn

from .autoencoder import Autoencoder, AutoencoderConfig, MemBlock, TPool
from .linear_map import LinearMap

LEARNED_CHANNELS = (32, 48, 80, 128)


@torch.no_grad()
def widen(model: Autoencoder, channels: tuple[int, ...] = LEARNED_CHANNELS) -> Autoencoder:
    """A copy of `model` whose encoder has these widths and the same latents: nothing old reads a new channel yet."""
    wide = Autoencoder(AutoencoderConfig(**{**model.config.__dict__, "encoder_channels": tuple(channels)}))
    wide.initialise()
    wide.decoder.load_state_dict(model.decoder.state_dict())
    for before, after in zip(model.encoder, wide.encoder):
        if isinstance(before, MemBlock):
            rows = before.conv[4].out_channels
            after.conv[4].weight[:rows] = 0
            after.conv[4].bias[:rows] = before.conv[4].bias
        elif isinstance(before, TPool):
            spread(before.conv, after.conv, before.stride)
        elif isinstance(before, nn.Conv2d):
            spread(before, after, 1)
    return wide


def spread(before: nn.Conv2d, after: nn.Conv2d, groups: int) -> None:
    """Copies a convolution into a wider one whose input is `groups` equal parts (a frame and its past, or a pool)."""
    rows, part, wider = before.out_channels, before.in_channels // groups, after.in_channels // groups
    after.weight[:rows] = 0
    for g in range(groups):
        after.weight[:rows, g * wider:g * wider + part] = before.weight[:, g * part:(g + 1) * part]
    if before.bias is not None:
        after.bias[:rows] = before.bias


@torch.no_grad()
def open_encoder(model: Autoencoder, clips: Tensor, old: tuple[int, ...]) -> None:
    """Centres the new channels and the insides of the MemBlocks on what they receive from clips [N, F, 3, H, W], so
    that half of every ReLU's input passes; `old` are the widths before."""
    blocks = [b for b in model.encoder if isinstance(b, MemBlock)]

    def centre(block: MemBlock, inputs: tuple[Tensor, Tensor]) -> None:
        first, _, _, _, last = block.conv
        mean = inputs[0].mean((0, 2, 3))
        first.bias.copy_(-(first.weight.sum((2, 3)) @ torch.cat([mean, mean])))
        if blocks.index(block) % 3 == 0:
            rows = old[1 + blocks.index(block) // 3]
            last.bias[rows:] = -mean[rows:]

    hooks = [block.register_forward_pre_hook(centre) for block in blocks]
    model.encode(clips)
    for hook in hooks:
        hook.remove()


class Pins:
    """The closed-form tower: every weight that an old channel of a widened encoder is made of. `restore` after each
    optimiser step."""

    def __init__(self, model: Autoencoder, old: tuple[int, ...]) -> None:
        self.kept: list[tuple[Tensor, Tensor]] = []
        blocks = list(model.encoder)
        level = 0
        for block in blocks[:-1]:
            if isinstance(block, MemBlock):
                self.pin(block.conv[4], old[level])
            elif isinstance(block, TPool):
                self.pin(block.conv, old[level])
            elif isinstance(block, nn.Conv2d):
                level += block.bias is None
                self.pin(block, old[level] if level else model.config.image_channels * model.config.patch_size ** 2)
        part = blocks[-1].weight.data[:, :old[-1]]
        self.kept.append((part, part.clone()))

    def pin(self, conv: nn.Conv2d, rows: int) -> None:
        parts = [conv.weight.data[:rows]] + ([conv.bias.data[:rows]] if conv.bias is not None else [])
        self.kept += [(part, part.clone()) for part in parts]

    def restore(self) -> None:
        for part, value in self.kept:
            part.copy_(value)


def anchor_loss(latent: Tensor, anchor: LinearMap, clip: Tensor) -> Tensor:
    """Mean square distance of latents [N, T, C, h, w] to the closed-form ones, each channel weighed by its strength."""
    with torch.no_grad():
        wanted, weight = anchor.encode(clip), anchor.strength()[:, None, None]
    return ((latent - wanted).square() * weight).mean()
