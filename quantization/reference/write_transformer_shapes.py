"""Writes small random transformers of Wan's kinds in other shapes than the pipelines' fixtures, and what diffusers makes of one pass.

    python quantization/reference/write_transformer_shapes.py Tests/Fixtures/models

Patches of one and of nine latent pixels, odd grids, widths that no vector divides. Each folder shapes-NAME holds the transformer as diffusers
saves it, the weights in bfloat16, and `reference.safetensors` with the inputs and the result in float32; the other parts of a checkpoint
are those of the other fixtures. Tests/SoradModelTests/TransformerShapeTests.swift compares.
"""
from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel, WanVACETransformer3DModel
from safetensors.torch import save_file

from write_fixtures import randomise, save_bfloat16

SEED, TEXT, LATENTS, TOKENS, TEXT_LENGTH = 53, 44, 10, 7, 32
# diffusers takes what stands in front of the last 512 tokens for pictures.
LENGTH_WITH_PICTURES = 512
# size: frames, height and width of the latents. pictures: embeddings of given pictures and their width. known: latent frames at timestep 0.
MODELS: dict[str, dict] = {
    "t2v-1": dict(heads=1, head=26, ffn=46, layers=2, patch=1, size=(2, 3, 5)),
    "t2v-3": dict(heads=5, head=10, ffn=77, layers=1, patch=3, size=(3, 9, 6)),
    "ti2v-1": dict(heads=4, head=8, ffn=39, layers=2, patch=1, size=(3, 5, 3), known=1),
    "ti2v-3": dict(heads=3, head=14, ffn=51, layers=1, patch=3, size=(2, 6, 9), known=1),
    "ti2v-2": dict(heads=2, head=22, ffn=65, layers=1, patch=2, size=(4, 6, 10), known=2),
    "i2v-1": dict(heads=3, head=12, ffn=45, layers=1, patch=1, size=(3, 3, 7), channels=24),
    "i2v-3": dict(heads=2, head=18, ffn=61, layers=2, patch=3, size=(2, 3, 9), channels=24),
    "clip-1": dict(heads=5, head=6, ffn=33, layers=1, patch=1, size=(2, 5, 3), channels=24, pictures=(17, 24)),
    "clip-3": dict(heads=1, head=34, ffn=70, layers=1, patch=3, size=(3, 6, 3), channels=24, pictures=(17, 24)),
    "ends-1": dict(heads=4, head=10, ffn=54, layers=1, patch=1, size=(2, 3, 3), channels=24, pictures=(20, 40), positions=20),
    "ends-3": dict(heads=3, head=8, ffn=31, layers=2, patch=3, size=(3, 3, 6), channels=24, pictures=(20, 40), positions=20),
    "vace-1": dict(heads=3, head=10, ffn=47, layers=3, patch=1, size=(2, 5, 3), vace=[0, 2], strength=0.8),
    "vace-3": dict(heads=2, head=16, ffn=43, layers=2, patch=3, size=(2, 3, 6), vace=[0], strength=1.2),
}


@torch.no_grad()
def write(name: str, folder: Path) -> None:
    torch.manual_seed(SEED)
    said = MODELS[name]
    patch, (frames, height, width) = said["patch"], said["size"]
    tokens, image = said.get("pictures", (0, None))
    length = LENGTH_WITH_PICTURES if image else TEXT_LENGTH
    shape = dict(
        patch_size=(1, patch, patch), num_layers=said["layers"], freq_dim=32, rope_max_seq_len=64, num_attention_heads=said["heads"],
        attention_head_dim=said["head"], ffn_dim=said["ffn"], in_channels=said.get("channels", LATENTS), out_channels=LATENTS, text_dim=TEXT)
    if "vace" in said:
        transformer = WanVACETransformer3DModel(**shape, vace_layers=said["vace"], vace_in_channels=2 * LATENTS + 64).eval()
    else:
        transformer = WanTransformer3DModel(
            **shape, image_dim=image, added_kv_proj_dim=said["heads"] * said["head"] if image else None,
            pos_embed_seq_len=said.get("positions")).eval()
    randomise(transformer, gain=0.7)
    save_bfloat16(transformer, folder / "transformer")

    text = torch.zeros(1, length, TEXT)
    text[:, :TOKENS] = torch.randn(TOKENS, TEXT)
    latent = torch.randn(1, shape["in_channels"], frames, height, width)
    out = {"text": text[0, :TOKENS], "latent": latent[0]}
    timestep = torch.tensor([700.25])
    if "known" in said:
        inside = (height // patch) * (width // patch)
        timestep = torch.full((1, frames * inside), 700.25)
        timestep[:, :said["known"] * inside] = 0
    more: dict = {}
    if image:
        more["encoder_hidden_states_image"] = torch.randn(2 if "positions" in said else 1, tokens // (2 if "positions" in said else 1), image)
        out["pictures"] = more["encoder_hidden_states_image"].reshape(tokens, image)
    if "vace" in said:
        out["control"] = torch.randn(2 * LATENTS + 64, frames, height, width)
        more |= dict(control_hidden_states=out["control"][None],
                     control_hidden_states_scale=torch.full((len(said["vace"]),), said["strength"]))
    out["output"] = transformer(latent, timestep, text, **more).sample[0]
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "reference.safetensors")

    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    pipeline = "WanVACEPipeline" if "vace" in said else "WanPipeline" if latent.shape[1] == LATENTS else "WanImageToVideoPipeline"
    index = dict(_class_name=pipeline, boundary_ratio=None, expand_timesteps="known" in said)
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    side = 8 * patch
    card = dict(name=f"shapes-{name}", license="Apache-2.0", width=2 * side, height=2 * side, num_frames=9, fps=8, num_inference_steps=4,
                guidance_scale=4.0, flow_shift=3.0, text_length=length)
    (folder / "sorad.json").write_text(json.dumps(card, indent=2) + "\n")


def main() -> None:
    torch.set_num_threads(1)
    for name in MODELS:
        write(name, Path(sys.argv[1]) / f"shapes-{name}")


if __name__ == "__main__":
    main()
