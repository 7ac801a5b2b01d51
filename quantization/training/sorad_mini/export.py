"""Writes sorad-mini as a folder in diffusers' layout, ready for `sorad-quantize`, and reads such a folder.

    python -m sorad_mini.export --work DIR [--output DIR/export/sorad-mini] [--sizes 64x64 128x128 192x128 128x192]

Takes WORK/distilled.pt where there is one, else WORK/transformer.pt; with WORK/cascade.pt the model makes clips in two
sizes (`cascade`). With --sizes the model offers those alone: the ones that it
was trained at and at which the judge holds. Invariant: the folder appears under its name only
when it is complete; an older one of that name is replaced.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from . import caption_words, cascade, checkpoint
from .autoencoder import config_json, load_autoencoder
from .cache import load_trained
from .tokenizer import TEXT_LENGTH, Tokenizer
from .train_transformer import FLOW_SHIFT, GUIDANCE_SCALE, STEPS, Model
from .transformer import Transformer, TransformerConfig
from .world import FPS, FRAMES, HEIGHT, WIDTH

EDITION = 2


def recipe_hash() -> str:
    """SHA-256 over the recipe's own sources, in name order: the same sources make the same world and captions."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.iterdir()):
        if path.suffix in (".py", ".txt"):
            digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def write_json(path: Path, value: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2, sort_keys=False) + "\n", encoding="utf-8")


def write_weights(path: Path, module: torch.nn.Module | dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = module if isinstance(module, dict) else module.state_dict()
    save_file({k: v.detach().float().contiguous().clone() for k, v in state.items()}, path, {"format": "pt"})


def write_cascade(folder: Path, maps: dict, least_side: int = cascade.LEAST_SIDE) -> None:
    write_json(folder / "config.json", {
        "_class_name": "LatentCascade", "latent_channels": len(maps["down"]["bias"]), "refine_from": cascade.REFINE_FROM,
        "base_flow_shift": cascade.SHIFT, "least_side": least_side})
    write_weights(folder / "diffusion_pytorch_model.safetensors",
                  {f"{name}.{part}": value for name, map_ in maps.items() for part, value in map_.items()})


def write_folder(work: Path, folder: Path, sizes: list[str] | None = None) -> None:
    tokenizer = Tokenizer(work / "tokenizer")
    stored = checkpoint.load(work / "distilled.pt") or checkpoint.load(work / "transformer.pt")
    if stored is None:
        raise SystemExit(f"{work} holds no transformer: run sorad_mini.train_transformer first")
    schedule = stored.get("schedule") or dict(steps=STEPS, shift=FLOW_SHIFT, guidance=GUIDANCE_SCALE)
    shape = TransformerConfig(**stored["config"])
    model, autoencoder = Model(len(tokenizer), shape), load_trained(work)
    model.load_state_dict(stored["ema"])
    statistics = json.loads((work / "statistics.json").read_text())
    write_json(folder / "model_index.json", {
        "_class_name": "WanPipeline", "_diffusers_version": "0.42.1", "expand_timesteps": True,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"], "tokenizer": ["transformers", "PreTrainedTokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"], "vae": ["sorad", "AutoencoderFrameBlocks"]})
    write_json(folder / "scheduler" / "scheduler_config.json", {
        "_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.42.1",
        "num_train_timesteps": 1000, "shift": schedule["shift"], "use_dynamic_shifting": False})
    write_json(folder / "transformer" / "config.json", shape.to_json())
    write_weights(folder / "transformer" / "diffusion_pytorch_model.safetensors", model.transformer)
    write_json(folder / "vae" / "config.json", config_json(autoencoder.config, statistics["mean"], statistics["std"]))
    write_weights(folder / "vae" / "diffusion_pytorch_model.safetensors", autoencoder)
    model.text.config.architectures = ["UMT5EncoderModel"]
    write_json(folder / "text_encoder" / "config.json", model.text.config.to_dict())
    state = model.text.state_dict()
    if "shared.weight" in state:       # one embedding under two names: keep the first
        state.pop("encoder.embed_tokens.weight", None)
    write_weights(folder / "text_encoder" / "model.safetensors", state)
    if maps := cascade.load(work):
        write_cascade(folder / "cascade", maps)
    shutil.copytree(work / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    caption_words.write(folder / "tokenizer" / "words.txt", caption_words.captions())
    write_json(folder / "sorad.json", {
        "name": "sorad-mini", "edition": EDITION, "license": "Apache-2.0", "width": WIDTH, "height": HEIGHT,
        "num_frames": FRAMES, "fps": FPS, "text_length": TEXT_LENGTH, "num_inference_steps": schedule["steps"],
        "guidance_scale": schedule["guidance"], "flow_shift": schedule["shift"], "expand_timesteps": True,
        **({"sampler": "renoise"} if maps else {}),
        "recipe": "quantization/README.md", "recipe_sha256": recipe_hash(), "training": stored["state"],
        **({"sizes": sizes} if sizes else {})})


def load_exported(folder: Path) -> tuple:
    """(transformer, text encoder, tokenizer, autoencoder, latents_mean, latents_std, sorad.json) of a folder."""
    from transformers import UMT5EncoderModel
    said = json.loads((folder / "transformer" / "config.json").read_text())
    fields = TransformerConfig.__dataclass_fields__
    transformer = Transformer(TransformerConfig(**{k: v for k, v in said.items() if k in fields})).eval()
    transformer.load_state_dict(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))
    encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder").eval()
    return (transformer, encoder, Tokenizer(folder / "tokenizer"), *load_autoencoder(folder / "vae"),
            json.loads((folder / "sorad.json").read_text()))


def load_cascade(folder: Path) -> dict | None:
    """The maps of `cascade` in a folder; None where it has none."""
    path = folder / "cascade" / "diffusion_pytorch_model.safetensors"
    if not path.exists():
        return None
    weights = load_file(path)
    return {name: {part: weights[f"{name}.{part}"] for part in ("weight", "bias")} for name in ("up", "down")}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--sizes", nargs="*", metavar="WIDTHxHEIGHT")
    args = parser.parse_args()
    if args.sizes and f"{WIDTH}x{HEIGHT}" not in args.sizes:
        parser.error(f"--sizes must have the model's own size, {WIDTH}x{HEIGHT}")
    output = args.output or args.work / "export" / "sorad-mini"
    partial, old = (output.with_name(output.name + end) for end in (".partial", ".old"))
    shutil.rmtree(partial, ignore_errors=True)
    write_folder(args.work, partial, args.sizes)
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    partial.rename(output)
    shutil.rmtree(old, ignore_errors=True)
    print(output)


if __name__ == "__main__":
    main()
