"""Writes what the sampler's two ways of starting from something given must come to, for the checkpoint `tiny`.

    python quantization/reference/write_given_fixture.py Tests/Fixtures/models/tiny

`given.safetensors` holds clean latents of a source clip, two known latent frames, and what diffusers' transformer and scheduler make of
them in float32: known first and last frame from pure noise, a source noised half-way, and both at once. Token timesteps are those of
quantization/training/sorad_mini/sampler.py. Inputs that reference.safetensors already holds (noise, texts) are read from there.
"""
from __future__ import annotations

import sys
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from sorad_mini.sampler import token_timesteps  # noqa: E402

STEPS, SHIFT, GUIDANCE, TEXT_LENGTH, SEED = 4, 3.0, 4.0, 32, 21
# diffusers' rule: the last `int(steps * strength)` steps are run.
STRENGTH = 0.5


@torch.no_grad()
def main() -> None:
    folder = Path(sys.argv[1])
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    given = load_file(folder / "reference.safetensors")
    model = WanTransformer3DModel.from_config(WanTransformer3DModel.load_config(folder / "transformer")).eval()
    model.load_state_dict(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))
    noise = given["transformer.latent"][None]
    _, channels, frames, height, width = noise.shape
    texts = []
    for name in ("text", "negative_text"):
        rows = given[f"transformer.{name}"]
        texts.append(torch.nn.functional.pad(rows, (0, 0, 0, TEXT_LENGTH - len(rows)))[None])
    source = torch.randn(1, channels, frames, height, width)
    ends = torch.randn(1, channels, 2, height, width)
    out = {"source": source[0], "known": ends[0]}

    for name, is_known, is_mixed in (("known_ends", True, False), ("mixed", False, True), ("both", True, True)):
        scheduler = FlowMatchEulerDiscreteScheduler(shift=SHIFT)
        scheduler.set_timesteps(STEPS)
        first = STEPS - int(STEPS * STRENGTH) if is_mixed else 0
        scheduler.set_begin_index(first)
        sigma = scheduler.sigmas[first]
        sample = (1 - sigma) * source + sigma * noise if is_mixed else noise.clone()
        known = torch.zeros(1, frames, dtype=torch.bool)
        known[:, [0, -1]] = is_known

        def keep() -> None:
            if is_known:
                sample[:, :, [0, -1]] = ends

        for step in scheduler.timesteps[first:]:
            keep()
            moment = token_timesteps(step.expand(1), known, (height // 2, width // 2))
            positive, unguided = (model(sample, moment, text).sample for text in texts)
            velocity = unguided + GUIDANCE * (positive - unguided)
            sample = scheduler.step(velocity, step, sample, return_dict=False)[0]
        keep()
        out[name] = sample[0].clone()
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "given.safetensors")


if __name__ == "__main__":
    main()
