"""A compact TAEHV-family video autoencoder in the published layout: the yardstick for the engine's own.

Letters: F frames, T latent frames, C channels, H x W pixels, h x w latent pixels.
State-dict names follow madebyollin/taehv (`encoder.N...`, `decoder.N...`); the widths are free. Everything is computed for the
whole clip at once, so that the engine's frame-by-frame streaming is tested against something that does not stream.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class SoftClamp(nn.Module):
    """Keeps latents within (-3, 3)."""

    def forward(self, x: Tensor) -> Tensor:
        return 3 * torch.tanh(x / 3)


class MemBlock(nn.Module):
    """Residual block that sees a frame and, in the second half of its input channels, the frame before."""

    def __init__(self, width: int) -> None:
        super().__init__()
        layers = [nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU()]
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1)]
        self.conv = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """[F, C, H, W] to the same shape; before the first frame lies a frame of zeros."""
        before = torch.cat([torch.zeros_like(x[:1]), x[:-1]])
        return F.relu(x + self.conv(torch.cat([x, before], dim=1)))


class TimePool(nn.Module):
    """Joins `stride` frames into one: [F, C, H, W] to [F / stride, C, H, W]."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride, self.conv = stride, nn.Conv2d(width * stride, width, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        frames, width, *size = x.shape
        return self.conv(x.reshape(frames // self.stride, width * self.stride, *size))


class TimeGrow(nn.Module):
    """Splits one frame into `stride`: [F, C, H, W] to [F * stride, C, H, W]."""

    def __init__(self, width: int, stride: int) -> None:
        super().__init__()
        self.stride, self.conv = stride, nn.Conv2d(width, width * stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        frames, width, *size = x.shape
        return self.conv(x).reshape(frames * self.stride, width, *size)


class ReferenceTAEHV(nn.Module):
    """`config` has the keys of the exported `vae/config.json`."""

    def __init__(self, config: dict) -> None:
        super().__init__()
        self.config = config
        pixels = config["image_channels"] * config["patch_size"] ** 2
        widths, latent = config["encoder_channels"], config["latent_channels"]
        blocks: list[nn.Module] = [nn.Conv2d(pixels, widths[0], 3, padding=1), nn.ReLU()]
        for n_in, n_out, pool in zip(widths, widths[1:], config["encoder_time_downscale"]):
            blocks += [TimePool(n_in, 2 if pool else 1), nn.Conv2d(n_in, n_out, 3, stride=2, padding=1, bias=False)]
            blocks += [MemBlock(n_out) for _ in range(3)]
        self.encoder = nn.Sequential(*blocks, nn.Conv2d(widths[-1], latent, 3, padding=1))

        widths = config["decoder_channels"]
        blocks = [SoftClamp(), nn.Conv2d(latent, widths[0], 3, padding=1), nn.ReLU()]
        scales = zip(widths, widths[1:], config["decoder_space_upscale"], config["decoder_time_upscale"])
        for n_in, n_out, space, time in scales:
            blocks += [MemBlock(n_in) for _ in range(3)]
            blocks += [nn.Upsample(scale_factor=2 if space else 1), TimeGrow(n_in, 2 if time else 1)]
            blocks += [nn.Conv2d(n_in, n_out, 3, padding=1, bias=False)]
        self.decoder = nn.Sequential(*blocks, nn.ReLU(), nn.Conv2d(widths[-1], pixels, 3, padding=1))

    def encode(self, frames: Tensor) -> Tensor:
        """[F, 3, H, W] in [0, 1] to raw latents [T, C, h, w]."""
        group = 2 ** sum(self.config["encoder_time_downscale"])
        missing = -frames.shape[0] % group
        if missing and self.config["encoder_padding"] == "front":
            frames = torch.cat([frames[:1].expand(missing, -1, -1, -1), frames])
        elif missing:
            frames = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
        return self.encoder(F.pixel_unshuffle(frames, self.config["patch_size"]))

    def decode(self, latent: Tensor) -> Tensor:
        """Raw latents [T, C, h, w] to frames [F, 3, H, W], not clamped, the first 2^k - 1 dropped."""
        dropped = 2 ** sum(self.config["decoder_time_upscale"]) - 1
        return F.pixel_shuffle(self.decoder(latent), self.config["patch_size"])[dropped:]
