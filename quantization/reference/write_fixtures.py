"""Writes the small random checkpoints and reference tensors that the engine's tests compare with.

    python quantization/reference/write_fixtures.py Tests/Fixtures/models

Each fixture is a diffusers-style folder (transformer, text_encoder, tokenizer, vae, scheduler) plus `reference.safetensors` with
inputs and what diffusers, transformers and taehv_reference make of them in float32, and `recipe.json` with the versions used.
"""
from __future__ import annotations

import io
import json
import platform
import sys
from pathlib import Path

import diffusers
import numpy
import sentencepiece
import torch
import transformers
from diffusers import FlowMatchEulerDiscreteScheduler, WanTransformer3DModel
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import UMT5Config, UMT5EncoderModel

from taehv_reference import ReferenceTAEHV

SEED = 20
TEXT_LENGTH = 32

WIDTHS = {
    # Nothing a multiple of 16, the feed-forward width not even of 4: every tail of the packed layouts is exercised.
    "tiny": dict(
        transformer=dict(num_attention_heads=3, attention_head_dim=24, ffn_dim=150, in_channels=10, out_channels=10, text_dim=44),
        text=dict(d_model=44, d_kv=12, num_heads=3, d_ff=70, relative_attention_num_buckets=16, relative_attention_max_distance=24),
        vae=dict(latent_channels=10, patch_size=2, encoder_channels=[6, 8, 10, 12], decoder_channels=[20, 14, 10, 6], encoder_padding="front",
                 encoder_time_downscale=[True, True, False], decoder_time_upscale=[False, True, True]),
        normalisation="nmt_nfkc", expand_timesteps=True, latent_size=(4, 4, 8)),
    # Widths that Hadamard rotation accepts, and channels far larger than their neighbours.
    "tiny-outliers": dict(
        transformer=dict(num_attention_heads=2, attention_head_dim=32, ffn_dim=192, in_channels=16, out_channels=16, text_dim=64),
        text=dict(d_model=64, d_kv=32, num_heads=2, d_ff=128, relative_attention_num_buckets=32, relative_attention_max_distance=128),
        vae=dict(latent_channels=16, patch_size=1, encoder_channels=[8, 8, 16, 16], decoder_channels=[24, 16, 16, 8], encoder_padding="back",
                 encoder_time_downscale=[True, True, True], decoder_time_upscale=[True, True, True]),
        normalisation="identity", expand_timesteps=False, latent_size=(2, 8, 8)),
}


def train_tokenizer(folder: Path, normalisation: str) -> int:
    """A small unigram model with the mT5 special ids (pad 0, eos 1, unk 2) and byte fallback. Returns the vocabulary size."""
    things, colours = ["ball", "box", "cone", "ring", "cylinder"], ["red", "green", "blue", "white", "yellow"]
    moves = ["rolls left over the grass", "falls into the sea at night", "spins slowly in a room", "bounces across the snow"]
    lines = [f"a {colour} {thing} {move}" for colour in colours for thing in things for move in moves]
    lines += ["一个红色的球在草地上滚动", "一个蓝色的盒子从天上掉下来", "夜里的海"] * 10
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(lines), model_writer=model, model_type="unigram", vocab_size=400, byte_fallback=True,
        pad_id=0, eos_id=1, unk_id=2, bos_id=-1, hard_vocab_limit=False, normalization_rule_name=normalisation, minloglevel=2)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "spiece.model").write_bytes(model.getvalue())
    said = dict(tokenizer_class="T5Tokenizer", eos_token="</s>", pad_token="<pad>", unk_token="<unk>", extra_ids=0)
    (folder / "tokenizer_config.json").write_text(json.dumps(said, indent=2) + "\n")
    return sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).vocab_size()


def randomise(module: torch.nn.Module, gain: float) -> None:
    """Random weights that keep activations of order one, norms near one, biases that matter."""
    for name, parameter in module.named_parameters():
        with torch.no_grad():
            if parameter.ndim == 1 and "bias" not in name:
                parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
            elif parameter.ndim == 1:
                parameter.copy_(0.2 * torch.randn_like(parameter))
            elif "scale_shift_table" in name or "relative_attention_bias" in name:
                parameter.copy_(0.5 * torch.randn_like(parameter))
            elif "shared" in name or "embed_tokens" in name:
                parameter.copy_(torch.randn_like(parameter))
            else:
                fan_in = parameter[0].numel()
                parameter.copy_(gain * fan_in ** -0.5 * torch.randn_like(parameter))


@torch.no_grad()
def save_bfloat16(transformer: torch.nn.Module, folder: Path) -> None:
    """Rounds the weights and writes them as diffusers does, in bfloat16."""
    for parameter in transformer.parameters():
        parameter.copy_(parameter.bfloat16().float())
    transformer.save_pretrained(folder)
    weights = folder / "diffusion_pytorch_model.safetensors"
    save_file({key: value.bfloat16() for key, value in load_file(weights).items()}, weights, metadata={"format": "pt"})


def plant_outliers(transformer: WanTransformer3DModel) -> None:
    """A few input channels of every attention and feed-forward layer become far larger than the rest, as in trained checkpoints."""
    with torch.no_grad():
        for index, block in enumerate(transformer.blocks):
            block.scale_shift_table[0, 1, 5 + index] += 12    # scale before self-attention
            block.scale_shift_table[0, 4, 11 + index] -= 12   # scale before feed-forward
            block.norm2.weight[3 + index] += 12
            # What is large in the activations is small in the weights that read it, so the function stays tame.
            for linear in (block.attn1.to_q, block.attn1.to_k, block.attn1.to_v):
                linear.weight[:, 5 + index] /= 10
            block.attn2.to_q.weight[:, 3 + index] /= 10
            block.ffn.net[0].proj.weight[:, 11 + index] /= 10


def transformer_reference(model: WanTransformer3DModel, text_dim: int, size: tuple[int, int, int], out: dict[str, Tensor]) -> None:
    """One forward with a scalar timestep, one with per-token timesteps, and a guided sampler loop, with and without conditioning frames."""
    channels, (frames, height, width) = model.config.in_channels, size
    latent = torch.randn(1, channels, frames, height, width)
    text, negative = torch.zeros(2, 1, TEXT_LENGTH, text_dim)
    text[:, :9] = torch.randn(9, text_dim)
    negative[:, :3] = torch.randn(3, text_dim)
    tokens = (height // 2) * (width // 2)
    per_token = torch.full((1, frames * tokens), 700.25)
    per_token[:, :tokens] = 0
    out["transformer.latent"], out["transformer.text"], out["transformer.negative_text"] = latent[0], text[0, :9], negative[0, :3]
    out["transformer.timestep"] = torch.tensor([700.25])
    out["transformer.output"] = model(latent, torch.tensor([700.25]), text).sample[0]
    out["transformer.output_known"] = model(latent, per_token, text).sample[0]
    for name, known_frames in (("loop", 0), ("loop_known", 1)):
        scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
        scheduler.set_timesteps(4)
        known = torch.randn(1, channels, known_frames, height, width)
        sample = latent.clone()
        for step in scheduler.timesteps:
            sample[:, :, :known_frames] = known
            moment = step.expand(1, frames * tokens).clone()
            moment[:, : known_frames * tokens] = 0
            moment = moment if known_frames else step.expand(1)
            positive, unguided = model(sample, moment, text).sample, model(sample, moment, negative).sample
            velocity = unguided + 4.0 * (positive - unguided)
            sample = scheduler.step(velocity, step, sample, return_dict=False)[0]
        sample[:, :, :known_frames] = known
        out[f"transformer.{name}"] = sample[0]
        if known_frames:
            out["transformer.known"] = known[0]


def capture_linears(model: WanTransformer3DModel, out: dict[str, Tensor]) -> None:
    """Input and output of every attention and feed-forward linear during one forward, 32 rows each, for the int8 tests.

    Keys and values read what queries (or, across, keys) read, so those inputs are not stored twice.
    """
    hooks = []
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear) and name.startswith("blocks."):
            def keep(_module, inputs, output, name=name):
                out[f"linear.{name}.output"] = output[0].clone()
                if not name.endswith(("attn1.to_k", "attn1.to_v", "attn2.to_v")):
                    out[f"linear.{name}.input"] = inputs[0][0].clone()
            hooks.append(module.register_forward_hook(keep))
    text = torch.zeros(1, TEXT_LENGTH, model.config.text_dim)
    text[0, :9] = out["transformer.text"]
    model(out["transformer.latent"][None], out["transformer.timestep"], text)
    for hook in hooks:
        hook.remove()


def text_reference(model: UMT5EncoderModel, vocabulary: int, out: dict[str, Tensor]) -> None:
    """Encodings of several lengths, each computed inside a padded and masked batch as the published pipeline does."""
    for length in (1, 7, 61):
        ids = torch.randint(3, vocabulary, (1, length))
        ids[0, -1] = 1
        padded = torch.zeros(1, 64, dtype=torch.long)
        padded[:, :length] = ids
        mask = (torch.arange(64) < length).long()[None]
        out[f"text.{length}.ids"] = ids[0].float()
        out[f"text.{length}.output"] = model(padded, mask).last_hidden_state[0, :length]


def autoencoder_reference(model: ReferenceTAEHV, mean: Tensor, std: Tensor, out: dict[str, Tensor]) -> None:
    """Decodes of 1, 2 and 3 latent frames and encodes of several clip lengths, in normalised latents."""
    channels = model.config["latent_channels"]
    for frames in (1, 2, 3):
        latent = torch.randn(frames, channels, 2, 3)
        decoded = model.decode(latent * std[:, None, None] + mean[:, None, None])
        out[f"vae.{frames}.latent"], out[f"vae.{frames}.frames"] = latent.transpose(0, 1), decoded
    scale = 8 * model.config["patch_size"]
    for frames in (1, 5, 8):
        clip = torch.randint(0, 256, (frames, scale * 2, scale, 3), dtype=torch.uint8)
        encoded = model.encode(clip.permute(0, 3, 1, 2) / 255)
        out[f"vae.encode.{frames}.clip"] = clip.float()
        out[f"vae.encode.{frames}.latent"] = ((encoded - mean[:, None, None]) / std[:, None, None]).transpose(0, 1)


def scheduler_reference(path: Path) -> None:
    """Sigmas and timesteps of FlowMatchEulerDiscreteScheduler for several step counts and shifts."""
    rows = []
    for steps, shift in ((1, 1.0), (4, 1.0), (7, 3.0), (20, 5.0), (30, 8.0), (50, 0.5)):
        scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
        scheduler.set_timesteps(steps)
        rows.append(dict(steps=steps, shift=shift, sigmas=scheduler.sigmas.tolist(), timesteps=scheduler.timesteps.tolist()))
    path.write_text(json.dumps(rows) + "\n")


def bucket_reference(path: Path) -> None:
    """Relative position buckets of every distance within 512 tokens, for umT5's sizes and two odd ones."""
    rows = []
    for buckets, furthest in ((32, 128), (16, 24), (12, 100)):
        attention = UMT5EncoderModel(UMT5Config(vocab_size=8, d_model=8, d_kv=4, num_heads=2, d_ff=8, num_layers=1, relative_attention_num_buckets=buckets,
                                                relative_attention_max_distance=furthest)).encoder.block[0].layer[0].SelfAttention
        found = attention._relative_position_bucket(torch.arange(-511, 512))
        rows.append(dict(buckets=buckets, max_distance=furthest, first=-511, bucket=found.tolist()))
    path.write_text(json.dumps(rows) + "\n")


def write_fixture(name: str, folder: Path) -> None:
    torch.manual_seed(SEED)
    said = WIDTHS[name]
    vocabulary = train_tokenizer(folder / "tokenizer", said["normalisation"])
    out: dict[str, Tensor] = {}

    transformer = WanTransformer3DModel(patch_size=(1, 2, 2), num_layers=2, freq_dim=32, rope_max_seq_len=64, **said["transformer"]).eval()
    randomise(transformer, gain=0.7)
    if name == "tiny-outliers":
        plant_outliers(transformer)
    transformer.save_pretrained(folder / "transformer")
    transformer_reference(transformer, said["transformer"]["text_dim"], said["latent_size"], out)
    capture_linears(transformer, out)

    text = UMT5EncoderModel(UMT5Config(vocab_size=vocabulary, num_layers=2, feed_forward_proj="gated-gelu", **said["text"])).eval()
    randomise(text, gain=0.6)
    text.save_pretrained(folder / "text_encoder")
    text_reference(text, vocabulary, out)

    config = dict(_class_name="AutoencoderTAEHV", image_channels=3, decoder_space_upscale=[True, True, True], **said["vae"])
    vae = ReferenceTAEHV(config).eval()
    randomise(vae, gain=1.0)
    mean, std = 0.1 * torch.randn(config["latent_channels"]), 0.5 + torch.rand(config["latent_channels"])
    (folder / "vae").mkdir(exist_ok=True)
    (folder / "vae" / "config.json").write_text(json.dumps({**config, "latents_mean": mean.tolist(), "latents_std": std.tolist()}, indent=2) + "\n")
    save_file(vae.state_dict(), folder / "vae" / "diffusion_pytorch_model.safetensors")
    autoencoder_reference(vae, mean, std, out)

    FlowMatchEulerDiscreteScheduler(shift=3.0).save_pretrained(folder / "scheduler")
    index = dict(_class_name="WanPipeline", expand_timesteps=said["expand_timesteps"])
    (folder / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    frames, height, width = said["latent_size"]
    scale = 8 * config["patch_size"]
    card = dict(name=name, license="Apache-2.0", width=width * scale, height=height * scale, num_frames=(frames - 1) * 2 ** sum(config["decoder_time_upscale"]) + 1,
                fps=8, num_inference_steps=4, guidance_scale=4.0, flow_shift=3.0, text_length=TEXT_LENGTH, expand_timesteps=said["expand_timesteps"])
    (folder / "sorad.json").write_text(json.dumps(card, indent=2) + "\n")
    save_file({key: value.contiguous() for key, value in out.items()}, folder / "reference.safetensors")


def main() -> None:
    target = Path(sys.argv[1])
    torch.set_num_threads(1)
    with torch.no_grad():
        for name in WIDTHS:
            write_fixture(name, target / name)
    scheduler_reference(target / "scheduler.json")
    bucket_reference(target / "relative_buckets.json")
    versions = {module.__name__: module.__version__ for module in (torch, diffusers, transformers, numpy, sentencepiece)}
    recipe = dict(command="python quantization/reference/write_fixtures.py Tests/Fixtures/models", seed=SEED,
                  versions=dict(python=platform.python_version(), **versions))
    (target / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")


if __name__ == "__main__":
    main()
