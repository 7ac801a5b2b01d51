"""Latents of rendered clips and what their tokens show, computed once and cached.

    python -m sorad_mini.cache --work DIR --size 64x64 --clips 40000 [--part 0 --parts 2]
    python -m sorad_mini.cache --work DIR --size 64x64 --clips 4000 --foreign

Owns WORK/latents-WxH/ and, for `foreign`'s clips, WORK/latents-foreign-WxH/: NNNNNN.npy, float16 [SHARD, C, T, h, w], raw encoder output of train clips NNNNNN * SHARD + i,
and NNNNNN.tokens.npy, int8 [SHARD, T, h / 2, w / 2], the index of the thing that a token shows or -1; and
WORK/statistics.json, mean and std of each channel, the same for all sizes, written once. Several processes may share
the work. Invariant: all latents come from one frozen encoder, whose digest lies beside them and is checked.
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
from .foreign import foreign_clip, foreign_scene
from .losses import to_float
from .pool import parse_size
from .render import render_clip
from .world import Scene, sample_scene

SHARD = 100
STATISTICS_SHARDS = 3
HELD_OUT = 300          # the last of so many shards is never trained on
SHOWN = 0.2             # share of a token's pixels that a thing must cover to be what the token shows


def folder(work: Path, width: int, height: int, foreign: bool = False) -> Path:
    return work / f"latents-{'foreign-' if foreign else ''}{width}x{height}"


def load_trained(work: Path, which: str = "ema") -> Autoencoder:
    """The trained autoencoder, its encoder rounded to float16, as `snapshot` keeps it: so latents never change."""
    stored = checkpoint.load(work / "autoencoder.pt")
    if stored is None:
        raise SystemExit(f"{work}/autoencoder.pt is missing: run sorad_mini.train_autoencoder first")
    model = Autoencoder(AutoencoderConfig(**stored["config"]))
    model.load_state_dict(stored[which])
    for parameter in model.encoder.parameters():
        parameter.data = parameter.data.half().float()
    return model.eval().requires_grad_(False)


def encoder_digest(model: Autoencoder) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(model.encoder.state_dict().items()):
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def check_digest(work: Path, model: Autoencoder) -> None:
    """Ties the cache to one encoder; a cache of another one must be removed by the user."""
    path, digest = work / "encoder.sha256", encoder_digest(model)
    if not path.exists():
        path.write_text(digest)
    elif path.read_text() != digest:
        raise SystemExit(f"{work} holds latents of another encoder: remove latents-*, statistics.json, encoder.sha256")


def shown_things(identity: np.ndarray, things: int) -> np.ndarray:
    """identity [F, H, W] (thing or -1) to int8 [T, H / 16, W / 16]: the thing that covers most of each token."""
    f, h, w = identity.shape
    padded = np.concatenate([np.repeat(identity[:1], -f % 4, 0), identity])
    cells = padded.reshape(len(padded) // 4, 4, h // 16, 16, w // 16, 16)
    share = np.stack([(cells == k).mean((1, 3, 5)) for k in range(max(1, things))])
    best = share.argmax(0)
    return np.where(share.max(0) >= SHOWN, best, -1).astype(np.int8)


@torch.no_grad()
def encode_shard(work: Path, shard: int, size: tuple[int, int], model: Autoencoder, device: str,
                 foreign: bool = False) -> None:
    width, height = size
    final = folder(work, *size, foreign) / f"{shard:06d}.npy"
    if final.exists():
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    latents, tokens = [], []
    for i in range(SHARD):
        number, things = shard * SHARD + i, 0
        if foreign:
            clip = foreign_clip(number, width, height)
            identity = np.full(clip.shape[:3], -1, np.int8)
        else:
            scene = sample_scene("train", number)
            clip, identity, _ = render_clip(scene, width, height, truth=True)
            things = len(scene.things)
        with torch.autocast(device, torch.bfloat16):
            latent = model.encode(to_float(clip[None]).to(device))
        latents.append(latent[0].float().transpose(0, 1).cpu().numpy().astype(np.float16))
        tokens.append(shown_things(identity, things))
    for path, values in ((final.with_suffix(".tokens.npy"), np.stack(tokens)), (final, np.stack(latents))):
        partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
        with open(partial, "wb") as file:
            np.save(file, values)
        os.replace(partial, path)


def write_statistics(work: Path, size: tuple[int, int]) -> None:
    path = work / "statistics.json"
    shards = sorted(p for p in folder(work, *size).glob("??????.npy"))[:STATISTICS_SHARDS]
    if path.exists() or len(shards) < STATISTICS_SHARDS:
        return
    values = np.concatenate([np.load(s) for s in shards]).astype(np.float32)
    mean, std = values.mean((0, 2, 3, 4)), values.std((0, 2, 3, 4))
    # One scale for all channels, so that the spectrum stays: faint components are settled last, as they are in pixels.
    scale = np.full_like(std, np.sqrt((std ** 2).mean()))
    partial = path.with_suffix(f".{os.getpid()}.partial")
    partial.write_text(json.dumps({"mean": mean.round(6).tolist(), "std": scale.round(6).tolist(),
                                   "channel_std": std.round(6).tolist(), "clips": len(values)}))
    os.replace(partial, path)


class Latents:
    """The cached shards of one size, mapped, as (latent - mean) / std; grows by `refresh`. Those that are trained on, or
    those that are held out; of the world, or of `foreign`'s clips."""

    def __init__(self, work: Path, width: int, height: int, held_out: bool = False, foreign: bool = False) -> None:
        self.folder, self.held_out = folder(work, width, height, foreign), held_out
        self.scene = foreign_scene if foreign else lambda number: sample_scene("train", number)
        path = work / "statistics.json"
        if not path.exists():
            raise SystemExit(f"{path} is missing: run sorad_mini.cache first")
        said = json.loads(path.read_text())
        self.mean = torch.tensor(said["mean"]).view(-1, 1, 1, 1)
        self.std = torch.tensor(said["std"]).view(-1, 1, 1, 1)
        self.shards: list[np.ndarray] = []
        self.tokens: list[np.ndarray] = []
        self.numbers: list[int] = []
        self.refresh()

    def refresh(self) -> int:
        known = set(self.numbers)
        for path in sorted(self.folder.glob("??????.npy")):
            if int(path.stem) not in known and (int(path.stem) % HELD_OUT == HELD_OUT - 1) == self.held_out:
                self.numbers.append(int(path.stem))
                self.tokens.append(np.load(path.with_suffix(".tokens.npy"), mmap_mode="r"))
                self.shards.append(np.load(path, mmap_mode="r"))
        return len(self)

    def __len__(self) -> int:
        return len(self.shards) * SHARD

    def __getitem__(self, k: int) -> tuple[Scene, Tensor, Tensor]:
        """(scene, normalised latent [C, T, h, w], shown thing of each token [T, h / 2, w / 2])."""
        shard, i = divmod(k, SHARD)
        latent = torch.from_numpy(self.shards[shard][i].astype(np.float32))
        return (self.scene(self.numbers[shard] * SHARD + i), (latent - self.mean) / self.std,
                torch.from_numpy(self.tokens[shard][i].astype(np.int64)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--size", type=parse_size, default=(64, 64), help="WIDTHxHEIGHT, pixels")
    parser.add_argument("--clips", type=int, default=40000)
    parser.add_argument("--foreign", action="store_true", help="clips of pictures from outside the world")
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load_trained(args.work).to(args.device)
    check_digest(args.work, model)
    for shard in range(args.part, (args.clips + SHARD - 1) // SHARD, args.parts):
        encode_shard(args.work, shard, args.size, model, args.device, args.foreign)
        write_statistics(args.work, args.size)
        print(f"shard {shard} of {args.clips // SHARD}", flush=True)


if __name__ == "__main__":
    main()
