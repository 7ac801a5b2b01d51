"""Writes small random VACE checkpoints, and what diffusers' own pipeline makes of them.

    python quantization/reference/write_vace.py Tests/Fixtures/models

Each folder holds transformer and scheduler as diffusers saves them, the weights in bfloat16, and `reference.safetensors` with the inputs and
results of `WanVACEPipeline` in float32. The control clip and its mask follow from `pixel` and `is_new`, which
Tests/SoradModelTests/ControlModelTests.swift has too. The text embeddings are given; text encoder and tokenizer are those of `tiny`, the
autoencoder is that of `wan-vae/plain`.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy
import torch
from diffusers import (AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanVACEPipeline,
                       WanVACETransformer3DModel)
from PIL import Image
from safetensors.torch import load_file, save_file

from write_fixtures import randomise, save_bfloat16

SEED, STEPS, WIDTH, HEIGHT, FRAMES = 47, 4, 48, 32, 9
TEXT, LATENTS, SCALE, GUIDANCE = 44, 10, 8, 4.0
# clip: a control clip. mask: it changes in part. ends: first and last frame are given, the others grey. references: pictures before the clip.
MODELS = {
    "vace-mask": dict(heads=2, head=12, ffn=40, layers=2, vace=[0], scheduler="unipc", clip=True, mask=True, references=1, strength=1.0),
    "vace-clip": dict(heads=3, head=8, ffn=36, layers=3, vace=[0, 2], scheduler="euler", clip=True, references=0, strength=0.6),
    "vace-ends": dict(heads=2, head=14, ffn=44, layers=2, vace=[0, 1], scheduler="unipc", ends=True, references=2, strength=1.3),
}


def pixel(time: int, y: int, x: int, channel: int) -> int:
    return (5 * x + 3 * (channel + 1) * y + 17 * time + 60 * channel) % 256


def is_new(time: int, y: int, x: int) -> bool:
    return (x + 2 * time) // 5 % 2 == 0 or y < 3 + time


def frame(time: int) -> numpy.ndarray:
    return numpy.array([[[pixel(time, y, x, c) for c in range(3)] for x in range(WIDTH)] for y in range(HEIGHT)], dtype=numpy.uint8)


def mask_frame(time: int) -> Image.Image:
    return Image.fromarray(numpy.array([[255 * is_new(time, y, x) for x in range(WIDTH)] for y in range(HEIGHT)], dtype=numpy.uint8))


def conditions(said: dict) -> dict:
    """The arguments of the pipeline."""
    given: dict = {}
    if said.get("clip"):
        given["video"] = [Image.fromarray(frame(time)) for time in range(FRAMES)]
    if said.get("mask"):
        given["mask"] = [mask_frame(time) for time in range(FRAMES)]
    if said.get("ends"):
        # Exactly grey, which no picture of bytes is.
        video = torch.full((FRAMES, 3, HEIGHT, WIDTH), 0.5)
        mask = torch.ones(FRAMES, 3, HEIGHT, WIDTH)
        for time in (0, FRAMES - 1):
            video[time] = torch.from_numpy(frame(time)).permute(2, 0, 1) / 255
            mask[time] = 0
        given |= {"video": video[None], "mask": mask[None]}
    if said["references"]:
        given["reference_images"] = [Image.fromarray(frame(100 + index)) for index in range(said["references"])]
    return given


@torch.no_grad()
def write(name: str, root: Path) -> None:
    torch.manual_seed(SEED)
    said, folder = MODELS[name], root / name
    vae = AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(root / "wan-vae" / "plain")).eval()
    vae.load_state_dict(load_file(root / "wan-vae" / "plain" / "diffusion_pytorch_model.safetensors"))
    scheduler = (FlowMatchEulerDiscreteScheduler(shift=3.0) if said["scheduler"] == "euler" else
                 UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0))
    transformer = WanVACETransformer3DModel(
        patch_size=(1, 2, 2), num_layers=said["layers"], freq_dim=32, rope_max_seq_len=64, num_attention_heads=said["heads"],
        attention_head_dim=said["head"], ffn_dim=said["ffn"], in_channels=LATENTS, out_channels=LATENTS, text_dim=TEXT,
        vace_layers=said["vace"], vace_in_channels=2 * LATENTS + SCALE ** 2).eval()
    randomise(transformer, gain=0.7)
    save_bfloat16(transformer, folder / "transformer")
    scheduler.save_pretrained(folder / "scheduler")
    text, negative = torch.zeros(2, 1, 32, TEXT)
    text[:, :9], negative[:, :3] = torch.randn(9, TEXT), torch.randn(3, TEXT)
    noise = torch.randn(1, LATENTS, (FRAMES - 1) // 4 + 1 + said["references"], HEIGHT // SCALE, WIDTH // SCALE)
    out = {"text": text[0, :9], "negative": negative[0, :3], "noise": noise[0]}

    pipe = WanVACEPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, transformer=transformer)
    pipe.set_progress_bar_config(disable=True)
    given = conditions(said)
    video, mask, references = pipe.preprocess_conditions(
        given.get("video"), given.get("mask"), given.get("reference_images"), 1, HEIGHT, WIDTH, FRAMES, torch.float32, torch.device("cpu"))
    condition = torch.cat([pipe.prepare_video_latents(video, mask, references), pipe.prepare_masks(mask, references)], 1)
    out["condition"] = condition[0]
    scales = torch.full((len(said["vace"]),), said["strength"])
    out["output"] = transformer(noise, torch.tensor([700.25]), text, control_hidden_states=condition,
                                control_hidden_states_scale=scales).sample[0]
    out["latents"] = pipe(height=HEIGHT, width=WIDTH, num_frames=FRAMES, num_inference_steps=STEPS, guidance_scale=GUIDANCE,
                          latents=noise.clone(), prompt_embeds=text, negative_prompt_embeds=negative, output_type="latent",
                          conditioning_scale=said["strength"], **given).frames[0]
    (folder / "model_index.json").write_text(json.dumps(dict(_class_name="WanVACEPipeline", boundary_ratio=None), indent=2) + "\n")
    card = dict(name=name, license="Apache-2.0", width=WIDTH, height=HEIGHT, num_frames=FRAMES, fps=8, num_inference_steps=STEPS,
                guidance_scale=GUIDANCE, flow_shift=3.0, text_length=32)
    (folder / "sorad.json").write_text(json.dumps(card, indent=2) + "\n")
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "reference.safetensors")


def main() -> None:
    torch.set_num_threads(1)
    for name in MODELS:
        write(name, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
