"""Compares what the engine computed with what diffusers computes from the same latents and text.

    mkdir dump && SORAD_DUMP=dump sorad-bench clip MODEL.gguf --steps 1
    python quantization/reference/compare_dump.py DIFFUSERS_FOLDER dump

The dump holds the last forward pass. Its last sequence belongs to the text that was encoded last (the negative prompt, when there is
guidance), so that one is compared, block by block: relative L2 error and cosine.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy
import torch
from diffusers import WanTransformer3DModel
from safetensors.torch import load_file


def main() -> None:
    folder, dump = Path(sys.argv[1]), Path(sys.argv[2])

    def dumped(name: str) -> torch.Tensor:
        return torch.from_numpy(numpy.load(dump / f"{name}.npy"))

    # Not from_pretrained, which asks for the accelerate package.
    model = WanTransformer3DModel.from_config(WanTransformer3DModel.load_config(folder / "transformer")).eval()
    model.load_state_dict(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))
    length = json.loads((folder / "sorad.json").read_text())["text_length"]
    text = torch.zeros(1, length, model.config.text_dim)
    valid = dumped("te.output")
    text[0, : len(valid)] = valid
    blocks: list[torch.Tensor] = []
    for block in model.blocks:
        block.register_forward_hook(lambda _module, _inputs, output: blocks.append(output[0]))
    with torch.no_grad():
        velocity = model(dumped("dit.latent")[None], dumped("dit.timesteps")[:1], text).sample[0]
    tokens = len(blocks[0])
    pairs = [(f"dit.blocks.{i}", dumped(f"dit.blocks.{i}")[-tokens:], block) for i, block in enumerate(blocks)]
    last = max(dump.glob("dit.velocity.*.npy")).stem
    pairs.append((last, dumped(last), velocity))
    for name, found, expected in pairs:
        error = (found - expected).norm() / expected.norm()
        cosine = torch.nn.functional.cosine_similarity(found.flatten(), expected.flatten(), dim=0)
        print(f"{name:18} relative error {error:.6f}  cosine {cosine:.6f}")


if __name__ == "__main__":
    main()
