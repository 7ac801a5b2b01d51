"""Fits the encoder in closed form: a hierarchy of principal components, level by level.

    python -m sorad_mini.fit_encoder --work DIR --clips 160

Every strided convolution becomes the weighted PCA of the 2 x 2 blocks it covers, every TPool the PCA of the frames it
joins, every MemBlock the identity (its first one adds an offset, so that ReLU cuts nothing off). Together that is a
linear transform of 16 x 16 pixels x 4 frames into 48 numbers, good for about 30 dB when decoded linearly, found in
two minutes where gradient descent on two cores needs hours; the decoder alone is then trained. Writes
WORK/autoencoder.pt. Invariant: blocks in which something moves weigh more, as in the decoder's loss.
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
from .autoencoder import Autoencoder, AutoencoderConfig, MemBlock, TPool
from .pool import Pool
from .train_autoencoder import motion_mask, to_float

LATENT_STD = 0.5        # small enough for the decoder's tanh clamp to stay nearly linear
MOTION_WEIGHT = 5.0


def principal(rows: Tensor, weight: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Weighted PCA of rows [M, K]: basis [count, K], mean [K], standard deviations [count]."""
    weight = (weight / weight.sum()).double()[:, None]
    rows = rows.double()
    mean = (rows * weight).sum(0)
    centred = rows - mean
    values, vectors = torch.linalg.eigh(centred.T @ (centred * weight))
    kept = min(count, rows.shape[1])
    basis = torch.zeros(count, rows.shape[1], dtype=torch.float64)
    basis[:kept] = vectors[:, -kept:].flip(1).T
    std = torch.zeros(count, dtype=torch.float64)
    std[:kept] = values[-kept:].flip(0).clamp_min(0).sqrt()
    return basis.float(), mean.float(), std.float()


def joined(x: Tensor, stride: int) -> Tensor:
    """[F, C, H, W] to [F / stride, stride * C, H, W], as TPool sees it."""
    return x.reshape(-1, stride * x.shape[1], *x.shape[2:])


def rows_of(x: Tensor) -> Tensor:
    return x.movedim(1, -1).reshape(-1, x.shape[1])


def pooled_weight(mask: Tensor, frames: int, size: int) -> Tensor:
    """Motion mask [N, F, 1, H, W] to one weight per position of a level, [N * frames * size * size]."""
    n, f = mask.shape[:2]
    small = F.adaptive_avg_pool2d(mask.flatten(0, 1), size).reshape(n, frames, f // frames, size, size).mean(2)
    return 1 + MOTION_WEIGHT * small.flatten().sqrt()


@torch.no_grad()
def fit(model: Autoencoder, clips: Tensor) -> None:
    """Sets the encoder's weights from clips [N, 17, 3, H, W]."""
    padded = torch.cat([clips[:, :1].expand(-1, 3, -1, -1, -1), clips], 1)
    mask = motion_mask(padded)
    n, f = padded.shape[:2]
    blocks = model.encoder
    stem = blocks[0]
    pixels = stem.in_channels
    nn.init.zeros_(stem.bias)
    stem.weight.mul_(0.1)
    stem.weight[:pixels] = 0
    stem.weight[range(pixels), range(pixels), 1, 1] = 1.0
    x = F.relu(stem(F.pixel_unshuffle(padded, model.config.patch_size).flatten(0, 1)))
    for k, block in enumerate(blocks[2:-1], start=2):
        if isinstance(block, TPool):
            x = joined(x, block.stride)
            weight = pooled_weight(mask, x.shape[0] // n, x.shape[-1])
            if k == 2:              # the stem's spare channels are for later training, not for this fit
                x.view(x.shape[0], block.stride, -1, *x.shape[2:])[:, :, pixels:] = 0
            basis, _, _ = principal(rows_of(x), weight, block.conv.out_channels)
            block.conv.weight.copy_(basis[:, :, None, None])
            x = block.conv(x)
        elif isinstance(block, nn.Conv2d):
            folded = F.pixel_unshuffle(x, 2)                      # channel order (c, row, column)
            weight = pooled_weight(mask, x.shape[0] // n, folded.shape[-1])
            basis, _, _ = principal(rows_of(folded), weight, block.out_channels)
            block.weight.zero_()
            block.weight[:, :, 1:, 1:] = basis.reshape(block.out_channels, -1, 2, 2)
            x = block(x)
        else:
            identity(block, x)
            x = F.relu(x + block.conv[4].bias[:, None, None])
    weight = pooled_weight(mask, x.shape[0] // n, x.shape[-1])
    basis, mean, std = principal(rows_of(x), weight, model.config.latent_channels)
    scale = LATENT_STD / std.clamp_min(1e-4)
    last = blocks[-1]
    last.weight.zero_()
    last.weight[:, :, 1, 1] = basis * scale[:, None]
    last.bias.copy_(-(basis @ mean) * scale)


def identity(block: MemBlock, x: Tensor) -> None:
    """A MemBlock that adds just enough for its ReLU to pass everything seen in x [F, C, H, W]."""
    block.conv[4].weight.zero_()
    lowest = x.amin((0, 2, 3))
    block.conv[4].bias.copy_(torch.where(lowest < 0, -1.4 * lowest + 0.01, torch.zeros_like(lowest)))


@torch.no_grad()
def linear_quality(model: Autoencoder, clips: Tensor, held: Tensor) -> dict[str, float]:
    """PSNR in dB of held-out clips when latents of frames 1.. are decoded by least squares, block by block."""
    def blocks(c: Tensor) -> Tensor:
        c = c[:, 1:].unfold(1, 4, 4).unfold(3, 16, 16).unfold(4, 16, 16)      # N, T, 3, h, w, 4, 16, 16
        return c.permute(0, 1, 3, 4, 5, 2, 6, 7).reshape(-1, 3072)

    def latents(c: Tensor) -> Tensor:
        z = torch.cat([model.encode(one[None])[:, 1:] for one in c]).permute(0, 1, 3, 4, 2).reshape(-1, 48)
        return torch.cat([z, torch.ones(len(z), 1)], 1)

    z = latents(clips)
    solution = torch.linalg.solve(z.T @ z + 1e-3 * torch.eye(49), z.T @ blocks(clips))
    error = (latents(held) @ solution - blocks(held)).square()
    moving = blocks(motion_mask(held).expand(-1, -1, 3, -1, -1))
    return dict(psnr=round(float(-10 * error.mean().log10()), 2),
                moving=round(float(-10 * ((error * moving).sum() / moving.sum()).log10()), 2))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--clips", type=int, default=160)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    path = args.work / "autoencoder.pt"
    if path.exists():
        raise SystemExit(f"{path} exists: remove it to fit a new encoder (its latents become useless).")
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    pool, rng = Pool(args.work), np.random.default_rng(5)
    picks = rng.choice(len(pool), args.clips + 16, replace=False)
    clips = to_float(np.stack([pool[int(i)] for i in picks]))
    model = Autoencoder(AutoencoderConfig())
    model.initialise()
    fit(model, clips[16:])
    print("linear decoding", linear_quality(model, clips[16:80], clips[:16]))
    state = dict(step=0, clips=0.0, spent=0.0)
    checkpoint.save(path, dict(model=model.state_dict(), config=asdict(model.config), optimizer=None, state=state,
                               frozen=None))


if __name__ == "__main__":
    main()
