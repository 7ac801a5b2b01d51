"""Rendered clips with the truth that the judge learns from.

    cd quantization && PYTHONPATH=training python -m evaluate.judge.examples --work DIR --clips 8000 [--part 0 --parts 2]

Owns WORK/judge/NNNNNN.npz, SHARD clips of the renderer each: frames uint8 [N, T, 128, 128, 3], shown int8 [N, T, G, G]
(the thing that covers half of a cell, or -1) and boxes float32 [N, T, 4, 6] of each thing's visible part: centre x and
y, width, height (pixels), visible pixels, distance (metres). Nothing here is drawn from the split that prompts are
judged with.
"""
from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from sorad_mini.render import render_clip
from sorad_mini.world import sample_scene

from .network import CELL, GRID, SEEN, SIDE

SHARD, MOST_THINGS = 100, 4
BEGIN = 5_000_000       # of the train split: far from the clips that the model learns from


def scene_number(shard: int, i: int) -> int:
    return BEGIN + shard * SHARD + i


def truth_of(identity: np.ndarray, depth: np.ndarray, things: int) -> tuple[np.ndarray, np.ndarray]:
    """identity and depth [T, 128, 128] to shown [T, G, G] and boxes [T, 4, 6]."""
    t = len(identity)
    boxes = np.zeros((t, MOST_THINGS, 6), np.float32)
    cells = identity.reshape(t, GRID, CELL, GRID, CELL)
    shown = np.full((t, GRID, GRID), -1, np.int8)
    for k in range(things):
        mask = identity == k
        shown[(cells == k).mean((2, 4)) >= 0.5] = k
        for f in range(t):
            ys, xs = np.nonzero(mask[f])
            if len(xs):
                boxes[f, k] = (xs.mean() + 0.5, ys.mean() + 0.5, np.ptp(xs) + 1, np.ptp(ys) + 1, len(xs),
                               depth[f][mask[f]].mean())
    return shown, boxes


def write_shard(folder: Path, shard: int) -> None:
    final = folder / f"{shard:06d}.npz"
    if final.exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    frames, shown, boxes = [], [], []
    for i in range(SHARD):
        scene = sample_scene("train", scene_number(shard, i))
        clip, identity, depth = render_clip(scene, SIDE, SIDE, 2 * SEEN - 1, truth=True)
        cells, things = truth_of(identity[::2], depth[::2].astype(np.float32), len(scene.things))
        frames.append(clip[::2])
        shown.append(cells)
        boxes.append(things)
    partial = folder / f"{shard:06d}.partial.{os.getpid()}.npz"
    np.savez(partial, frames=np.stack(frames), shown=np.stack(shown), boxes=np.stack(boxes))
    os.replace(partial, final)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--clips", type=int, default=8000)
    parser.add_argument("--part", type=int, default=0)
    parser.add_argument("--parts", type=int, default=1)
    args = parser.parse_args()
    for shard in range(args.part, (args.clips + SHARD - 1) // SHARD, args.parts):
        write_shard(args.work / "judge", shard)
        print(f"shard {shard}", flush=True)


if __name__ == "__main__":
    main()
