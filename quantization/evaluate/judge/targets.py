"""From a rendered scene's truth to what each output of the network should say, and the losses."""
from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sorad_mini.world import Scene

from .names import CLIP_HEADS, KINDS, NONE, THING_HEADS
from .network import CELL, GRID, NUMBERS

LEAST_PIXELS = 12       # a thing of which less is seen need not be found, and is no mistake if it is
SPREAD = 0.6            # of a centre over the cells, in cells
REST = 0.3              # weight of the cells of a thing beside its centre
IGNORED = -1
FLIPPED = {"left": "right", "right": "left", "pan_left": "pan_right", "pan_right": "pan_left"}
FIELDS = ("heat", "care", "share", "thing", "numbers")


@dataclass
class Target:
    """heat [T, kinds, G, G] in [0, 1]; care [T, G, G], 0 where a centre is neither right nor wrong; share [T, G, G], the
    weight of a cell's statements; thing [heads, T, G, G] classes; numbers [T, NUMBERS, G, G]; clip [heads] classes."""
    heat: np.ndarray
    care: np.ndarray
    share: np.ndarray
    thing: np.ndarray
    numbers: np.ndarray
    clip: np.ndarray


def statements(scene: Scene, k: int) -> list[int]:
    """Classes of thing k for each of THING_HEADS."""
    thing = scene.things[k]
    values = {"colour": thing.colour, "motion": thing.motion, "then": thing.then or NONE, "speed": thing.speed,
              "size": thing.size}
    return [choices.index(values[name]) for name, choices in THING_HEADS.items()]


def target_of(scene: Scene, shown: np.ndarray, boxes: np.ndarray) -> Target:
    t = len(shown)
    heat = np.zeros((t, len(KINDS), GRID, GRID), np.float32)
    care, share = np.ones((t, GRID, GRID), np.float32), np.zeros((t, GRID, GRID), np.float32)
    thing = np.full((len(THING_HEADS), t, GRID, GRID), IGNORED, np.int64)
    numbers = np.zeros((t, NUMBERS, GRID, GRID), np.float32)
    rows, columns = np.mgrid[:GRID, :GRID] + 0.5
    for k, what in enumerate(scene.things):
        classes = np.array(statements(scene, k))[:, None]
        cover = shown == k
        share[cover] = REST
        thing[:, cover] = classes
    for f in range(t):
        for k, what in enumerate(scene.things):
            x, y, width, height, pixels, distance = boxes[f, k]
            if pixels == 0:
                continue
            column, row = min(GRID - 1, int(x / CELL)), min(GRID - 1, int(y / CELL))
            if pixels < LEAST_PIXELS:
                care[f, row, column] = 0.0
                continue
            near = np.exp(-((rows - y / CELL) ** 2 + (columns - x / CELL) ** 2) / (2 * SPREAD ** 2))
            kind = KINDS.index(what.kind)
            heat[f, kind] = np.maximum(heat[f, kind], 0.95 * near)
            heat[f, kind, row, column] = 1.0
            share[f, row, column] = 1.0
            thing[:, f, row, column] = statements(scene, k)
            numbers[f, :, row, column] = (np.log(width / CELL), np.log(height / CELL), x / CELL - column - 0.5,
                                          y / CELL - row - 0.5, np.log(max(distance, 0.5) / 6.0))
    values = {"place": scene.place, "time": scene.time, "camera": scene.camera, "event": scene.event or NONE}
    clip = np.array([choices.index(values[name]) for name, choices in CLIP_HEADS.items()])
    return Target(heat, care, share, thing, numbers, clip)


def flip(frames: Tensor, target: dict[str, Tensor]) -> tuple[Tensor, dict[str, Tensor]]:
    """Clip and target mirrored: left becomes right."""
    out = {name: target[name].flip(-1) for name in FIELDS}
    out["numbers"] = out["numbers"] * torch.tensor([1.0, 1, -1, 1, 1])[:, None, None]
    thing, heads = out["thing"].clone(), list(THING_HEADS)
    for head in ("motion", "then"):
        choices = THING_HEADS[head]
        table = torch.tensor([choices.index(FLIPPED.get(c, c)) for c in choices] + [IGNORED])
        thing[:, heads.index(head)] = table[thing[:, heads.index(head)]]
    out["thing"] = thing
    clip, camera = target["clip"].clone(), list(CLIP_HEADS).index("camera")
    table = torch.tensor([CLIP_HEADS["camera"].index(FLIPPED.get(c, c)) for c in CLIP_HEADS["camera"]])
    clip[:, camera] = table[clip[:, camera]]
    return frames.flip(-1), dict(out, clip=clip)


def loss_of(cells: list[Tensor], clip: list[Tensor], target: dict[str, Tensor]) -> dict[str, Tensor]:
    """Penalty-reduced focal loss of the centres (CenterNet, equation 1), cross-entropy of every statement, L1 of the
    numbers. cells and clip as `Judge` gives them; target of batches, as `Target` with B in front."""
    heat, goal = cells[0], target["heat"]
    p = heat.sigmoid().clamp(1e-5, 1 - 1e-5)
    hit = goal == 1
    care = target["care"][:, :, None]
    found = max(1, int(hit.sum()))
    positive = -(torch.log(p) * (1 - p) ** 2)[hit].sum()
    negative = -(torch.log1p(-p) * p ** 2 * (1 - goal) ** 4 * care * ~hit).sum()
    losses = {"heat": (positive + negative) / found}
    share = target["share"]
    weight = share.sum().clamp(min=1)
    for k, (name, logits) in enumerate(zip(THING_HEADS, cells[1:-1])):
        wanted = target["thing"][:, k]
        each = F.cross_entropy(logits.movedim(2, -1).flatten(0, 3), wanted.flatten(), ignore_index=IGNORED, reduction="none")
        losses[name] = (each * share.flatten()).sum() / weight
    centre = (share == 1)[:, :, None]
    losses["numbers"] = ((cells[-1] - target["numbers"]).abs() * centre).sum() / centre.sum().clamp(min=1) / NUMBERS
    for k, (name, logits) in enumerate(zip(CLIP_HEADS, clip)):
        losses[name] = F.cross_entropy(logits, target["clip"][:, k])
    return losses
