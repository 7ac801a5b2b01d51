"""The video autoencoder: a list of blocks for each half, causal in time, run frame by frame by the engine.

Letters: N clips, F frames, T latent frames, C channels, H x W pixels, h x w latent pixels.
Blocks (one line each in the configuration; the engine reads the same lines from the model file):
  conv A B [relu]    3 x 3 convolution with bias
  down A B           3 x 3 convolution with bias, stride 2
  mem A              MemBlock: residual block over a frame and the frame before it (TAEHV's)
  time_pool A B      joins 2 frames: 1 x 1 convolution from 2A to B channels
  time_grow A B      splits a frame into 2: 1 x 1 convolution from A to 2B channels
  space_grow A B     doubles height and width: 3 x 3 convolution from A to 4B channels, then pixel shuffle
A picture enters as `pixel_unshuffle(patch)` and leaves through `pixel_shuffle(patch)`.

Invariant: latent frame i depends on picture frames 0..4i alone, and latent 0 is the first picture by itself: the
encoder repeats the first frame in front of the clip, so that 4i + 1 frames become i + 1 latent frames.

Every step that changes the resolution can address each pixel and each frame of its block separately. A nearest
neighbour upsampling cannot (what it makes of one latent pixel alone is constant), and such a decoder cannot even
invert a linear code. Here both halves begin as principal components and their exact inverse (`fit_encoder`).
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
    patch_size: int = 4
    latent_channels: int = 48
    encoder: tuple[str, ...] = (
        "conv 48 64 relu", "time_pool 64 96", "mem 96", "time_pool 96 128", "mem 128", "down 128 160", "mem 160",
        "conv 160 48")
    decoder: tuple[str, ...] = (
        "conv 48 160 relu", "mem 160", "mem 160", "mem 160", "space_grow 160 128", "mem 128", "mem 128",
        "time_grow 128 96", "mem 96", "mem 96", "time_grow 96 64", "mem 64", "mem 64", "conv 64 48")

    def __post_init__(self) -> None:
        """A configuration that was JSON has lists."""
        self.encoder, self.decoder = tuple(self.encoder), tuple(self.decoder)

    @property
    def space_scale(self) -> int:
        return self.patch_size * 2 ** sum(line.startswith("space_grow") for line in self.decoder)

    @property
    def time_scale(self) -> int:
        return 2 ** sum(line.startswith("time_grow") for line in self.decoder)


class MemBlock(nn.Module):
    """relu(x + conv(x, past)): [F, C, H, W] with the input of the past frame.

    The sum is float32 also under autocast: what passes by carries faint components on top of strong ones.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(2 * width, width, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1), nn.ReLU(),
                                  nn.Conv2d(width, width, 3, padding=1))

    def forward(self, x: Tensor, past: Tensor) -> Tensor:
        return F.relu(x + self.conv(torch.cat([x, past], dim=1)).float())


class Exact(nn.Module):
    """A convolution on the linear path: float32 also under autocast."""

    def __init__(self, n_in: int, n_out: int, size: int = 3, stride: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv2d(n_in, n_out, size, stride=stride, padding=size // 2)

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return self.conv(x.float())


class Convolution(Exact):
    def __init__(self, n_in: int, n_out: int, relu: bool) -> None:
        super().__init__(n_in, n_out)
        self.relu = relu

    def forward(self, x: Tensor) -> Tensor:
        y = super().forward(x)
        return F.relu(y) if self.relu else y


class Down(Exact):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, n_out, stride=2)


class TimePool(Exact):
    """[F, A, H, W] to [F / 2, B, H, W]; the earlier frame's channels come first."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(2 * n_in, n_out, size=1)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, 2 * x.shape[1], *x.shape[2:]))


class TimeGrow(Exact):
    """[F, A, H, W] to [2F, B, H, W]; the earlier frame's channels come first."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, 2 * n_out, size=1)
        self.n_out = n_out

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x).reshape(-1, self.n_out, *x.shape[2:])


class SpaceGrow(Exact):
    """[F, A, H, W] to [F, B, 2H, 2W]; output channel 4b + 2r + c of the convolution is row r, column c of channel b."""

    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__(n_in, 4 * n_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.pixel_shuffle(super().forward(x), 2)


def block(line: str) -> nn.Module:
    kind, *words = line.split()
    sizes = [int(word) for word in words if word.isdigit()]
    match kind:
        case "conv":
            return Convolution(*sizes, relu="relu" in words)
        case "down":
            return Down(*sizes)
        case "mem":
            return MemBlock(*sizes)
        case "time_pool":
            return TimePool(*sizes)
        case "time_grow":
            return TimeGrow(*sizes)
        case "space_grow":
            return SpaceGrow(*sizes)
    raise ValueError(f"no such block: {line}")


def run_blocks(blocks: nn.Sequential, x: Tensor) -> Tensor:
    """Applies blocks to [N, F, C, H, W], handing each MemBlock the previous frame's input."""
    clips = x.shape[0]
    x = x.flatten(0, 1)
    for one in blocks:
        if isinstance(one, MemBlock):
            frames = x.reshape(clips, -1, *x.shape[1:])
            past = torch.cat([torch.zeros_like(frames[:, :1]), frames[:, :-1]], dim=1)
            x = one(x, past.reshape(x.shape))
        else:
            x = one(x)
    return x.reshape(clips, -1, *x.shape[1:])


class Autoencoder(nn.Module):
    """Pictures [N, 4i + 1, 3, H, W] in [0, 1] to latents [N, i + 1, C, H / 8, W / 8] and back."""

    def __init__(self, config: AutoencoderConfig = AutoencoderConfig()) -> None:
        super().__init__()
        self.config = config
        self.encoder = nn.Sequential(*(block(line) for line in config.encoder))
        self.decoder = nn.Sequential(*(block(line) for line in config.decoder))

    def encode(self, clip: Tensor) -> Tensor:
        """[N, F, 3, H, W] in [0, 1] to raw latents [N, T, C, h, w]; F is 4i + 1."""
        missing = -clip.shape[1] % self.config.time_scale
        clip = torch.cat([clip[:, :1].expand(-1, missing, -1, -1, -1), clip], dim=1)
        return run_blocks(self.encoder, F.pixel_unshuffle(clip, self.config.patch_size))

    def decode(self, latent: Tensor) -> Tensor:
        """Raw latents [N, T, C, h, w] to pictures [N, 4T - 3, 3, H, W], not clamped."""
        x = run_blocks(self.decoder, latent)
        return F.pixel_shuffle(x, self.config.patch_size)[:, self.config.time_scale - 1:]


@torch.no_grad()
def grown(old: Autoencoder, config: AutoencoderConfig) -> Autoencoder:
    """An autoencoder of `config`, whose decoder has more MemBlocks behind others of their width, that does what `old`
    does: the new ones begin as the identity, since what a MemBlock gives is not negative."""
    if config.encoder != old.config.encoder:
        raise ValueError("only the decoder can grow: another encoder makes other latents")
    new, had = Autoencoder(config), list(zip(old.config.decoder, old.decoder))
    new.encoder.load_state_dict(old.encoder.state_dict())
    for line, one in zip(config.decoder, new.decoder):
        if had and had[0][0] == line:
            one.load_state_dict(had.pop(0)[1].state_dict())
        elif isinstance(one, MemBlock):
            nn.init.zeros_(one.conv[4].weight)
            nn.init.zeros_(one.conv[4].bias)
        else:
            raise ValueError(f"the decoder has no block \"{line}\" to begin from")
    if had:
        raise ValueError(f"the new decoder has no place for \"{had[0][0]}\"")
    return new


def config_json(config: AutoencoderConfig, mean: list[float], std: list[float]) -> dict:
    """What `vae/config.json` says; the diffusion model works on (latent - mean) / std."""
    fields = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(config).items()}
    return {"_class_name": "AutoencoderFrameBlocks", **fields, "latents_mean": mean, "latents_std": std}


def load_autoencoder(folder: Path) -> tuple[Autoencoder, Tensor, Tensor]:
    """Model, latents_mean [C] and latents_std [C] from an exported `vae` folder."""
    from safetensors.torch import load_file
    said = json.loads((folder / "config.json").read_text())
    names = AutoencoderConfig.__dataclass_fields__
    config = AutoencoderConfig(**{k: tuple(v) if isinstance(v, list) else v for k, v in said.items() if k in names})
    model = Autoencoder(config)
    model.load_state_dict(load_file(folder / "diffusion_pytorch_model.safetensors"))
    return model.eval(), torch.tensor(said["latents_mean"]), torch.tensor(said["latents_std"])
