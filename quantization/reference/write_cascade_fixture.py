"""Writes random maps between the two sizes of a cascade, for the engine's tests.

    PYTHONPATH=quantization/training python quantization/reference/write_cascade_fixture.py Tests/Fixtures/models/cascade

`config.json` and `diffusion_pytorch_model.safetensors` are what `sorad_mini.export` writes into the folder `cascade` of a
model with the latents of the fixture `tiny`; `reference.safetensors` has latents [C, T, h, w] and what PyTorch makes of
them in float32: `small` becomes `enlarged`, `large` becomes `reduced`.
"""
from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from sorad_mini.cascade import enlarge, reduce
from sorad_mini.export import write_cascade

SEED, CHANNELS = 47, 10


def main() -> None:
    target = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(SEED)

    def random_map(out: int, into: int) -> dict:
        return {"weight": (9 * into) ** -0.5 * torch.randn(out, into, 3, 3), "bias": 0.1 * torch.randn(out)}

    maps = {"up": random_map(4 * CHANNELS, CHANNELS), "down": random_map(CHANNELS, 4 * CHANNELS)}
    write_cascade(target, maps, least_side=32)
    small, large = torch.randn(CHANNELS, 3, 4, 6), torch.randn(CHANNELS, 2, 8, 12)
    save_file({"small": small, "enlarged": enlarge(small[None], maps["up"])[0].contiguous(), "large": large,
               "reduced": reduce(large[None], maps["down"])[0].contiguous()}, target / "reference.safetensors")


if __name__ == "__main__":
    main()
