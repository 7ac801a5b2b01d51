"""Begins the autoencoder in closed form: principal components on the way in, their exact inverse on the way out.

    python -m sorad_mini.fit_encoder --work DIR --clips 240

The encoder's linear path becomes a hierarchy of weighted principal components (frames joined by two and by four, then
2 x 2 positions), the decoder's path its transpose; MemBlocks begin as the identity (their last convolution is zero),
with an offset where components have signs, so that ReLU cuts nothing off. Spare channels and the MemBlocks' inner
convolutions begin random. So training starts from a linear code and not from noise, and everything that it learns is
what a linear code cannot do. Writes WORK/autoencoder.pt.

Latents keep the square root of their spectrum: a component of standard deviation s comes out as sqrt(s / largest).
"""
from __future__ import annotations

import argparse
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import checkpoint
from .autoencoder import Autoencoder, AutoencoderConfig, MemBlock
from .pool import Pool
from .losses import evaluate, motion_mask, to_float

MOTION_WEIGHT = 5.0
LIFT = 1.4              # offset of a signed channel, as a multiple of its lowest value


def principal(rows: Tensor, weight: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted PCA of rows [M, K]: basis [count, K], mean [K], standard deviations [count]."""
    weight = (weight / weight.sum()).double()[:, None]
    rows = rows.double()
    mean = (rows * weight).sum(0)
    centred = rows - mean
    values, vectors = torch.linalg.eigh(centred.T @ (centred * weight))
    return (vectors[:, -count:].flip(1).T.float(), mean.float(), values[-count:].flip(0).clamp_min(0).sqrt().float())


def rows_of(x: Tensor) -> Tensor:
    return x.movedim(1, -1).reshape(-1, x.shape[1])


def weights_of(mask: Tensor, frames: int, size: int) -> Tensor:
    """Motion mask [N, F, 1, H, W] to one weight per position of a level, [N * frames * size * size]."""
    n, f = mask.shape[:2]
    small = F.adaptive_avg_pool2d(mask.flatten(0, 1), size).reshape(n, frames, f // frames, size, size).mean(2)
    return 1 + MOTION_WEIGHT * small.flatten().sqrt()


def lift(x: Tensor) -> Tensor:
    """Offsets [C] that make x [F, C, H, W] positive."""
    lowest = x.amin((0, 2, 3))
    return torch.where(lowest < 0, -LIFT * lowest + 0.01, torch.zeros_like(lowest))


def gains(std: Tensor) -> Tensor:
    """Factors that bring components to at most one half, the square root of their spectrum kept. Offsets then stay small:
    large positive ones would make every weight of the next layer a weight of the mean."""
    return 0.5 / (std * std.max()).clamp_min(1e-6).sqrt()


def clear(conv: nn.Conv2d, rows: int) -> None:
    """The first `rows` outputs of a convolution to zero; the others begin small and random."""
    nn.init.normal_(conv.weight, std=0.3 / conv.weight[0].numel() ** 0.5)
    nn.init.zeros_(conv.bias)
    conv.weight[:rows] = 0


@torch.no_grad()
def fit(model: Autoencoder, clips: Tensor) -> None:
    """Sets all weights from clips [N, F, 3, H, W]."""
    config = model.config
    pixels = 3 * config.patch_size ** 2
    for half in (model.encoder, model.decoder):
        for one in half:
            if isinstance(one, MemBlock):
                for conv in (one.conv[0], one.conv[2]):
                    nn.init.kaiming_normal_(conv.weight)
                    nn.init.zeros_(conv.bias)
                nn.init.zeros_(one.conv[4].weight)
                nn.init.zeros_(one.conv[4].bias)
    padded = torch.cat([clips[:, :1].expand(-1, 3, -1, -1, -1), clips], 1)
    mask, n = motion_mask(padded), len(clips)

    stem, pool1, mem1, pool2, mem2, down, mem3, last = model.encoder
    clear(stem.conv, pixels)
    stem.conv.weight[range(pixels), range(pixels), 1, 1] = 1
    x = stem(F.pixel_unshuffle(padded, config.patch_size).flatten(0, 1))
    spare = x.shape[1] - pixels
    # Two frames' pixels pass unchanged; spare channels have no room in this layer and wait for training.
    clear(pool1.conv, 2 * pixels)
    for frame in range(2):
        at = torch.arange(pixels)
        pool1.conv.weight[frame * pixels + at, frame * (pixels + spare) + at, 0, 0] = 1
    x = pool1(x)
    four = x.reshape(-1, 2 * x.shape[1], *x.shape[2:])
    size = four.shape[-1]
    basis2, mean2, std = principal(rows_of(four), weights_of(mask, four.shape[0] // n, size), pool2.conv.out_channels)
    gain2 = gains(std)
    clear(pool2.conv, pool2.conv.out_channels)
    pool2.conv.weight.copy_((gain2[:, None] * basis2)[:, :, None, None])
    pool2.conv.bias.copy_(-gain2 * (basis2 @ mean2))
    x = pool2(x)
    lift2 = lift(x)
    mem2.conv[4].bias.copy_(lift2)
    # 2 x 2 positions of plain components, channel order (c, row, column)
    folded = F.pixel_unshuffle(x / gain2[:, None, None], 2)
    weight = weights_of(mask, x.shape[0] // n, folded.shape[-1])
    basis3, mean3, std = principal(rows_of(folded), weight, down.conv.out_channels)
    gain3 = gains(std)
    clear(down.conv, down.conv.out_channels)
    taps = gain3[:, None] * basis3 / gain2.repeat_interleave(4)
    down.conv.weight[:, :, 1:, 1:] = taps.reshape(down.conv.out_channels, -1, 2, 2)
    down.conv.bias.copy_(-gain3 * (basis3 @ mean3) - taps @ lift2.repeat_interleave(4))
    x = down(x + lift2[:, None, None])
    lift3 = lift(x)
    mem3.conv[4].bias.copy_(lift3)
    basis4, mean4, std = principal(rows_of(x / gain3[:, None, None]), weight, config.latent_channels)
    scale = 1 / (std * std.max()).sqrt()
    clear(last.conv, config.latent_channels)
    taps = scale[:, None] * basis4 / gain3
    last.conv.weight[:, :, 1, 1] = taps
    last.conv.bias.copy_(-scale * (basis4 @ mean4) - taps @ lift3)
    z = last(x + lift3[:, None, None])

    enter, grow_space, grow2, grow1, leave = (one for one in model.decoder if not isinstance(one, MemBlock))
    channels = config.latent_channels
    offset = lift(z)
    clear(enter.conv, channels)
    enter.conv.weight[range(channels), range(channels), 1, 1] = 1
    enter.conv.bias[:channels] = offset
    out = gain2.repeat_interleave(4)
    back = out[:, None] * (basis3.T @ basis4.T) / scale                  # [4 * n2, C]
    clear(grow_space.conv, grow_space.conv.out_channels)
    grow_space.conv.weight[:, :channels, 1, 1] = back
    grow_space.conv.bias.copy_(out * (mean3 + basis3.T @ mean4) + lift2.repeat_interleave(4) - back @ offset)
    clear(grow2.conv, grow2.conv.out_channels)
    taps = basis2.T / gain2
    grow2.conv.weight.copy_(taps[:, :, None, None])
    grow2.conv.bias.copy_(mean2 - taps @ lift2)
    wide = grow1.n_out
    for frame in range(2):
        at = torch.arange(wide)
        nn.init.normal_(grow1.conv.weight[frame * wide:(frame + 1) * wide], std=0.3 / grow1.conv.in_channels ** 0.5)
        grow1.conv.weight[frame * wide + at[:pixels]] = 0
        grow1.conv.weight[frame * wide + at[:pixels], frame * pixels + at[:pixels], 0, 0] = 1
    nn.init.zeros_(grow1.conv.bias)
    clear(leave.conv, pixels)
    leave.conv.weight[range(pixels), range(pixels), 1, 1] = 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--clips", type=int, default=240)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    path = args.work / "autoencoder.pt"
    if path.exists():
        raise SystemExit(f"{path} exists: remove it to begin a new autoencoder (its latents become useless)")
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    pool, rng = Pool(args.work, (128, 128)), np.random.default_rng(5)
    picks = rng.choice(len(pool), args.clips + 16, replace=False)
    clips = to_float(np.stack([pool[int(i)] for i in picks]))
    model = Autoencoder(AutoencoderConfig())
    fit(model, clips[16:])
    print("linear code", evaluate(model, clips[:16]))
    checkpoint.save(path, dict(model=model.state_dict(), config=asdict(model.config), optimizer=None,
                               state=dict(step=0, clips=0.0, spent=0.0), frozen=None))


if __name__ == "__main__":
    main()
