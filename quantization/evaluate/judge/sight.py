"""From a clip to what is seen in it: things followed from frame to frame, and the scene.

Owns `see`. Rules of following: a sight is a cell whose heat is a local maximum above THRESHOLD; sights of successive
frames are one thing if they lie near each other, the nearest pairs first, kind and colour weighing like distance. What a
thing is, is what most of its sights say; a thing whose sights do not agree is unsteady and counts as nothing.
"""
from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional as F

from .names import CLIP_HEADS, KINDS, THING_HEADS
from .network import CELL, GRID, SEEN, SIDE, Judge

THRESHOLD, SURE = 0.3, 0.5      # least heat of a sight; heat by which a thing must be seen once
FARTHEST = 4.5                  # cells between two sights of one thing, at most
OTHER_KIND, OTHER_COLOUR, LOST = 1.5, 1.0, 2    # cells that a change costs; frames that a thing may be out of sight
STEADY = 0.75                   # share of a thing's sights that must say the same
LEAST_SIGHTS = 3                # frames of nine in which a thing must be seen
SPAN = 2 * SEEN - 1


@dataclass
class Sight:
    frame: int
    x: float            # of the centre, in pixels of a 128 x 128 picture; y down
    y: float
    width: float
    height: float
    distance: float     # relative: smaller is nearer
    heat: float
    kind: int
    says: list[np.ndarray]  # probabilities for each of THING_HEADS


@dataclass
class Thing:
    sights: list[Sight] = field(default_factory=list)

    def _vote(self, values: list[int]) -> tuple[int, float]:
        counts = np.bincount(values)
        return int(counts.argmax()), counts.max() / len(values)

    @property
    def kind(self) -> str:
        return KINDS[self._vote([s.kind for s in self.sights])[0]]

    def says(self, head: str) -> str:
        """The class with the greatest mean probability over the sights."""
        k = list(THING_HEADS).index(head)
        return THING_HEADS[head][int(np.mean([s.says[k] for s in self.sights], 0).argmax())]

    @property
    def steady(self) -> bool:
        """Seen often enough, and one thing all the time."""
        kinds = self._vote([s.kind for s in self.sights])[1]
        colours = self._vote([int(s.says[0].argmax()) for s in self.sights])[1]
        return len(self.sights) >= LEAST_SIGHTS and max(s.heat for s in self.sights) >= SURE and min(kinds, colours) >= STEADY

    def mean(self, name: str) -> float:
        return float(np.mean([getattr(s, name) for s in self.sights]))


@dataclass
class Seen:
    """All that the judge saw in one window of a clip. `scene` has place, time, camera and event ("none")."""
    things: list[Thing]
    scene: dict[str, str]


def load(path: Path) -> Judge:
    model = Judge()
    stored = {k: v.float() for k, v in load_file(path).items()}
    missing, unknown = model.load_state_dict(stored, strict=False)
    if unknown or any("num_batches" not in name for name in missing):
        raise SystemExit(f"{path} does not hold this judge's weights")
    return model.eval().requires_grad_(False)


def read_clip(path: Path) -> np.ndarray:
    """uint8 [F, H, W, 3] of a video file, through ffmpeg."""
    size = subprocess.run(["ffprobe", "-v", "error", "-select_streams", "v:0", "-show_entries", "stream=width,height", "-of", "csv=p=0", str(path)],
                          capture_output=True, text=True, check=True).stdout
    width, height = (int(number) for number in size.split()[0].split(",")[:2])
    frames = subprocess.run(["ffmpeg", "-v", "error", "-nostdin", "-i", str(path), "-f", "rawvideo", "-pix_fmt", "rgb24",
                             "-fps_mode", "passthrough", "-"], capture_output=True, check=True).stdout
    return np.frombuffer(frames, np.uint8).reshape(-1, height, width, 3)


def frames_of(clip: np.ndarray, start: int = 0) -> torch.Tensor:
    """[T, 3, 128, 128] of the window of 17 frames that begins at `start`; a shorter clip stands still at its end."""
    picked = np.minimum(start + np.arange(0, SPAN, 2), len(clip) - 1)
    frames = torch.from_numpy(clip[picked].copy()).permute(0, 3, 1, 2).float() / 255
    if frames.shape[-2:] != (SIDE, SIDE):
        frames = F.interpolate(frames, size=(SIDE, SIDE), mode="bilinear", antialias=True)
    return frames


def sights_of(cells: list[torch.Tensor]) -> list[list[Sight]]:
    """The sights of each frame; cells of one clip as `Judge` gives them, without the batch."""
    heat = cells[0].sigmoid()
    best, kinds = heat.max(1)
    peak = (best == F.max_pool2d(best[:, None], 3, 1, 1)[:, 0]) & (best > THRESHOLD)
    says = [logits.softmax(1) for logits in cells[1:-1]]
    out: list[list[Sight]] = []
    for f in range(len(best)):
        found = []
        for row, column in peak[f].nonzero().tolist():
            width, height, dx, dy, distance = cells[-1][f, :, row, column].tolist()
            found.append(Sight(f, (column + 0.5 + dx) * CELL, (row + 0.5 + dy) * CELL, CELL * float(np.exp(min(width, 4))),
                               CELL * float(np.exp(min(height, 4))), distance, float(best[f, row, column]),
                               int(kinds[f, row, column]), [p[f, :, row, column].numpy() for p in says]))
        out.append(found)
    return out


def follow(frames: list[list[Sight]]) -> list[Thing]:
    things: list[Thing] = []
    for f, sights in enumerate(frames):
        pairs = []
        for i, thing in enumerate(things):
            last = thing.sights[-1]
            if f - last.frame > 1 + LOST:
                continue
            for j, sight in enumerate(sights):
                cost = np.hypot(sight.x - last.x, sight.y - last.y) / CELL
                cost += OTHER_KIND * (sight.kind != last.kind) + OTHER_COLOUR * (sight.says[0].argmax() != last.says[0].argmax())
                if cost <= FARTHEST + 1.5 * (f - last.frame - 1):
                    pairs.append((cost, i, j))
        taken_things, taken_sights = set(), set()
        for _, i, j in sorted(pairs):
            if i not in taken_things and j not in taken_sights:
                things[i].sights.append(sights[j])
                taken_things.add(i)
                taken_sights.add(j)
        things += [Thing([sight]) for j, sight in enumerate(sights) if j not in taken_sights]
    return things


@torch.no_grad()
def see(model: Judge, windows: list[torch.Tensor]) -> list[Seen]:
    """What is in each window of frames [T, 3, 128, 128]."""
    with torch.autocast("cpu", torch.bfloat16):
        cells, clip = model(torch.stack(windows))
    out = []
    for b in range(len(windows)):
        scene = {name: choices[int(logits[b].argmax())] for (name, choices), logits in zip(CLIP_HEADS.items(), clip)}
        out.append(Seen(follow(sights_of([part[b] for part in cells])), scene))
    return out
