"""Writes small random checkpoints of models that start from pictures or have two transformers, and what diffusers makes of them.

    python quantization/reference/write_image_to_video.py Tests/Fixtures/models

Each folder holds transformer, transformer_2, image_encoder, image_processor and scheduler as diffusers and transformers save them, and
`reference.safetensors` with the inputs and results of their own pipelines in float32. The text embeddings are given; text encoder and
tokenizer are those of `tiny`, the autoencoder is that of `wan-vae/plain`.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers import (AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, UniPCMultistepScheduler, WanImageToVideoPipeline, WanPipeline,
                       WanTransformer3DModel)
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPImageProcessor, CLIPVisionConfig, CLIPVisionModel

from write_fixtures import randomise

SEED, STEPS, WIDTH, HEIGHT, FRAMES = 31, 4, 48, 32, 9
TEXT, LATENTS = 44, 10
MODELS = {
    "t2v-experts": dict(heads=2, head=16, ffn=60, layers=2, experts=0.875, low_guidance=3.0, scheduler="euler"),
    "i2v-experts": dict(heads=2, head=16, ffn=60, layers=1, channels=24, experts=0.9, low_guidance=4.0, scheduler="unipc"),
    "i2v-clip": dict(heads=3, head=12, ffn=50, layers=1, channels=24, scheduler="unipc",
                     clip=dict(hidden_size=24, num_attention_heads=2, intermediate_size=40, num_hidden_layers=3, image_size=28, patch_size=7,
                               hidden_act="gelu", projection_dim=8)),
    "flf2v-clip": dict(heads=2, head=18, ffn=54, layers=1, channels=24, scheduler="euler", last=True,
                       clip=dict(hidden_size=40, num_attention_heads=2, intermediate_size=36, num_hidden_layers=2, image_size=24, patch_size=8,
                                 hidden_act="quick_gelu", projection_dim=8)),
}
GUIDANCE = 4.0


def transformer(said: dict) -> WanTransformer3DModel:
    clip = said.get("clip")
    width = said["heads"] * said["head"]
    tokens = (clip["image_size"] // clip["patch_size"]) ** 2 + 1 if clip else 0
    model = WanTransformer3DModel(
        patch_size=(1, 2, 2), num_layers=said["layers"], freq_dim=32, rope_max_seq_len=64, num_attention_heads=said["heads"],
        attention_head_dim=said["head"], ffn_dim=said["ffn"], in_channels=said.get("channels", LATENTS), out_channels=LATENTS, text_dim=TEXT,
        image_dim=clip["hidden_size"] if clip else None, added_kv_proj_dim=width if clip else None,
        pos_embed_seq_len=2 * tokens if said.get("last") else None).eval()
    randomise(model, gain=0.7)
    if said.get("last"):
        model.condition_embedder.image_embedder.pos_embed.copy_(0.5 * torch.randn(1, 2 * tokens, clip["hidden_size"]))
    return model


def picture() -> Image.Image:
    """Smooth, so that resampling it means something."""
    small = torch.randint(0, 256, (5, 7, 3), dtype=torch.uint8).numpy()
    return Image.fromarray(small).resize((WIDTH, HEIGHT), Image.BICUBIC)


def pixels(image: Image.Image) -> torch.Tensor:
    return torch.frombuffer(bytearray(image.tobytes()), dtype=torch.uint8).reshape(HEIGHT, WIDTH, 3).float()


@torch.no_grad()
def write(name: str, root: Path) -> None:
    torch.manual_seed(SEED)
    said, folder = MODELS[name], root / name
    clip, boundary = said.get("clip"), said.get("experts")
    text_length = 512 if clip else 32
    out: dict[str, torch.Tensor] = {}
    vae = AutoencoderKLWan.from_config(AutoencoderKLWan.load_config(root / "wan-vae" / "plain")).eval()
    vae.load_state_dict(load_file(root / "wan-vae" / "plain" / "diffusion_pytorch_model.safetensors"))
    scheduler = (FlowMatchEulerDiscreteScheduler(shift=3.0) if said["scheduler"] == "euler" else
                 UniPCMultistepScheduler(prediction_type="flow_prediction", use_flow_sigmas=True, flow_shift=3.0))
    parts = dict(transformer=transformer(said), transformer_2=transformer(said) if boundary else None)
    parts["transformer"].save_pretrained(folder / "transformer")
    if boundary:
        parts["transformer_2"].save_pretrained(folder / "transformer_2")
    scheduler.save_pretrained(folder / "scheduler")
    text, negative = torch.zeros(2, 1, text_length, TEXT)
    text[:, :9], negative[:, :3] = torch.randn(9, TEXT), torch.randn(3, TEXT)
    noise = torch.randn(1, LATENTS, (FRAMES - 1) // 4 + 1, HEIGHT // 8, WIDTH // 8)
    out |= {"text": text[0, :9], "negative": negative[0, :3], "noise": noise[0]}
    call = dict(height=HEIGHT, width=WIDTH, num_frames=FRAMES, num_inference_steps=STEPS, guidance_scale=GUIDANCE, latents=noise.clone(),
                prompt_embeds=text, negative_prompt_embeds=negative, output_type="latent")
    if boundary:
        call["guidance_scale_2"] = said["low_guidance"]
    if "channels" in said:
        encoder = processor = None
        if clip:
            encoder = CLIPVisionModel(CLIPVisionConfig(**clip)).eval()
            randomise(encoder, gain=0.9)
            encoder.save_pretrained(folder / "image_encoder")
            size = clip["image_size"]
            processor = CLIPImageProcessor(size={"shortest_edge": size}, crop_size={"height": size, "width": size})
            processor.save_pretrained(folder / "image_processor")
        pipe = WanImageToVideoPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, image_processor=processor,
                                       image_encoder=encoder, boundary_ratio=boundary, **parts)
        call["image"] = picture()
        out["first"] = pixels(call["image"])
        if said.get("last"):
            call["last_image"] = picture()
            out["last"] = pixels(call["last_image"])
        if clip:
            given = [call["image"]] + ([call["last_image"]] if said.get("last") else [])
            out["pictures"] = pipe.encode_image(given).reshape(-1, clip["hidden_size"])
        prepared = [pipe.video_processor.preprocess(call[key], height=HEIGHT, width=WIDTH) for key in ("image", "last_image") if key in call]
        out["condition"] = pipe.prepare_latents(prepared[0], 1, LATENTS, HEIGHT, WIDTH, FRAMES, torch.float32, torch.device("cpu"), None,
                                                noise.clone(), *prepared[1:])[1][0]
        kind = "WanImageToVideoPipeline"
    else:
        pipe = WanPipeline(tokenizer=None, text_encoder=None, vae=vae, scheduler=scheduler, boundary_ratio=boundary, **parts)
        kind = "WanPipeline"
    pipe.set_progress_bar_config(disable=True)
    seen = torch.cat([noise, out["condition"][None]], 1) if "condition" in out else noise
    for key, model in parts.items():
        if model is not None:
            images = out["pictures"].reshape(2 if said.get("last") else 1, -1, clip["hidden_size"]) if clip else None
            out[f"{key}.output"] = model(seen, torch.tensor([700.25]), text, images).sample[0]
    out["latents"] = pipe(**call).frames[0]
    index = dict(_class_name=kind, boundary_ratio=boundary, transformer_2=["diffusers", "WanTransformer3DModel"] if boundary else [None, None])
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    card = dict(name=name, license="Apache-2.0", width=WIDTH, height=HEIGHT, num_frames=FRAMES, fps=8, num_inference_steps=STEPS,
                guidance_scale=GUIDANCE, flow_shift=3.0, text_length=text_length)
    if boundary:
        card["low_noise_guidance"] = (said["low_guidance"] - 1) / (GUIDANCE - 1)
    (folder / "sorad.json").write_text(json.dumps(card, indent=2) + "\n")
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "reference.safetensors")


def main() -> None:
    torch.set_num_threads(1)
    for name in MODELS:
        write(name, Path(sys.argv[1]))


if __name__ == "__main__":
    main()
