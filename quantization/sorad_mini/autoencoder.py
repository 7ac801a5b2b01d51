"""The TAEHV-family video autoencoder, in the published module layout (`encoder.N...`, `decoder.N...`).

Letters: N clips, F frames, T latent frames, C channels, H x W pixels, h x w latent pixels.
Invariant: causal in time. A MemBlock sees its own frame and the one before it (zeros before the first), so latent
frame i depends on picture frames 0..4i alone, and latent 0 is the first picture by itself. Layout and state-dict
names follow madebyollin/taehv; widths are free, and with the standard ones a published checkpoint loads. The
encoder repeats the first frame in FRONT of the clip, so that 4i + 1 frames become i + 1 latent frames.
"""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass
class AutoencoderConfig:
    image_channels: int = 3
    latent_channels: int = 48
    patch_size: int = 2
    encoder_channels: tuple[int, ...] = (32, 32, 48, 64)       # stem and the three levels
    decoder_channels: tuple[int, ...] = (128, 64, 32, 32)
    encoder_time_downscale: tuple[bool, ...] = (True, True, False)
    decoder_time_upscale: tuple[bool, ...] = (False, True, True)
    decoder_space_upscale: tuple[bool, ...] = (True, True, True)
    encoder_padding: str = "front"


def conv3(n_in: int, n_out: int, stride: int = 1, bias: bool = True) -> nn.Conv2d:
    return nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=bias)


class Clamp(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x / 3) * 3


class MemBlock(nn.Module):
    """Residual block over a frame and its predecessor: [F, C, H, W] with the input of the past frame.

    `light` leaves out the convolutions and keeps the last one's bias: what the block does while that one's weights
    are zero, at no cost.
    """
    light = False

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(conv3(2 * n_in, n_out), nn.ReLU(), conv3(n_out, n_out), nn.ReLU(),
                                  conv3(n_out, n_out))
        self.skip = nn.Conv2d(n_in, n_out, 1, bias=False) if n_in != n_out else nn.Identity()

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        if self.light:
            return F.relu(x + self.conv[4].bias[:, None, None])
        return F.relu(self.conv(torch.cat([x, past], dim=1)) + self.skip(x))


class TPool(nn.Module):
    """Joins `stride` consecutive frames: [F, C, H, W] to [F / stride, C, H, W]."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.conv = nn.Conv2d(channels * stride, channels, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(x.reshape(-1, self.stride * x.shape[1], *x.shape[2:]))


class TGrow(nn.Module):
    """Splits each frame into `stride` frames: [F, C, H, W] to [F * stride, C, H, W]."""

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels * stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        x = self.conv(x)
        return x.reshape(-1, channels, *x.shape[2:])


def run_blocks(blocks: nn.Sequential, x: Tensor) -> Tensor:
    """Applies blocks to [N, F, C, H, W], handing each MemBlock the previous frame's input."""
    clips = x.shape[0]
    x = x.flatten(0, 1)
    for block in blocks:
        if isinstance(block, MemBlock):
            frames = x.reshape(clips, -1, *x.shape[1:])
            past = torch.cat([torch.zeros_like(frames[:, :1]), frames[:, :-1]], dim=1)
            x = block(x, past.reshape(x.shape))
        else:
            x = block(x)
    return x.reshape(clips, -1, *x.shape[1:])


class Autoencoder(nn.Module):
    """Pictures [N, 4i + 1, 3, H, W] in [0, 1] to latents [N, i + 1, 48, H / 16, W / 16] and back."""

    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()) -> None:
        super().__init__()
        self.config = c = config
        pixels = c.image_channels * c.patch_size ** 2
        e, d = c.encoder_channels, c.decoder_channels
        encoder: list[nn.Module] = [conv3(pixels, e[0]), nn.ReLU()]
        for level, pool in enumerate(c.encoder_time_downscale):
            n_in, n_out = e[level], e[level + 1]
            encoder += [TPool(n_in, 2 if pool else 1), conv3(n_in, n_out, stride=2, bias=False)]
            encoder += [MemBlock(n_out, n_out) for _ in range(3)]
        self.encoder = nn.Sequential(*encoder, conv3(e[3], c.latent_channels))
        decoder: list[nn.Module] = [Clamp(), conv3(c.latent_channels, d[0]), nn.ReLU()]
        for level in range(3):
            decoder += [MemBlock(d[level], d[level]) for _ in range(3)]
            decoder += [nn.Upsample(scale_factor=2 if c.decoder_space_upscale[level] else 1),
                        TGrow(d[level], 2 if c.decoder_time_upscale[level] else 1),
                        conv3(d[level], d[level + 1], bias=False)]
        self.decoder = nn.Sequential(*decoder, nn.ReLU(), conv3(d[3], pixels))
        self.time_scale = 2 ** sum(c.encoder_time_downscale)
        self.trim = 2 ** sum(c.decoder_time_upscale) - 1

    @torch.no_grad()
    def initialise(self) -> None:
        """Keeps the signal's size through both halves, every MemBlock beginning close to the identity.

        PyTorch's default shrinks it by a factor of two per plain convolution, and colour then takes an hour to
        come through sixteen of them.
        """
        for half in (self.encoder, self.decoder):
            for module in half.modules():
                if isinstance(module, nn.Conv2d):
                    linear = module.bias is None and module.kernel_size == (1, 1)
                    nn.init.normal_(module.weight, std=((1 if linear else 2) / module.weight[0].numel()) ** 0.5)
                    if module.bias is not None:
                        nn.init.zeros_(module.bias)
            for block in half:
                if isinstance(block, MemBlock):
                    block.conv[4].weight.mul_(0.1)
        stem = self.encoder[0]
        stem.bias.copy_(-0.5 * stem.weight.sum((1, 2, 3)))       # pictures are centred at one half
        self.encoder[-1].weight.mul_(2.5)
        self.decoder[-1].weight.mul_(0.1)
        self.decoder[-1].bias.fill_(0.5)

    def encode(self, clip: Tensor) -> Tensor:
        """[N, F, 3, H, W] in [0, 1] to raw latents [N, T, 48, h, w]. F must be 4i + 1 with front padding."""
        frames = clip.shape[1]
        missing = -frames % self.time_scale
        if missing and self.config.encoder_padding == "front":
            clip = torch.cat([clip[:, :1].expand(-1, missing, -1, -1, -1), clip], dim=1)
        elif missing:
            clip = torch.cat([clip, clip[:, -1:].expand(-1, missing, -1, -1, -1)], dim=1)
        packed = F.pixel_unshuffle(clip, self.config.patch_size)
        return run_blocks(self.encoder, packed)

    def decode(self, latent: Tensor) -> Tensor:
        """Raw latents [N, T, 48, h, w] to pictures [N, 4T - 3, 3, H, W], not clamped."""
        x = run_blocks(self.decoder, latent)
        return F.pixel_shuffle(x, self.config.patch_size)[:, self.trim:]


def config_json(config: AutoencoderConfig, mean: list[float], std: list[float]) -> dict:
    """What `vae/config.json` says; the diffusion model works on (latent - mean) / std."""
    fields = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    return {"_class_name": "AutoencoderTAEHV", **fields, "latents_mean": mean, "latents_std": std}


def load_autoencoder(folder: Path) -> tuple[Autoencoder, Tensor, Tensor]:
    """Model, latents_mean [48] and latents_std [48] from an exported `vae` folder."""
    from safetensors.torch import load_file
    said = json.loads((folder / "config.json").read_text())
    names = AutoencoderConfig.__dataclass_fields__
    config = AutoencoderConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items() if k in names})
    model = Autoencoder(config)
    model.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"))
    return model.eval(), torch.tensor(said["latents_mean"]), torch.tensor(said["latents_std"])
