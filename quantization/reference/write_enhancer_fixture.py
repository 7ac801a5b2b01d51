"""Writes two small random networks of the kinds that run behind the decoder, for the engine's tests.

    PYTHONPATH=quantization/training python quantization/reference/write_enhancer_fixture.py Tests/Fixtures/models/enhancers

The folders `upscaler` and `interpolator` are what `sorad_mini.enhance export` writes; `reference.safetensors` beside them
has clips [F, H, W, 3] of whole numbers 0 to 255, and what PyTorch makes of them in float32, not clamped: frames of twice
the sides, and the F - 1 frames between. Widths are no multiples of 16.
"""
from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from sorad_mini.enhance import Enhancer, EnhancerConfig, make, write_enhancer

SEED = 43
CONFIGS = {
    "upscaler": EnhancerConfig(2, ("conv 12 14 relu", "mem 14", "space_grow 14 10", "conv 10 12")),
    "interpolator": EnhancerConfig(4, ("conv 48 18 relu", "mem 18", "mem 18", "conv 18 48")),
}


@torch.no_grad()
def main() -> None:
    target = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    out: dict[str, Tensor] = {}
    for name, config in CONFIGS.items():
        model = Enhancer(config).eval()
        for key, parameter in model.named_parameters():
            parameter.copy_(0.1 * torch.randn_like(parameter) if key.endswith("bias")
                            else parameter[0].numel() ** -0.5 * torch.randn_like(parameter))
        # What the last convolution adds is small beside the picture, as it is once trained.
        model.blocks[-1].conv.weight.mul_(0.1)
        write_enhancer(model, target / name)
        clip = torch.randint(0, 256, (1, 5, 3, 16, 24))
        out[f"{name}.clip"] = clip[0].permute(0, 2, 3, 1).float()
        out[f"{name}.made"] = make(name, model, clip / 255)[0].permute(0, 2, 3, 1)
    save_file({k: v.contiguous() for k, v in out.items()}, target / "reference.safetensors")


if __name__ == "__main__":
    main()
