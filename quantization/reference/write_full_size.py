"""Writes Wan 2.1 T2V 1.3B with UMT5-XXL in its published layout and sizes, with random weights: to measure conversion, memory and time.

    python quantization/reference/write_full_size.py FOLDER            # 14.7 GB; taew2_1.safetensors next to it
    python quantization/reference/write_full_size.py FOLDER --outliers  # the text encoder again, with planted outliers

Names and shapes are those of diffusers' and transformers' modules, deviations those of transformers' initialization for the text encoder
and 1/sqrt(inputs) elsewhere. Transformer and text encoder are bfloat16, the autoencoder is float32. Numbers come from one long list of
normal numbers, which every tensor reads from a place of its own.
"""
from __future__ import annotations

import argparse
import json
import math
import struct
from pathlib import Path
from typing import Callable

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from safetensors.torch import save_file
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from taehv_reference import ReferenceTAEHV

SHARD_BYTES = 5_000_000_000
PIECES, ROWS = 256_300, 256_384
TYPES = {torch.bfloat16: "BF16", torch.float32: "F32"}
TRANSFORMER = dict(
    patch_size=(1, 2, 2), num_attention_heads=12, attention_head_dim=128, in_channels=16, out_channels=16, text_dim=4096, freq_dim=256,
    ffn_dim=8960, num_layers=30, cross_attn_norm=True, qk_norm="rms_norm_across_heads", eps=1e-6, rope_max_seq_len=1024)
TEXT = dict(
    d_model=4096, d_kv=64, num_heads=64, d_ff=10240, num_layers=24, vocab_size=ROWS, relative_attention_num_buckets=32,
    relative_attention_max_distance=128, feed_forward_proj="gated-gelu", layer_norm_epsilon=1e-6)
TAEW = dict(
    _class_name="AutoencoderTAEHV", image_channels=3, latent_channels=16, patch_size=1, encoder_channels=[64, 64, 64, 64],
    decoder_channels=[256, 128, 64, 64], encoder_padding="back", encoder_time_downscale=[True, True, False],
    decoder_time_upscale=[False, True, True], decoder_space_upscale=[True, True, True])
# Channels that --outliers makes 1000 times the others in the stream of the text encoder, as umT5 is known for.
HOT = [37, 511, 1024, 1700, 2901, 4000]


class Normals:
    """Standard normal numbers from a list that is repeated."""

    def __init__(self, count: int = 48_000_011) -> None:
        self.list = torch.randn(count, generator=torch.Generator().manual_seed(21))
        self.next = 0

    def take(self, count: int) -> Tensor:
        parts = []
        while count:
            part = self.list[self.next:self.next + count]
            parts.append(part)
            count -= len(part)
            self.next = (self.next + len(part)) % len(self.list)
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def deviation(name: str, shape: torch.Size) -> tuple[float, float]:
    """Mean and deviation of a tensor."""
    if len(shape) == 1 or math.prod(shape) == max(shape):
        return (0, 0.02) if name.endswith("bias") else (1, 0.1)
    if "scale_shift_table" in name:
        return 0, shape[-1] ** -0.5
    if "shared" in name or "embed_tokens" in name:
        return 0, 1
    if "relative_attention_bias" in name:
        return 0, TEXT["d_model"] ** -0.5
    if "SelfAttention.q" in name:
        return 0, (TEXT["d_model"] * TEXT["d_kv"]) ** -0.5
    return 0, math.prod(shape[1:]) ** -0.5


def plant(name: str, values: Tensor) -> Tensor:
    """Writes a few channels 1000 times as large into the stream by its first layers, and damps them before every layer."""
    if name.endswith("layer_norm.weight") and "final" not in name:
        values[HOT] = 0.05
    layer = name.split(".")[2] if name.startswith("encoder.block.") else ""
    if name.endswith("DenseReluDense.wo.weight") and layer in ("0", "1", "2"):
        values[HOT] *= 1000 / 3
    return values


def write(folder: Path, stem: str, shapes: dict[str, torch.Size], dtype: torch.dtype, normals: Normals,
          change: Callable[[str, Tensor], Tensor] = lambda _, values: values) -> None:
    """Shards as the hub has them, with an index; no more than one tensor's piece in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    size = torch.empty(0, dtype=dtype).element_size()
    shards: list[list[str]] = [[]]
    filled = 0
    for name, shape in shapes.items():
        count = math.prod(shape) * size
        if filled and filled + count > SHARD_BYTES:
            shards.append([])
            filled = 0
        shards[-1].append(name)
        filled += count
    index: dict[str, str] = {}
    for number, names in enumerate(shards, 1):
        file = f"{stem}-{number:05}-of-{len(shards):05}.safetensors" if len(shards) > 1 else f"{stem}.safetensors"
        header: dict = {"__metadata__": {"format": "pt"}}
        offset = 0
        for name in names:
            end = offset + math.prod(shapes[name]) * size
            header[name] = {"dtype": TYPES[dtype], "shape": list(shapes[name]), "data_offsets": [offset, end]}
            index[name], offset = file, end
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        with open(folder / file, "wb") as out:
            out.write(struct.pack("<Q", len(text)) + text)
            for name in names:
                mean, spread = deviation(name, shapes[name])
                rows = shapes[name][0]
                step = rows if change(name, torch.ones(rows)).ne(1).any() else max(1, 16_000_000 // math.prod(shapes[name][1:]))
                for first in range(0, rows, step):
                    part = [min(step, rows - first), *shapes[name][1:]]
                    values = normals.take(math.prod(part)).reshape(part) * spread + mean
                    out.write(change(name, values).to(dtype).contiguous().view(torch.uint8).numpy().data)
    if len(shards) > 1:
        (folder / f"{stem}.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))


def shapes(module: torch.nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items() if name != "encoder.embed_tokens.weight"}


def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def tokenizer(path: Path) -> None:
    """A SentencePiece unigram model as large as umT5's: its special pieces, bytes, some words, made-up ones."""
    words = "a the red blue green yellow ball box ring cylinder rolls falls bounces spins on in into to left right grass sea snow room at".split()
    letters = "abcdefghijklmnopqrstuvwxyz0123456789,.!?-"
    pieces: list[tuple[str, float, int]] = [("<pad>", 0, 3), ("</s>", 0, 3), ("<unk>", 0, 2)]
    pieces += [(f"<0x{byte:02X}>", 0, 6) for byte in range(256)]
    pieces += [("▁", -3.0, 1)] + [(letter, -12.0, 1) for letter in letters] + [(f"▁{word}", -6.0, 1) for word in words]
    pieces += [(f"▁made{number}up", -15.0, 1) for number in range(PIECES - len(pieces))]
    bodies = []
    for text, score, kind in pieces:
        encoded = text.encode()
        body = b"\x0a" + varint(len(encoded)) + encoded + b"\x15" + struct.pack("<f", score) + (b"\x18" + varint(kind) if kind != 1 else b"")
        bodies.append(b"\x0a" + varint(len(body)) + body)
    out = b"".join(bodies)
    trainer = b"\x18\x01" + field(35, 1) + field(40, 2) + field(41, (1 << 64) - 1) + field(42, 1) + field(43, 0)
    normalizer = b"\x0a\x08identity" + b"\x18\x01\x20\x01\x28\x01"
    out += b"\x12" + varint(len(trainer)) + trainer + b"\x1a" + varint(len(normalizer)) + normalizer
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out)


def field(number: int, value: int) -> bytes:
    return varint(number << 3) + varint(value)


def config(path: Path, content: dict) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--outliers", action="store_true")
    arguments = parser.parse_args()
    folder = arguments.folder
    torch.manual_seed(21)
    normals = Normals()
    with torch.device("meta"):
        text = shapes(UMT5EncoderModel(UMT5Config(**TEXT)))
        transformer = WanTransformer3DModel(**TRANSFORMER)
        autoencoder = AutoencoderKLWan()
    write(folder / "text_encoder", "model", text, torch.bfloat16, normals, *([plant] if arguments.outliers else []))
    config(folder / "text_encoder/config.json", {"architectures": ["UMT5EncoderModel"], "model_type": "umt5", **TEXT})
    if arguments.outliers:
        return
    tokenizer(folder / "tokenizer/spiece.model")
    write(folder / "transformer", "diffusion_pytorch_model", shapes(transformer), torch.bfloat16, normals)
    config(folder / "transformer/config.json", {"_class_name": "WanTransformer3DModel", **TRANSFORMER})
    write(folder / "vae", "diffusion_pytorch_model", shapes(autoencoder), torch.float32, normals)
    config(folder / "vae/config.json", {"_class_name": "AutoencoderKLWan", **dict(autoencoder.config)})
    config(folder / "scheduler/scheduler_config.json", {
        "_class_name": "UniPCMultistepScheduler", "flow_shift": 3.0, "num_train_timesteps": 1000, "prediction_type": "flow_prediction",
        "solver_order": 2, "solver_type": "bh2", "use_flow_sigmas": True, "final_sigmas_type": "zero", "lower_order_final": True,
        "predict_x0": True})
    config(folder / "model_index.json", {
        "_class_name": "WanPipeline", "scheduler": ["diffusers", "UniPCMultistepScheduler"],
        "text_encoder": ["transformers", "UMT5EncoderModel"], "tokenizer": ["transformers", "T5TokenizerFast"],
        "transformer": ["diffusers", "WanTransformer3DModel"], "vae": ["diffusers", "AutoencoderKLWan"]})
    tiny = ReferenceTAEHV(TAEW)
    halves = {name: (normals.take(math.prod(value.shape)).reshape(value.shape) * deviation(name, value.shape)[1]).half()
              for name, value in tiny.state_dict().items()}
    save_file({name: value.contiguous() for name, value in halves.items()}, folder.parent / "taew2_1.safetensors")


if __name__ == "__main__":
    main()
