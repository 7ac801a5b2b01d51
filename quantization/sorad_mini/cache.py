"""Latents of rendered clips, computed once and cached.

    python -m sorad_mini.cache --work DIR --clips 12000 [--part 0 --parts 2]

Owns WORK/latents/NNNNNN.npy: float16 [SHARD, 48, T, h, w], raw encoder output of the clips in WORK/clips (rendered
here where that shard is missing), and statistics.json: mean and std of each channel (std divided by `channel_targets`), written
once from the first shards. Several processes may share the work: `--part k` of `--parts n` takes every n-th shard. Invariant: all
latents come from one frozen encoder, whose digest lies beside them and is checked.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import os
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import checkpoint
from .autoencoder import Autoencoder, AutoencoderConfig
from .pool import SHARD, shard_path
from .render import render_clip
from .train_autoencoder import to_float
from .world import sample_scene

STATISTICS_SHARDS = 6


def latent_path(work: Path, shard: int) -> Path:
    return work / "latents" / f"{shard:06d}.npy"


def load_trained(work: Path) -> Autoencoder:
    stored = checkpoint.load(work / "autoencoder.pt")
    if stored is None:
        raise SystemExit(f"{work}/autoencoder.pt is missing: run sorad_mini.train_autoencoder first.")
    model = Autoencoder(AutoencoderConfig(**stored["config"]))
    model.load_state_dict(stored["model"])
    return model.eval()


def encoder_digest(model: Autoencoder) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.encoder.state_dict().items()):
        digest.update(name.encode() + tensor.numpy().tobytes())
    return digest.hexdigest()


def check_digest(work: Path, model: Autoencoder) -> None:
    """Ties the cache to one encoder; a cache of another one must be removed by the user."""
    path, digest = work / "latents" / "encoder.sha256", encoder_digest(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        path.write_text(digest)
    elif path.read_text() != digest:
        raise SystemExit(f"{path.parent} holds latents of another encoder: remove the folder to make them anew.")


def linear_map(model: Autoencoder, clip: Tensor) -> tuple[Tensor, Tensor] | None:
    """(weight [4 * 3 * 16 * 16, 48], bias [48]) of an encoder that is a linear map of 16 x 16 x 4 blocks, as
    `fit_encoder` makes it: fifty times faster than running it. None where it is not; clip [1, 17, 3, H, W] tells."""
    from .autoencoder import run_blocks

    def latent(block: Tensor) -> Tensor:
        packed = torch.nn.functional.pixel_unshuffle(block[None], model.config.patch_size)
        return run_blocks(model.encoder, packed).flatten()

    middle = torch.full((4, 3, 16, 16), 0.5)
    weight = torch.autograd.functional.jacobian(latent, middle).flatten(1).T.contiguous()
    with torch.no_grad():
        bias = latent(middle) - middle.flatten() @ weight
        true = model.encode(clip)
        error = (encode_linear(clip, weight, bias) - true).norm() / true.norm()
    print(f"as a linear map of blocks the encoder is off by {error:.1e}", flush=True)
    return (weight, bias) if error < 2e-3 else None


def encode_linear(clip: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """What `Autoencoder.encode` gives for clip [1, 17, 3, H, W] when the encoder is that linear map."""
    padded = torch.cat([clip[:, :1].expand(-1, 3, -1, -1, -1), clip], 1)[0]
    f, c, h, w = padded.shape
    blocks = padded.view(f // 4, 4, c, h // 16, 16, w // 16, 16).permute(0, 3, 5, 1, 2, 4, 6)
    return (blocks.reshape(-1, weight.shape[0]) @ weight + bias).view(1, f // 4, h // 16, w // 16, -1).movedim(-1, 2)


@torch.no_grad()
def encode_shard(work: Path, shard: int, model: Autoencoder, linear: tuple[Tensor, Tensor] | None,
                 device: str) -> None:
    final = latent_path(work, shard)
    if final.exists():
        return
    ready = shard_path(work, shard)
    clips = np.load(ready, mmap_mode="r") if ready.exists() else None
    out = np.empty((SHARD, model.config.latent_channels, 5, 8, 8), np.float16)
    for i in range(SHARD):
        clip = clips[i] if clips is not None else render_clip(sample_scene("train", shard * SHARD + i))
        pictures = to_float(np.ascontiguousarray(clip)[None])
        latent = encode_linear(pictures, *linear) if linear else model.encode(pictures.to(device))
        out[i] = latent[0].transpose(0, 1).cpu().numpy()
    partial = final.with_name(f"{final.stem}.{os.getpid()}.partial")
    with open(partial, "wb") as file:
        np.save(file, out)
    os.replace(partial, final)


def channel_targets(linear: tuple[Tensor, Tensor] | None, channels: int) -> np.ndarray:
    """Spread that each channel shall have for the diffusion model, at most 1.5. Principal components that carry little
    of the picture stay faint, so that large structure is settled first, as it is in pixels; 1 for learned latents."""
    if linear is None:
        return np.ones(channels)
    strength = 1 / linear[0].norm(dim=0).numpy()
    return 1.5 * ((strength / strength.max()) ** 0.4).clip(0.3, 1.0)


def write_statistics(work: Path, linear: tuple[Tensor, Tensor] | None) -> None:
    path = work / "latents" / "statistics.json"
    shards = [latent_path(work, k) for k in range(STATISTICS_SHARDS)]
    if path.exists() or not all(s.exists() for s in shards):
        return
    values = np.concatenate([np.load(s) for s in shards]).astype(np.float32)
    mean, std = values.mean((0, 2, 3, 4)), values.std((0, 2, 3, 4)).clip(1e-3)
    std = std / channel_targets(linear, len(std))
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps({"mean": mean.round(6).tolist(), "std": std.round(6).tolist(),
                                   "clips": len(values)}))
    os.replace(partial, path)


class Latents:
    """All cached shards in memory, as (latent - mean) / std; grows by `refresh`."""

    def __init__(self, work: Path) -> None:
        self.work = work
        path = work / "latents" / "statistics.json"
        if not path.exists():
            raise SystemExit(f"{path} is missing: run sorad_mini.cache first.")
        said = json.loads(path.read_text())
        self.mean = torch.tensor(said["mean"]).view(-1, 1, 1, 1)
        self.std = torch.tensor(said["std"]).view(-1, 1, 1, 1)
        self.shards: list[np.ndarray] = []
        self.numbers: list[int] = []
        self.refresh()

    def refresh(self) -> int:
        known = set(self.numbers)
        for path in sorted((self.work / "latents").glob("??????.npy")):
            if int(path.stem) not in known:
                self.numbers.append(int(path.stem))
                self.shards.append(np.load(path))
        return len(self)

    def __len__(self) -> int:
        return len(self.shards) * SHARD

    def number(self, k: int) -> int:
        """Number in the train split of the k-th cached clip."""
        return self.numbers[k // SHARD] * SHARD + k % SHARD

    def __getitem__(self, k: int) -> tuple[int, torch.Tensor]:
        """(clip number in the train split, normalised latent [48, T, h, w])."""
        shard, i = divmod(k, SHARD)
        latent = torch.from_numpy(self.shards[shard][i].astype(np.float32))
        return self.number(k), (latent - self.mean) / self.std


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--clips", type=int, default=12000)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_trained(args.work)
    check_digest(args.work, model)
    linear = linear_map(model, to_float(render_clip(sample_scene("heldout", 0))[None]))
    print("the encoder is", "a linear map of blocks" if linear else "run as a network", flush=True)
    model.to(args.device)
    for shard in range(args.part, (args.clips + SHARD - 1) // SHARD, args.parts):
        encode_shard(args.work, shard, model, linear, args.device)
        write_statistics(args.work, linear)
        print(f"shard {shard} of {args.clips // SHARD}", flush=True)


if __name__ == "__main__":
    main()
