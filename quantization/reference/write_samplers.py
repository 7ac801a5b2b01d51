"""Writes what diffusers' UniPC scheduler and its loop around a transformer give, for the tests of the engine's samplers.

    python quantization/reference/write_samplers.py Tests/Fixtures/models

`samplers/unipc.json`: noise levels, timesteps, and samples after every step for given velocities. `samplers/given.json`: the same of UniPC
and Euler for noise levels that a caller names. `samplers/loop.safetensors`: the latents
after 20 guided steps around the transformer of the fixture `tiny`, which begin with its reference latents.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy
import torch
from diffusers import FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanTransformer3DModel
from safetensors.torch import load_file, save_file

TEXT_LENGTH = 32
GUIDANCE = 3.0


def scheduler(shift: float) -> UniPCMultistepScheduler:
    """As Wan's pipelines configure it."""
    return UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=shift)


def walk(steps: int, shift: float, first: int) -> dict[str, object]:
    solver = scheduler(shift)
    solver.set_timesteps(steps)
    solver.set_begin_index(first)
    start = sample = torch.randn(8)
    velocities, samples = torch.randn(steps - first, 8), []
    for velocity, timestep in zip(velocities, solver.timesteps[first:]):
        sample = solver.step(velocity[None, :, None], timestep, sample[None, :, None]).prev_sample[0, :, 0]
        samples.append(sample.tolist())
    return {"steps": steps, "shift": shift, "first": first, "sigmas": solver.sigmas.tolist(), "timesteps": solver.timesteps.tolist(),
            "start": start.tolist(), "velocities": velocities.tolist(), "samples": samples}


def walk_given(name: str, sigmas: list[float]) -> dict[str, object]:
    """With a shift of 1, which leaves the levels as they are."""
    solver = scheduler(1.0) if name == "unipc" else FlowMatchEulerDiscreteScheduler(shift=1.0)
    solver.set_timesteps(sigmas=numpy.array(sigmas))
    start = sample = torch.randn(8)
    velocities, samples = torch.randn(len(sigmas), 8), []
    for velocity, timestep in zip(velocities, solver.timesteps):
        sample = solver.step(velocity[None, :, None], timestep, sample[None, :, None]).prev_sample[0, :, 0]
        samples.append(sample.tolist())
    return {"sampler": name, "given": sigmas, "sigmas": solver.sigmas.tolist(), "timesteps": solver.timesteps.tolist(),
            "start": start.tolist(), "velocities": velocities.tolist(), "samples": samples}


def loop(folder: Path) -> torch.Tensor:
    source = folder / "tiny" / "transformer"
    model = WanTransformer3DModel.from_config(json.loads((source / "config.json").read_text()))
    model.load_state_dict(load_file(source / "diffusion_pytorch_model.safetensors"))
    given = load_file(folder / "tiny" / "reference.safetensors")
    texts = torch.zeros(2, TEXT_LENGTH, model.config.text_dim)
    for text, name in zip(texts, ("transformer.text", "transformer.negative_text")):
        text[:given[name].shape[0]] = given[name]
    solver = scheduler(3.0)
    solver.set_timesteps(20)
    sample = given["transformer.latent"][None]
    for timestep in solver.timesteps:
        positive, negative = (model(sample, timestep.float().expand(1), text[None]).sample for text in texts)
        sample = solver.step(negative + GUIDANCE * (positive - negative), timestep, sample).prev_sample
    return sample[0]


def main(folder: Path) -> None:
    torch.manual_seed(5)
    torch.set_grad_enabled(False)
    target = folder / "samplers"
    target.mkdir(exist_ok=True)
    rows = [walk(*row) for row in ((1, 3.0, 0), (2, 1.0, 0), (4, 3.0, 0), (20, 3.0, 0), (20, 5.0, 7), (15, 8.0, 13), (50, 5.0, 0))]
    (target / "unipc.json").write_text("[" + ",\n".join(json.dumps(row) for row in rows) + "]\n")
    levels = ([1.0], [1.0, 0.9375, 0.8333, 0.625], [1.0, 0.757, 0.522], [0.9, 0.71, 0.5, 0.33, 0.2, 0.1])
    given = [walk_given(name, row) for name in ("unipc", "euler") for row in levels]
    (target / "given.json").write_text("[" + ",\n".join(json.dumps(row) for row in given) + "]\n")
    save_file({"unipc": loop(folder)}, target / "loop.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
