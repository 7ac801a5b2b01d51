"""Writes sorad-mini as a folder in diffusers' layout, ready for `sorad-quantize`.

    python -m sorad_mini.export --work DIR [--output DIR/export/sorad-mini] [--random]

Invariant: the folder appears under its name only when it is complete; an older one of that name is replaced.
`--random` writes untrained weights of the same shapes, for building and testing an engine.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import save_file

from . import checkpoint, text_encoder
from .autoencoder import Autoencoder, AutoencoderConfig, config_json
from .tokenizer import TEXT_LENGTH, Tokenizer
from .transformer import Transformer, TransformerConfig
from .world import FPS, FRAMES, HEIGHT, WIDTH

EDITION = 1
FLOW_SHIFT = 2.0
STEPS = 24
GUIDANCE_SCALE = 4.0


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


def gather(work: Path, random: bool) -> dict:
    """Trained (or random) modules, latent statistics and facts about the training so far."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(work / "tokenizer")
    facts: dict = {"random": random}
    encoder = text_encoder.build(len(tokenizer))
    autoencoder, config = Autoencoder(), AutoencoderConfig()
    transformer, shape = Transformer(), TransformerConfig()
    mean, std = [0.0] * 48, [1.0] * 48
    if not random:
        stored = checkpoint.load(work / "autoencoder.pt")
        config = AutoencoderConfig(**stored["config"])
        autoencoder = Autoencoder(config)
        autoencoder.load_state_dict(stored["model"])
        facts["autoencoder"] = stored["state"]
        statistics = json.loads((work / "latents" / "statistics.json").read_text())
        mean, std = statistics["mean"], statistics["std"]
        stored = checkpoint.load(work / "transformer.pt")
        shape = TransformerConfig(**stored["config"])
        transformer = Transformer(shape)
        transformer.load_state_dict(stored["ema"])
        encoder.load_state_dict(stored["text_encoder_ema"])
        facts["transformer"] = stored["state"]
    return dict(encoder=encoder, autoencoder=autoencoder, config=config, transformer=transformer, shape=shape,
                mean=mean, std=std, facts=facts)


def write_folder(work: Path, folder: Path, parts: dict) -> None:
    shift = {"_class_name": "FlowMatchEulerDiscreteScheduler", "_diffusers_version": "0.42.1",
             "num_train_timesteps": 1000, "shift": FLOW_SHIFT, "use_dynamic_shifting": False}
    write_json(folder / "model_index.json", {
        "_class_name": "WanPipeline", "_diffusers_version": "0.42.1", "expand_timesteps": True,
        "scheduler": ["diffusers", "FlowMatchEulerDiscreteScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"], "tokenizer": ["transformers", "T5Tokenizer"],
        "transformer": ["diffusers", "WanTransformer3DModel"], "vae": ["sorad", "AutoencoderTAEHV"]})
    write_json(folder / "scheduler" / "scheduler_config.json", shift)
    write_json(folder / "transformer" / "config.json", parts["shape"].to_json())
    write_weights(folder / "transformer" / "diffusion_pytorch_model.safetensors", parts["transformer"])
    write_json(folder / "vae" / "config.json", config_json(parts["config"], parts["mean"], parts["std"]))
    write_weights(folder / "vae" / "diffusion_pytorch_model.safetensors", parts["autoencoder"])
    parts["encoder"].config.architectures = ["UMT5EncoderModel"]
    write_json(folder / "text_encoder" / "config.json", parts["encoder"].config.to_dict())
    state = parts["encoder"].state_dict()
    if "shared.weight" in state:       # one embedding under two names: keep the first
        state.pop("encoder.embed_tokens.weight", None)
    write_weights(folder / "text_encoder" / "model.safetensors", state)
    shutil.copytree(work / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    write_json(folder / "sorad.json", {
        "name": "sorad-mini", "edition": EDITION, "license": "Apache-2.0", "width": WIDTH, "height": HEIGHT,
        "num_frames": FRAMES, "fps": FPS, "text_length": TEXT_LENGTH, "num_inference_steps": STEPS,
        "guidance_scale": GUIDANCE_SCALE, "flow_shift": FLOW_SHIFT, "expand_timesteps": True,
        "recipe": "quantization/README.md", "recipe_sha256": recipe_hash(), "training": parts["facts"]})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--output", type=Path)
    parser.add_argument("--random", action="store_true")
    args = parser.parse_args()
    output = args.output or args.work / "export" / "sorad-mini"
    partial = output.with_name(output.name + ".partial")
    shutil.rmtree(partial, ignore_errors=True)
    write_folder(args.work, partial, gather(args.work, args.random))
    old = output.with_name(output.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if output.exists():
        output.rename(old)
    partial.rename(output)
    shutil.rmtree(old, ignore_errors=True)
    print(output)


if __name__ == "__main__":
    main()
