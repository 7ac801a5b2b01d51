"""Rendered clips on disk, made ahead of the training that reads them.

    python -m sorad_mini.pool --work DIR --size 128x128 --clips 2000 [--part 0 --parts 2]

Owns WORK/clips-WxH/NNNNNN.npy: shards of SHARD clips, uint8 [SHARD, F, H, W, 3], clip i of the train split in shard
i // SHARD. Several processes may share the work: `--part k` of `--parts n` renders every n-th shard.
Invariant: a shard that has its final name is complete, so that readers never wait or lock.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from .render import render_clip
from .world import sample_scene

SHARD = 100


def parse_size(text: str) -> tuple[int, int]:
    """"WIDTHxHEIGHT", pixels."""
    width, height = (int(part) for part in text.split("x"))
    return width, height


def parse_share(text: str) -> tuple[tuple[int, int], float]:
    """"WIDTHxHEIGHT" or "WIDTHxHEIGHT:SHARE"."""
    size, _, share = text.partition(":")
    return parse_size(size), float(share or 1)


def folder(work: Path, size: tuple[int, int]) -> Path:
    return work / f"clips-{size[0]}x{size[1]}"


def write_shard(work: Path, shard: int, size: tuple[int, int]) -> None:
    final = folder(work, size) / f"{shard:06d}.npy"
    if final.exists():
        return
    final.parent.mkdir(parents=True, exist_ok=True)
    clips = np.stack([render_clip(sample_scene("train", shard * SHARD + i), *size) for i in range(SHARD)])
    partial = final.with_suffix(".partial")
    with open(partial, "wb") as file:
        np.save(file, clips)
    os.replace(partial, final)


class Pool:
    """The shards of one size that exist now, mapped; `refresh` looks for new ones."""

    def __init__(self, work: Path, size: tuple[int, int]) -> None:
        self.folder = folder(work, size)
        self.shards: list[np.ndarray] = []
        self.names: set[str] = set()
        self.refresh()

    def refresh(self) -> int:
        for path in sorted(self.folder.glob("??????.npy")):
            if path.name not in self.names:
                self.names.add(path.name)
                self.shards.append(np.load(path, mmap_mode="r"))
        return len(self)

    def __len__(self) -> int:
        return len(self.shards) * SHARD

    def __getitem__(self, index: int) -> np.ndarray:
        """Clip `index`, uint8 [F, H, W, 3]."""
        return self.shards[index // SHARD][index % SHARD]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--size", type=parse_size, default=(128, 128), help="WIDTHxHEIGHT, pixels")
    parser.add_argument("--clips", type=int, default=2000)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    for shard in range(args.part, (args.clips + SHARD - 1) // SHARD, args.parts):
        write_shard(args.work, shard, args.size)
        print(f"{(shard + 1) * SHARD} clips", flush=True)


if __name__ == "__main__":
    main()
