"""From a model file back to checkpoints, so that anyone can train a shipped model on.

    python -m sorad_mini.from_model --model sorad-mini.gguf --work DIR

Needs WORK/tokenizer (the `tokenizer` stage makes it) with the model's own pieces. Writes WORK/autoencoder.pt, whose
encoder has the very bits that made the model's latents, their statistics, WORK/cascade.pt where the model has one, and
WORK/shipped.pt for `train_transformer --warm-start`. Int8 weights come back as floats, up to 1.5 % of a layer's output away from what was
trained. The layouts undone here are those of docs/MODEL_FILE.md.
"""
from __future__ import annotations

import argparse
import json
import math
import re
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from gguf import GGUFReader
from torch import Tensor

from . import checkpoint, text_encoder
from .autoencoder import Autoencoder, AutoencoderConfig
from .tokenizer import Tokenizer
from .transformer import Transformer, TransformerConfig

TEXT_NAMES = (
    (r"^shared\.weight$|^encoder\.embed_tokens\.weight$", "te.token_embedding.weight"),
    (r"^encoder\.final_layer_norm\.", "te.final_norm."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.layer_norm\.", r"te.block.\1.attn_norm."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.layer_norm\.", r"te.block.\1.ffn_norm."),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.relative_attention_bias\.weight$",
     r"te.block.\1.attn.relative_bias"),
    (r"^encoder\.block\.(\d+)\.layer\.0\.SelfAttention\.", r"te.block.\1.attn."),
    (r"^encoder\.block\.(\d+)\.layer\.1\.DenseReluDense\.", r"te.block.\1.ffn."),
)


def hadamard(size: int) -> np.ndarray:
    """The orthogonal symmetric matrix [size, size] of docs/MODEL_FILE.md; size is a power of four."""
    root = np.array([[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]]) / 2
    matrix = np.ones((1, 1))
    for _ in range(round(math.log(size, 4))):
        matrix = np.kron(matrix, root)
    return matrix


class ModelFile:
    def __init__(self, path: Path) -> None:
        self.reader = GGUFReader(path)
        self.tensors = {t.name: t for t in self.reader.tensors}

    def value(self, key: str):
        field = self.reader.get_field(key)
        if field is None:
            raise SystemExit(f"the model file has no key {key}: is it a sorad model?")
        return field.contents()

    def array(self, name: str, shape: torch.Size) -> Tensor:
        """Tensor `name` as PyTorch's float32 of that shape, whatever its packing."""
        tensor = self.tensors[name]
        data = np.asarray(tensor.data)
        packed_int8 = data.dtype == np.int8
        if packed_int8 or (data.ndim == 3 and data.shape[-1] == 16 and len(shape) != 3):
            rows = np.moveaxis(data, 2 if packed_int8 else -1, 1).reshape(16 * data.shape[0], -1).astype(np.float32)
            columns = math.prod(shape[1:])
            rows = rows[:shape[0], :columns]
            if packed_int8:
                rows = rows * np.asarray(self.tensors[name + "_scale"].data)[:, None]
                group = self.reader.get_field("rotation." + name.removesuffix(".weight"))
                if group is not None:
                    turn = hadamard(group.contents())
                    rows = (rows.reshape(shape[0], -1, len(turn)) @ turn).reshape(rows.shape)
            if name.startswith(("vae.", "cascade.")):       # columns are (ky, kx, input channel)
                rows = rows.reshape(shape[0], shape[2], shape[3], shape[1]).transpose(0, 3, 1, 2)
            data = rows
        return torch.from_numpy(np.array(data, np.float32)).reshape(shape)

    def fill(self, module: torch.nn.Module, name_of) -> None:
        module.load_state_dict({k: self.array(name_of(k), v.shape) for k, v in module.state_dict().items()})


def text_name(name: str) -> str:
    for pattern, replacement in TEXT_NAMES:
        found, count = re.subn(pattern, replacement, name)
        if count:
            return found
    raise SystemExit(f"no tensor of the model file is known for {name}")


def load(file: ModelFile) -> tuple[Transformer, torch.nn.Module, Autoencoder]:
    fields = {k: file.value("dit." + k) for k in TransformerConfig.__dataclass_fields__}
    transformer = Transformer(TransformerConfig(**fields))
    file.fill(transformer, lambda k: "dit." + k)
    encoder = text_encoder.build(file.value("te.vocab_size"))
    file.fill(encoder, text_name)
    fields = {k: file.value("vae." + k) for k in AutoencoderConfig.__dataclass_fields__}
    autoencoder = Autoencoder(AutoencoderConfig(**{k: tuple(v) if isinstance(v, list) else v
                                                   for k, v in fields.items()}))
    file.fill(autoencoder, lambda k: "vae." + k)
    return transformer, encoder, autoencoder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    args = parser.parse_args()
    file = ModelFile(args.model)
    transformer, encoder, autoencoder = load(file)
    tokenizer = Tokenizer(args.work / "tokenizer")
    if [tokenizer.model.id_to_piece(i) for i in range(len(tokenizer))] != file.value("tokenizer.ggml.tokens"):
        raise SystemExit(f"{args.work}/tokenizer has other pieces than the model: make it with the model's sources.")
    weights = autoencoder.state_dict()
    checkpoint.save(args.work / "autoencoder.pt", dict(
        model=weights, ema=weights, config=asdict(autoencoder.config), optimizer=None, frozen=None,
        state=dict(step=0, clips=0.0, spent=0.0)))
    (args.work / "statistics.json").write_text(json.dumps(
        {"mean": file.value("vae.latents_mean"), "std": file.value("vae.latents_std")}))
    if "cascade.up.weight" in file.tensors:
        channels = file.value("vae.latent_channels")
        checkpoint.save(args.work / "cascade.pt", {
            name: {"weight": file.array(f"cascade.{name}.weight", torch.Size((out, into, 3, 3))),
                   "bias": file.array(f"cascade.{name}.bias", torch.Size((out,)))}
            for name, out, into in (("up", 4 * channels, channels), ("down", channels, 4 * channels))})
    both = {"text." + k: v for k, v in encoder.state_dict().items()}
    both.update({"transformer." + k: v for k, v in transformer.state_dict().items()})
    checkpoint.save(args.work / "shipped.pt", dict(model=both, ema=both, teachers=None, config=asdict(transformer.config)))


if __name__ == "__main__":
    main()
