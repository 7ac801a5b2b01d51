"""Writes the small random frame-block autoencoder that the engine's tests compare with.

    PYTHONPATH=quantization/training python quantization/reference/write_frame_blocks_fixture.py Tests/Fixtures/models/frame-blocks

The folder is what a checkpoint has as `vae/`, beside `reference.safetensors`: normalized latents and what PyTorch decodes
them to in float32, clips and what it encodes them to. The latents have the channels of the fixture `tiny`, so that its
other parts make a whole model with it. Widths are no multiples of 16.

Letters: F frames, T latent frames, C latent channels, H x W pixels, h x w latent pixels.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sorad_mini.autoencoder import Autoencoder, AutoencoderConfig, config_json

SEED = 41
CONFIG = AutoencoderConfig(
    patch_size=2, latent_channels=10,
    encoder=("conv 12 14 relu", "time_pool 14 12", "mem 12", "time_pool 12 16", "mem 16", "down 16 18", "conv 18 10"),
    decoder=("conv 10 18 relu", "mem 18", "space_grow 18 14", "mem 14", "time_grow 14 12", "mem 12", "time_grow 12 9",
             "conv 9 12"))


@torch.no_grad()
def main() -> None:
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = Autoencoder(CONFIG).eval()
    for name, parameter in model.named_parameters():
        parameter.copy_(0.1 * torch.randn_like(parameter) if name.endswith("bias")
                        else parameter[0].numel() ** -0.5 * torch.randn_like(parameter))
    mean, std = 0.1 * torch.randn(10), 0.5 + torch.rand(10)
    shape = (1, -1, 1, 1)
    out: dict[str, Tensor] = {}
    for frames in (1, 5, 13):
        latent = torch.randn((frames - 1) // 4 + 1, 10, 3, 5)
        out[f"{frames}.latent"] = latent.transpose(0, 1)
        out[f"{frames}.frames"] = model.decode((latent * std.view(shape) + mean.view(shape))[None])[0]
        clip = torch.randint(0, 256, (frames, 3, 12, 20))
        encoded = (model.encode((clip / 255)[None])[0] - mean.view(shape)) / std.view(shape)
        out[f"encode.{frames}.clip"] = clip.permute(0, 2, 3, 1).float()
        out[f"encode.{frames}.latent"] = encoded.transpose(0, 1)
    save_file({k: v.contiguous() for k, v in out.items()}, target / "reference.safetensors")
    save_file({k: v.contiguous() for k, v in model.state_dict().items()}, target / "diffusion_pytorch_model.safetensors")
    said = config_json(CONFIG, mean.tolist(), std.tolist())
    (target / "config.json").write_text(json.dumps(said, indent=2) + "\n")


if __name__ == "__main__":
    main()
