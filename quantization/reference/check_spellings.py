"""Converts one small random checkpoint in every spelling that the field has, and requires the same model.

    python quantization/reference/check_spellings.py .build/release/sorad-quantize [names] [tokenizer] [gguf] [scales]

diffusers and transformers make the checkpoint; safetensors, torch.save and gguf-py write it out again under other names, in other formats
and other number types. A spelling is right when the model file has the very tensors, byte for byte, that the diffusers folder with the same
numbers gives. Prints a line for each and fails at the first that differs. Without a group of spellings, all are checked.
"""
from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy
import sentencepiece
import torch
from diffusers import AutoencoderKLWan, FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from write_fixtures import randomise, train_tokenizer

State = dict[str, Tensor]

TRANSFORMER = [("condition_embedder.time_embedder.linear_1", "time_embedding.0"), ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
               ("condition_embedder.text_embedder.linear_1", "text_embedding.0"), ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
               ("condition_embedder.time_proj", "time_projection.1"), ("proj_out", "head.head"), (".attn1.", ".self_attn."), (".attn2.", ".cross_attn."),
               (".to_q.", ".q."), (".to_k.", ".k."), (".to_v.", ".v."), (".to_out.0.", ".o."), (".ffn.net.0.proj.", ".ffn.0."),
               (".ffn.net.2.", ".ffn.2."), (".norm2.", ".norm3."), (".scale_shift_table", ".modulation")]
TEXT = [("encoder.final_layer_norm", "norm"), ("encoder.block.", "blocks."), (".layer.0.layer_norm", ".norm1"), (".layer.1.layer_norm", ".norm2"),
        (".layer.0.SelfAttention.relative_attention_bias", ".pos_embedding.embedding"), (".layer.0.SelfAttention.", ".attn."),
        (".layer.1.DenseReluDense.wi_0", ".ffn.gate.0"), (".layer.1.DenseReluDense.wi_1", ".ffn.fc1"), (".layer.1.DenseReluDense.wo", ".ffn.fc2"),
        ("shared", "token_embedding")]
GGUF_TEXT = [("encoder.final_layer_norm", "enc.output_norm"), ("encoder.block.", "enc.blk."), (".layer.0.layer_norm", ".attn_norm"),
             (".layer.1.layer_norm", ".ffn_norm"), (".layer.0.SelfAttention.relative_attention_bias", ".attn_rel_b"),
             (".layer.0.SelfAttention.", ".attn_"), (".layer.1.DenseReluDense.wi_0", ".ffn_gate"), (".layer.1.DenseReluDense.wi_1", ".ffn_up"),
             (".layer.1.DenseReluDense.wo", ".ffn_down"), ("shared", "token_embd")]


def renamed(state: State, rules: list[tuple[str, str]]) -> State:
    result: State = {}
    for name, value in state.items():
        for theirs, ours in rules:
            name = name.replace(theirs, ours)
        result["head.modulation" if name == "scale_shift_table" else name] = value
    return result


def original_vae(state: State) -> State:
    """diffusers' names of the 2.1 autoencoder, undone as scripts/convert_wan_to_diffusers.py makes them."""
    result: State = {}
    for name, value in state.items():
        for half in ("encoder", "decoder"):
            for ours, theirs in (("conv_in", "conv1"), ("norm_out", "head.0"), ("conv_out", "head.2"), ("mid_block.resnets.0", "middle.0"),
                                 ("mid_block.resnets.1", "middle.2"), ("mid_block.attentions.0", "middle.1"), ("down_blocks", "downsamples")):
                name = name.replace(f"{half}.{ours}.", f"{half}.{theirs}.")
        for level in range(4):
            for block in range(3):
                name = name.replace(f"decoder.up_blocks.{level}.resnets.{block}.", f"decoder.upsamples.{4 * level + block}.")
            name = name.replace(f"decoder.up_blocks.{level}.upsamplers.0.", f"decoder.upsamples.{4 * level + 3}.")
        for ours, theirs in (("norm1", "residual.0"), ("conv1", "residual.2"), ("norm2", "residual.3"), ("conv2", "residual.6"), ("conv_shortcut", "shortcut")):
            if name.split(".")[1] in ("downsamples", "upsamples", "middle"):
                name = name.replace(f".{ours}.", f".{theirs}.")
        name = {"quant_conv": "conv1", "post_quant_conv": "conv2"}.get(name.split(".")[0], name.split(".")[0]) + name[name.index("."):]
        result[name] = value
    return result


def make(folder: Path) -> None:
    """The checkpoint: sizes that 256-element blocks divide, in bfloat16 numbers, so that half of the formats are lossless."""
    torch.manual_seed(3)
    vocabulary = train_tokenizer(folder / "tokenizer", "nmt_nfkc")
    transformer = WanTransformer3DModel(num_attention_heads=2, attention_head_dim=128, ffn_dim=512, in_channels=16, out_channels=16, text_dim=256,
                                        freq_dim=256, num_layers=2)
    text = UMT5EncoderModel(UMT5Config(vocab_size=vocabulary, d_model=256, d_kv=64, num_heads=4, d_ff=512, num_layers=2, feed_forward_proj="gated-gelu"))
    vae = AutoencoderKLWan(base_dim=8)
    for module in (transformer, text, vae):
        randomise(module, 1)
        module.to(torch.bfloat16).to(torch.float32)
    transformer.save_pretrained(folder / "transformer")
    text.save_pretrained(folder / "text_encoder")
    vae.save_pretrained(folder / "vae")
    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    (folder / "model_index.json").write_text('{"_class_name": "WanPipeline"}\n')


class Checker:
    def __init__(self, program: Path, folder: Path) -> None:
        self.program, self.folder, self.base = program, folder, folder / "base"
        make(self.base)
        self.state = {part: load_file(next((self.base / part).glob("*.safetensors"))) for part in ("transformer", "text_encoder", "vae")}
        self.state["text_encoder"].pop("encoder.embed_tokens.weight", None)
        # The same folder without weights, for parts that come from files.
        self.bare = folder / "bare"
        shutil.copytree(self.base, self.bare, ignore=shutil.ignore_patterns("*.safetensors"))

    def convert(self, *words: Path | str) -> Path:
        output = self.folder / "converted.gguf"
        done = subprocess.run([self.program, *words, "--name", "spelling", "--created", "0", "-o", output], capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"{' '.join(map(str, words))}: {done.stderr or done.stdout}")
        return output

    @staticmethod
    def tensors(path: Path) -> dict[str, bytes]:
        reader = gguf.GGUFReader(path)
        found = {tensor.name: bytes(tensor.data.tobytes()) for tensor in reader.tensors}
        for key, field in reader.fields.items():
            if key.split(".")[0] in ("dit", "te", "vae", "rotation", "tokenizer"):
                found[key] = str(field.contents()).encode()
        return found

    def expected(self, changed: dict[str, State] | None = None) -> dict[str, bytes]:
        """The model of the diffusers folder, with some parts' numbers replaced."""
        place = self.folder / "expected"
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.base, place)
        for part, state in (changed or {}).items():
            for file in (place / part).glob("*.safetensors"):
                file.unlink()
            save_file(state, place / part / "diffusion_pytorch_model.safetensors")
        return self.tensors(self.convert(place))

    def check(self, what: str, files: list[Path], expected: dict[str, bytes]) -> None:
        found = self.tensors(self.convert(self.bare, *files))
        different = [name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)]
        if different:
            sys.exit(f"{what}: {len(different)} of {len(expected)} entries differ, such as {sorted(different)[:5]}")
        print(f"{what}: the same {len(expected)} entries", flush=True)


def write_gguf(path: Path, state: State, kind: str, arch: str = "wan", extra=None) -> State:
    """Writes matrices as `kind`, the rest as F32; returns what the file holds as floats."""
    writer = gguf.GGUFWriter(path, arch)
    held: State = {}
    quantization = gguf.GGMLQuantizationType[kind]
    elements = gguf.GGML_QUANT_SIZES[quantization][0]
    for name, value in state.items():
        array = value.float().numpy()
        inner = array.ndim == 2 and array.shape[-1] % elements == 0 and not name.endswith(("modulation", "token_embd.weight", "attn_rel_b.weight"))
        used = quantization if inner else gguf.GGMLQuantizationType.F32
        data = gguf.quants.quantize(array, used)
        writer.add_tensor(name, data, raw_dtype=used)
        held[name] = torch.from_numpy(gguf.quants.dequantize(data, used).astype(numpy.float32).reshape(array.shape).copy())
    if extra:
        extra(writer)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return held


def fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """Number and value of each field of a protobuf message."""
    found, place = [], 0

    def varint() -> int:
        nonlocal place
        value = shift = 0
        while True:
            value |= (data[place] & 127) << shift
            shift += 7
            place += 1
            if data[place - 1] < 128:
                return value

    while place < len(data):
        tag = varint()
        if tag & 7 == 0:
            found.append((tag >> 3, varint()))
            continue
        size = {1: 8, 5: 4}.get(tag & 7) or varint()
        found.append((tag >> 3, data[place:place + size]))
        place += size
    return found


def normalizer(model: bytes) -> tuple[bytes, bool, bool]:
    """Of a SentencePiece model: precompiled_charsmap, add_dummy_prefix, remove_extra_whitespaces (sentencepiece_model.proto)."""
    spec = dict(fields(dict(fields(model))[3]))
    return spec.get(2, b""), bool(spec.get(3, 1)), bool(spec.get(4, 1))


def add_tokenizer(writer: gguf.GGUFWriter, path: Path, rows: int) -> None:
    """As llama.cpp's converter does for T5."""
    model = sentencepiece.SentencePieceProcessor(model_file=str(path))
    charsmap, prefix, extra = normalizer(path.read_bytes())
    tokens, scores, types = [], [], []
    for piece in range(model.vocab_size()):
        tokens.append(model.id_to_piece(piece).encode())
        scores.append(model.get_score(piece))
        types.append(2 if model.is_unknown(piece) else 3 if model.is_control(piece) else 5 if model.is_unused(piece) else 6 if model.is_byte(piece) else 1)
    for number in range(rows - len(tokens)):
        tokens.append(f"[PAD{number + 1}]".encode())
        scores.append(-1000.0)
        types.append(5)
    writer.add_tokenizer_model("t5")
    writer.add_tokenizer_pre("default")
    writer.add_token_list(tokens)
    writer.add_token_scores(scores)
    writer.add_token_types(types)
    writer.add_add_space_prefix(prefix)
    writer.add_remove_extra_whitespaces(extra)
    writer.add_precompiled_charsmap(charsmap)
    writer.add_eos_token_id(1)
    writer.add_unk_token_id(2)
    writer.add_pad_token_id(0)


def is_linear(name: str, value: Tensor) -> bool:
    return value.ndim == 2 and name.startswith("blocks.") and name.endswith(".weight")


def main(program: Path, folder: Path, groups: set[str]) -> None:
    c = Checker(program, folder)
    base = c.expected()
    original = {"transformer": renamed(c.state["transformer"], TRANSFORMER), "text_encoder": renamed(c.state["text_encoder"], TEXT),
                "vae": original_vae(c.state["vae"])}
    weights = folder / "weights"
    weights.mkdir(exist_ok=True)

    def safetensors(name: str, state: State, **metadata: str) -> Path:
        save_file({key: value.contiguous().clone() for key, value in state.items()}, weights / f"{name}.safetensors", metadata=metadata or None)
        return weights / f"{name}.safetensors"

    def saved(name: str, state) -> Path:
        torch.save(state, weights / name)
        return weights / name

    names = [safetensors(part, state) for part, state in original.items()]
    if "names" in groups:
        check_names(c, original, names, base, safetensors, saved)
    if "tokenizer" in groups:
        check_tokenizers(c, names, base, safetensors)
    if "gguf" in groups:
        check_gguf(c, original, names, base)
    if "scales" in groups:
        check_scales(c, original["transformer"], names, safetensors, saved)


def cast(state: State, dtype: torch.dtype) -> State:
    return {name: value.to(dtype) for name, value in state.items()}


def prefixed(state: State, prefix: str) -> State:
    return {prefix + name: value for name, value in state.items()}


def pieces(c: Checker) -> Tensor:
    return torch.frombuffer(bytearray((c.base / "tokenizer/spiece.model").read_bytes()), dtype=torch.uint8)


def check_names(c: Checker, original: dict[str, State], names: list[Path], base: dict[str, bytes], safetensors, saved) -> None:
    """Names, prefixes and containers."""
    c.check("original names, safetensors", names, base)
    c.check("diffusers names, safetensors", [safetensors(f"d-{part}", state) for part, state in c.state.items()], base)
    c.check("bfloat16", [safetensors(f"b-{part}", cast(state, torch.bfloat16)) for part, state in original.items()], base)
    c.check("torch.save", [saved(f"{part}.pth", state) for part, state in original.items()], base)
    c.check("torch.save of a trainer", [saved("t.pth", {"generator_ema": prefixed(original["transformer"], "model._fsdp_wrapped_module."),
                                                        "generator": prefixed(cast(original["transformer"], torch.float16), "model."), "step": 3}),
                                        *names[1:]], base)
    for prefix in ("model.diffusion_model.", "net.", "model."):
        c.check(f"prefix {prefix}", [safetensors("p", prefixed(original["transformer"], prefix)), *names[1:]], base)
    whole = prefixed(original["transformer"], "model.diffusion_model.") | prefixed(c.state["text_encoder"], "text_encoders.umt5xxl.transformer.") \
        | prefixed(original["vae"], "vae.")
    whole["text_encoders.umt5xxl.spiece_model"] = pieces(c)
    c.check("one file of everything", [safetensors("whole", whole)], base)


def check_tokenizers(c: Checker, names: list[Path], base: dict[str, bytes], safetensors) -> None:
    """The tokenizer of a tensor, and of GGUF keys: the folder has none then."""
    folder = c.folder
    tokenizer = c.bare / "tokenizer"
    tokenizer.rename(folder / "away")
    text = c.state["text_encoder"] | {"spiece_model": pieces(c)}
    c.check("tokenizer as a tensor", [names[0], safetensors("st", text), names[2]], base)
    keys = folder / "weights" / "keys.gguf"
    rows = c.state["text_encoder"]["shared.weight"].shape[0]
    write_gguf(keys, renamed(c.state["text_encoder"], GGUF_TEXT), "F32", "t5encoder", lambda writer: add_tokenizer(writer, folder / "away/spiece.model", rows))
    c.check("tokenizer as keys of GGUF", [names[0], keys, names[2]], base)
    (folder / "away").rename(tokenizer)


def check_gguf(c: Checker, original: dict[str, State], names: list[Path], base: dict[str, bytes]) -> None:
    """GGUF in the types that gguf-py can write; Tests/Fixtures/models/formats has blocks of the others."""
    weights = c.folder / "weights"
    for kind in ("F32", "F16", "BF16", "Q8_0", "Q5_1", "Q5_0", "Q4_1", "Q4_0"):
        dit = write_gguf(weights / "dit.gguf", original["transformer"], kind)
        t5 = write_gguf(weights / "t5.gguf", renamed(c.state["text_encoder"], GGUF_TEXT), kind, "t5encoder")
        back = {ours: dit[theirs] for ours, theirs in zip(c.state["transformer"], original["transformer"])}
        text = {ours: t5[theirs] for ours, theirs in zip(c.state["text_encoder"], t5)}
        expected = base if kind in ("F32", "BF16") else c.expected({"transformer": back, "text_encoder": text})
        c.check(f"GGUF {kind}", [weights / "dit.gguf", weights / "t5.gguf", names[2]], expected)
    # stable-diffusion.cpp folds the kernel of five dimensions.
    folded = dict(original["transformer"])
    folded["patch_embedding.weight"] = folded["patch_embedding.weight"].reshape(-1, 1, 2, 2)
    folded = {name: value[0] if name.endswith("modulation") else value for name, value in folded.items()}
    write_gguf(weights / "folded.gguf", folded, "F32")
    c.check("GGUF with a folded kernel", [weights / "folded.gguf", *names[1:]], base)


def check_scales(c: Checker, original: State, names: list[Path], safetensors, saved) -> None:
    """8-bit weights with every spelling of their scales."""
    ours = dict(zip(original, c.state["transformer"]))

    def same(what: str, stored: State, plain: State, write=safetensors, **metadata: str) -> None:
        expected = c.expected({"transformer": {ours[name]: value for name, value in plain.items()}})
        c.check(what, [write("scaled" if write is safetensors else "scaled.pth", stored, **metadata), *names[1:]], expected)

    for dtype, most in ((torch.float8_e4m3fn, 448.0), (torch.float8_e5m2, 57344.0)):
        for spelling in ("scale_weight", "cast", "weight_scale", "weight_scale rows", "comfy_quant", "metadata")[:6 if most == 448 else 1]:
            stored, plain, layers = {}, {}, {}
            for name, value in original.items():
                stored[name] = plain[name] = value
                if not is_linear(name, value):
                    continue
                layer = name.removesuffix(".weight")
                by_row = spelling == "weight_scale rows"
                scale = torch.ones(()) if spelling == "cast" else (value.abs().amax(1, keepdim=True) if by_row else value.abs().max()) / most
                stored[name] = (value / scale).to(dtype)
                plain[name] = stored[name].float() * scale
                if spelling == "scale_weight":
                    stored[f"{layer}.scale_weight"], stored[f"{layer}.scale_input"] = scale.reshape(1), torch.ones(1)
                elif spelling != "cast":
                    stored[f"{layer}.weight_scale"] = scale
                    stored[f"{layer}.input_scale"] = torch.ones(())
                layers[layer] = {"format": "float8_e4m3fn" if most == 448 else "float8_e5m2"}
                if spelling == "comfy_quant":
                    stored[f"{layer}.comfy_quant"] = torch.frombuffer(bytearray(json.dumps(layers[layer]).encode()), dtype=torch.uint8)
            if spelling == "scale_weight":
                stored["scaled_fp8"] = torch.zeros(0 if most == 448 else 2, dtype=dtype)
            metadata = {"_quantization_metadata": json.dumps({"format_version": "1.0", "layers": layers})} if spelling == "metadata" else {}
            same(f"{dtype} with {spelling}", stored, plain, **metadata)

    def int8(value: Tensor) -> tuple[Tensor, Tensor]:
        scale = value.abs().amax(1, keepdim=True) / 127
        return (value / scale).round().clamp(-127, 127).to(torch.int8), scale

    stored, plain = {}, {}
    for name, value in original.items():
        stored[name] = plain[name] = value
        if is_linear(name, value):
            side = 128
            blocks = value.reshape(value.shape[0] // side, side, -1, side).permute(0, 2, 1, 3)
            scale = blocks.abs().amax((2, 3)) / 127
            codes = (blocks / scale[..., None, None]).round().to(torch.int8)
            layer = name.removesuffix("weight")
            del stored[name]
            stored[layer + "int8_weight"] = codes.permute(0, 2, 1, 3).reshape(value.shape).contiguous()
            stored[layer + "scale"] = scale
            plain[name] = (codes.float() * scale[..., None, None]).permute(0, 2, 1, 3).reshape(value.shape).contiguous()
    same("int8 with a scale per block, torch.save", stored, plain, write=saved)

    # The rest is taken as it is stored: codes and scales of the model file are those of the checkpoint.
    hadamard = torch.tensor([[1, 1, 1, -1], [1, 1, -1, 1], [1, -1, 1, 1], [-1, 1, 1, 1]], dtype=torch.float32) / 2
    rotation = hadamard
    while rotation.shape[0] < 256:
        rotation = torch.kron(rotation, hadamard)
    for rotated in (False, True):
        stored = dict(original)
        codes: State = {}
        for name, value in original.items():
            if not is_linear(name, value):
                continue
            layer = name.removesuffix(".weight")
            turned = (value.reshape(-1, 256) @ rotation).reshape(value.shape) if rotated else value
            stored[name], scale = int8(turned)
            stored[f"{layer}.weight_scale"] = scale
            codes[ours[name]] = stored[name]
            if rotated:
                said = {"format": "int8_tensorwise", "convrot": True, "convrot_groupsize": 256}
                stored[f"{layer}.comfy_quant"] = torch.frombuffer(bytearray(json.dumps(said).encode()), dtype=torch.uint8)
        found = c.tensors(c.convert(c.bare, safetensors("int8", stored), *names[1:]))
        same_codes = 0
        for name, value in codes.items():
            n, k = value.shape
            packed = value.reshape(n // 16, 16, k // 4, 4).permute(0, 2, 1, 3).contiguous().numpy().tobytes()
            if (f"rotation.dit.{name.removesuffix('.weight')}" in found) == rotated and found[f"dit.{name}"] == packed:
                same_codes += 1
        print(f"int8 rows{', ConvRot' if rotated else ''}: {same_codes} of {len(codes)} layers as they are stored", flush=True)
        if same_codes < (len(codes) if rotated else len(codes) // 2):
            sys.exit("too few")


if __name__ == "__main__":
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as scratch:
        main(Path(sys.argv[1]).resolve(), Path(scratch), set(sys.argv[2:]) or {"names", "tokenizer", "gguf", "scales"})
