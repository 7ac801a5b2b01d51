"""The state of a training as a few small files, so that it can be carried to another machine and continued there.

    python -m sorad_mini.snapshot save --work DIR --state quantization/training/state
    python -m sorad_mini.snapshot restore --work DIR --state quantization/training/state

Weights in float16 (the autoencoder's encoder is used in float16 anyway, see `cache.load_trained`, so latents stay the
same bits), the matrices of the transformer and the text encoder as int8 with a scale for each row, without the
optimizers' moments: both come back within some hundred steps. Equal tensors are kept once. Files of at most PART bytes.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import checkpoint

PART = 15 << 20
# file of WORK, what of it is kept
KEPT = {"autoencoder.pt": ("ema",), "text_encoder.pt": ("model",), "transformer.pt": ("ema", "teachers"),
        "distilled.pt": ("ema",), "upscaler.pt": ("ema",), "interpolator.pt": ("ema",), "cascade.pt": ("up", "down")}
PLAIN = ("statistics.json", "encoder.sha256")
COARSE = ("transformer.pt/ema/", "distilled.pt/ema/", "text_encoder.pt/model/encoder.")   # kept as int8
SCALE = ".row_scale"


def packed(tensors: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The tensors as they are kept, large first met first: int8 with scales where COARSE says so, float16 else."""
    for name, tensor in tensors.items():
        if not name.startswith(COARSE) or tensor.ndim < 2 or tensor.numel() < 4096:
            yield name, tensor.half().contiguous()
            continue
        rows = tensor.flatten(1)
        scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-8) / 127
        yield name, (rows / scale).round().to(torch.int8).view(tensor.shape)
        yield name + SCALE, scale.flatten()


def unpacked(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    out = {}
    for name, value in tensors.items():
        if not name.endswith(SCALE):
            scale = tensors.get(name + SCALE)
            out[name] = value.float() if scale is None else value.float() * scale.view(-1, *[1] * (value.ndim - 1))
    return out


def write_parts(state: Path, tensors: dict[str, Tensor]) -> None:
    part: dict[str, Tensor] = {}
    number = size = 0
    for name, kept in packed(tensors):
        if part and size + kept.nbytes > PART:
            save_file(part, state / f"weights-{number:02d}.safetensors")
            part, size, number = {}, 0, number + 1
        part[name] = kept.clone()
        size += kept.nbytes
    save_file(part, state / f"weights-{number:02d}.safetensors")


def save(work: Path, state: Path) -> None:
    shutil.rmtree(state, ignore_errors=True)
    state.mkdir(parents=True)
    tensors: dict[str, Tensor] = {}
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    facts: dict = {}
    # the text encoder comes before the transformer, whose copy is equal while it is not trained any further
    for file, keys in KEPT.items():
        stored = checkpoint.load(work / file)
        if stored is None:
            continue
        facts[file] = {k: stored[k] for k in ("state", "config", "schedule") if k in stored}
        for key in keys:
            for name, value in stored[key].items():
                path = f"{file}/{key}/{name}"
                digest = hashlib.sha256(repr(tuple(value.shape)).encode() + value.half().numpy().tobytes()).digest()
                kept = first.setdefault(digest, path)
                if kept == path or kept.startswith(COARSE) != path.startswith(COARSE):
                    tensors[path] = value
                else:
                    same[path] = kept
    write_parts(state, tensors)
    (state / "facts.json").write_text(json.dumps(dict(facts, same=same), indent=1) + "\n")
    shutil.copytree(work / "tokenizer", state / "tokenizer")
    for name in PLAIN:
        if (work / name).exists():
            shutil.copy(work / name, state / name)


def restore(work: Path, state: Path) -> None:
    if any((work / file).exists() for file in KEPT):
        raise SystemExit(f"{work} holds a training already: nothing was changed")
    work.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for path in sorted(state.glob("weights-*.safetensors")):
        tensors.update(load_file(path))
    tensors = unpacked(tensors)
    facts = json.loads((state / "facts.json").read_text())
    for path, kept in facts.pop("same").items():
        tensors[path] = tensors[kept]
    for file, known in facts.items():
        found: dict = dict(known)
        for key in KEPT[file]:
            start = f"{file}/{key}/"
            found[key] = {name[len(start):]: value for name, value in tensors.items() if name.startswith(start)}
        if "ema" in found or "model" in found:      # of a training, which goes on with a new optimizer
            found = {"model": found.get("ema"), "optimizer": None, "frozen": None} | found
        checkpoint.save(work / file, found)
    shutil.copytree(state / "tokenizer", work / "tokenizer", dirs_exist_ok=True)
    for name in PLAIN:
        if (state / name).exists():
            shutil.copy(state / name, work / name)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=("save", "restore"))
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--state", type=Path, required=True)
    args = parser.parse_args()
    (save if args.action == "save" else restore)(args.work, args.state)


if __name__ == "__main__":
    main()
