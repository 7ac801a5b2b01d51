"""Writes small files of the formats in which checkpoints are spread, by the libraries that define them, and what they hold as floats.

    python quantization/reference/write_formats.py Tests/Fixtures/models/formats

gguf-py writes and decodes blocks.gguf, torch.save writes weights.pth, safetensors writes float8.safetensors; each has its numbers beside
it in NAME.expected.safetensors (float32). recipe.json has the versions used.
"""
from __future__ import annotations

import json
import platform
import sys
from collections import OrderedDict
from importlib.metadata import version
from pathlib import Path

import gguf
import numpy
import torch
from safetensors.numpy import save_file as save_arrays
from safetensors.torch import save_file

TYPES = "F32 F16 BF16 Q4_0 Q4_1 Q5_0 Q5_1 Q8_0 Q2_K Q3_K Q4_K Q5_K Q6_K IQ4_NL IQ4_XS".split()
# Where the half-precision scales of a block stand, so that random blocks hold finite numbers.
HALVES = {"Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2], "Q8_0": [0], "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2],
          "Q5_K": [0, 2], "Q6_K": [208], "IQ4_NL": [0], "IQ4_XS": [0]}


def write_blocks(folder: Path, random: numpy.random.Generator) -> None:
    writer = gguf.GGUFWriter(folder / "blocks.gguf", "wan")
    expected: dict[str, numpy.ndarray] = {}
    for name in TYPES:
        kind = gguf.GGMLQuantizationType[name]
        elements, size = gguf.GGML_QUANT_SIZES[kind]
        rows, blocks = 2, 1 if elements == 256 else 2
        if elements == 1:
            values = random.standard_normal((3, 5)).astype(numpy.float32)
            data = gguf.quants.quantize(values, kind)
        else:
            data = random.integers(0, 256, (rows, blocks * size), dtype=numpy.uint8)
            for start in range(0, blocks * size, size):
                for place in HALVES[name]:
                    halves = (random.standard_normal(rows) * 0.01).astype(numpy.float16)
                    data[:, start + place:start + place + 2] = halves.view(numpy.uint8).reshape(rows, 2)
        expected[name] = gguf.quants.dequantize(data, kind).astype(numpy.float32)
        writer.add_tensor(f"t.{name}", data, raw_dtype=kind if elements > 1 or name == "BF16" else None)
    # A kernel of five dimensions, and a tensor whose shape was noted because it had to be folded.
    kernel = random.standard_normal((2, 3, 1, 2, 2)).astype(numpy.float32)
    writer.add_tensor("kernel", kernel)
    expected["kernel"] = kernel
    folded = random.standard_normal((4, 6)).astype(numpy.float32)
    writer.add_array("comfy.gguf.orig_shape.folded", [2, 3, 4])
    writer.add_tensor("folded", folded)
    expected["folded"] = folded.reshape(2, 3, 4)
    writer.add_array("some.doubles", [1.5, 2.5])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_arrays(expected, folder / "blocks.expected.safetensors")


def write_torch(folder: Path) -> None:
    state = OrderedDict()
    state["blocks.0.weight"] = torch.randn(3, 4)
    state["blocks.0.bias"] = torch.randn(4, dtype=torch.float16)
    state["blocks.1.weight"] = torch.randn(2, 3, 1, 2, 2).bfloat16()
    # Two tensors in one storage, one of them in its middle.
    whole = torch.randn(6, 4)
    state["part"] = whole[2:4]
    state["whole"] = whole
    state["parameter"] = torch.nn.Parameter(torch.randn(5))
    state["quantized"] = torch.arange(-8, 8, dtype=torch.int8)
    state["alpha"] = torch.tensor(8)
    state["double"] = torch.randn(3, dtype=torch.float64)
    state["float8"] = torch.linspace(-3, 3, 16).to(torch.float8_e4m3fn)
    state["empty"] = torch.zeros(0, 3)
    state._metadata = OrderedDict(version=1)
    torch.save({"generator": state, "step": 12, "lr": 1e-4, "names": ["a", "b"], "done": True, "nothing": None}, folder / "weights.pth")
    expected = {f"generator.{name}": value.detach().to(torch.float32).clone().contiguous() for name, value in state.items()}
    save_file(expected, folder / "weights.expected.safetensors")


def write_float8(folder: Path) -> None:
    codes = torch.arange(256, dtype=torch.uint8)
    tensors = {"e4m3": codes.view(torch.float8_e4m3fn), "e5m2": codes.view(torch.float8_e5m2)}
    save_file({name: value.clone() for name, value in tensors.items()}, folder / "float8.safetensors", metadata={"format": "pt"})
    save_file({name: value.to(torch.float32) for name, value in tensors.items()}, folder / "float8.expected.safetensors")


def main(folder: Path) -> None:
    torch.manual_seed(21)
    folder.mkdir(parents=True, exist_ok=True)
    write_blocks(folder, numpy.random.default_rng(21))
    write_torch(folder)
    write_float8(folder)
    versions = {"python": platform.python_version(), **{name: version(name) for name in ("torch", "safetensors", "gguf", "numpy")}}
    recipe = {"command": f"python quantization/reference/write_formats.py {folder}", "versions": versions}
    (folder / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
