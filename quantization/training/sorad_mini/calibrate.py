"""What the transformer's linear layers read while clips are made, for `sorad-quantize --calibration`.

    python -m sorad_mini.calibrate --work DIR [--output DIR/calibration.safetensors] [--prompts 32] [--rows 256]

Clips of training scenes' captions (never held-out ones) are denoised in float, as the model makes them; of each step, prompt and token a few rows are kept.
Invariant: the rows of a layer are spread evenly over all steps, so that the last ones, where a small error in what the model sees of the
noise is a large one in what it says, count as much as the first. The same checkpoint gives the same file.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor

from . import cascade, text_encoder
from .captions import caption
from .export import load_cascade, load_exported
from .sampler import sample
from .world import sample_scene


def training_prompts(count: int) -> list[str]:
    """A caption of each of the first training scenes."""
    return [caption(sample_scene("train", i), np.random.default_rng([7, i])) for i in range(count)]


@torch.no_grad()
def captured(folder: Path, prompts: list[str], rows: int) -> dict[str, Tensor]:
    """[about `rows`, K] for every linear layer of the transformer's blocks, under the name that the converter gives the layer."""
    transformer, encoder, tokenizer, autoencoder, *_, said = load_exported(folder)
    steps, guidance = said["num_inference_steps"], said["guidance_scale"]
    kept: dict[str, list[Tensor]] = {}
    generator = torch.Generator().manual_seed(1)
    # With guidance there are two forwards in each step.
    each = max(1, rows // (steps * (1 if guidance == 1 else 2)))

    def hook(name: str):
        def keep(_module, inputs, _output):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            kept.setdefault("dit." + name, []).append(x[torch.randint(len(x), (each,), generator=generator)].clone())
        return keep

    for name, module in transformer.named_modules():
        if isinstance(module, torch.nn.Linear) and name.startswith("blocks."):
            module.register_forward_hook(hook(name))
    context = text_encoder.encode_texts(encoder, tokenizer, prompts)
    empty = text_encoder.encode_texts(encoder, tokenizer, [""])
    scale = autoencoder.config.space_scale
    shape = (autoencoder.config.latent_channels, (said["num_frames"] - 1) // autoencoder.config.time_scale + 1,
             said["height"] // scale, said["width"] // scale)
    random = torch.Generator().manual_seed(2)
    noise = torch.randn(len(prompts), *shape, generator=random)
    if maps := load_cascade(folder):
        cascade.sample_cascade(transformer, maps, context, empty, noise, steps, said["flow_shift"], guidance, random)
    else:
        sample(transformer, context, empty, noise, steps, said["flow_shift"], guidance)
    return {name: torch.cat(parts).contiguous() for name, parts in kept.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--prompts", type=int, default=32)
    parser.add_argument("--rows", type=int, default=256)
    args = parser.parse_args()
    found = captured(args.work / "export" / "sorad-mini", training_prompts(args.prompts), args.rows)
    output = args.output or args.work / "calibration.safetensors"
    save_file(found, output, {"format": "pt"})
    print(f"{output}: {len(found)} layers, {len(next(iter(found.values())))} rows each")


if __name__ == "__main__":
    main()
