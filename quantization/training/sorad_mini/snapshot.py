"""The state of a training as a few small files, so that it can be carried to another machine and continued there.

    python -m sorad_mini.snapshot save --work DIR --state quantization/training/state
    python -m sorad_mini.snapshot restore --work DIR --state quantization/training/state

Weights in float16 (the autoencoder's encoder is used in float16 anyway, see `cache.load_trained`, so latents stay the
same bits), without the optimizers' moments, which come back within some hundred steps. Files of at most PART bytes.
"""
from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from . import checkpoint

PART = 15 << 20
# file of WORK, what of it is kept
KEPT = {"autoencoder.pt": ("ema",), "text_encoder.pt": ("model",), "transformer.pt": ("ema", "teachers"),
        "distilled.pt": ("ema",)}
PLAIN = ("statistics.json", "encoder.sha256")


def write_parts(state: Path, tensors: dict[str, Tensor]) -> None:
    part: dict[str, Tensor] = {}
    number = size = 0
    for name, tensor in tensors.items():
        kept = tensor.half().contiguous()
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
    facts: dict = {}
    for file, keys in KEPT.items():
        stored = checkpoint.load(work / file)
        if stored is None:
            continue
        facts[file] = {k: stored[k] for k in ("state", "config", "schedule") if k in stored}
        for key in keys:
            tensors.update({f"{file}/{key}/{name}": value for name, value in stored[key].items()})
    write_parts(state, tensors)
    (state / "facts.json").write_text(json.dumps(facts, indent=1) + "\n")
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
    for file, facts in json.loads((state / "facts.json").read_text()).items():
        found: dict = dict(facts, optimizer=None, frozen=None)
        for key in KEPT[file]:
            start = f"{file}/{key}/"
            found[key] = {name[len(start):]: value.float() for name, value in tensors.items() if name.startswith(start)}
        found.setdefault("model", found.get("ema"))
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
