#!/usr/bin/env python3
"""What the linear layers of a Wan transformer read, for `sorad-quantize --calibration`: the outliers that no norm or modulation shows.

    quantization/recipes/capture.py FOLDER -o CAPTURED.safetensors [--texts TEXTS.safetensors] [--size 256x256] [--frames 17] [--rows 128]

FOLDER is a diffusers folder. Random latents stand for clips at eight noise levels from pure noise down. Text embeddings are those of TEXTS
(each [tokens, text_dim], from the checkpoint's own encoder); random ones stand for them where none are given, and then the layers that read
texts are left out. Rows are spread evenly over levels; the same folder gives the same file. Needs diffusers; runs in float32 on the CPU.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from diffusers import WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import load_file, save_file

LEVELS = 8


@torch.no_grad()
def captured(folder: Path, texts: list[torch.Tensor], size: tuple[int, int], frames: int, rows: int) -> dict[str, torch.Tensor]:
    """[rows, K] for each linear layer of the blocks, under the name that the converter gives it."""
    config = json.loads((folder / "transformer" / "config.json").read_text())
    kind = WanVACETransformer3DModel if config["_class_name"] == "WanVACETransformer3DModel" else WanTransformer3DModel
    model = kind.from_config(config).eval()
    state: dict[str, torch.Tensor] = {}
    for file in sorted((folder / "transformer").glob("*.safetensors")):
        state |= {name: value.float() for name, value in load_file(file).items()}
    model.load_state_dict(state)
    c, kept = model.config, {}
    generator = torch.Generator().manual_seed(1)
    each = max(1, rows // LEVELS)
    has_texts = bool(texts)
    texts = texts or [torch.randn(64, c.text_dim, generator=generator)]

    def hook(name: str):
        def keep(_module, inputs, _output):
            x = inputs[0].reshape(-1, inputs[0].shape[-1])
            chosen = torch.randint(len(x), (each,), generator=generator)
            kept.setdefault("dit." + name, []).append(x[chosen].clone())
        return keep

    # Keys and values of texts are all that reads them.
    of_texts = (".attn2.to_k", ".attn2.to_v")
    for name, module in model.named_modules():
        inside = name.startswith(("blocks.", "vace_blocks.")) and isinstance(module, torch.nn.Linear)
        if inside and "add_" not in name and (has_texts or not name.endswith(of_texts)):
            module.register_forward_hook(hook(name))
    scale = 8 if c.out_channels == 16 else 16 if c.out_channels == 48 else 8
    shape = ((frames - 1) // 4 + 1, size[1] // scale, size[0] // scale)
    for level in range(LEVELS):
        latents = torch.randn(1, c.in_channels, *shape, generator=generator)
        text = texts[level % len(texts)]
        padded = torch.zeros(1, 512, c.text_dim)
        padded[0, :len(text)] = text[:512]
        more = {}
        if c.image_dim:
            pictures, tokens = (2, c.pos_embed_seq_len // 2) if c.pos_embed_seq_len else (1, 257)
            more["encoder_hidden_states_image"] = torch.randn(pictures, tokens, c.image_dim, generator=generator)
        if kind is WanVACETransformer3DModel:
            more["control_hidden_states"] = torch.randn(1, c.vace_in_channels, *shape, generator=generator)
        model(latents, torch.tensor([1000.0 * (1 - level / LEVELS)]), padded, **more)
    return {name: torch.cat(parts).contiguous() for name, parts in kept.items()}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path)
    arguments.add_argument("-o", "--output", type=Path, required=True)
    arguments.add_argument("--texts", type=Path)
    arguments.add_argument("--size", default="256x256")
    arguments.add_argument("--frames", type=int, default=17)
    arguments.add_argument("--rows", type=int, default=128)
    given = arguments.parse_args()
    texts = [value.float() for _, value in sorted(load_file(given.texts).items())] if given.texts else []
    width, height = (int(side) for side in given.size.split("x"))
    save_file(captured(given.folder, texts, (width, height), given.frames, given.rows), given.output)


if __name__ == "__main__":
    main()
