"""The network that sees: nine frames of two seconds in, things and the scene out.

Letters: B clips, T = 9 frames (every second one of 17), C channels, G = 16 cells across and down a picture of 128 x 128.
For each cell of each frame it says whether the centre of a thing of each kind lies there ("heat", as in CenterNet, Zhou
et al. 2019, arXiv 1904.07850), and for that thing: colour, motion, second motion, speed, size, box, place of the centre
within the cell and distance. For the whole clip it says place, time, camera and event.
Built of 3 x 3 convolutions in the picture and 3-tap mixtures over time, small enough to learn on one CPU core.
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .names import CLIP_HEADS, KINDS, THING_HEADS

SIDE, CELL, GRID, SEEN = 128, 8, 16, 9
WIDTH, DEPTH = 96, 8
NUMBERS = 5     # log width, log height, offset x, offset y, log distance
PRIOR = 0.01    # of a centre in a cell, where training begins


class Mixing(nn.Module):
    """A residual block on [B * T, C, G, G]: a convolution in the picture, then a mixture of three frames."""

    def __init__(self, width: int, wide: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.BatchNorm2d(width), nn.BatchNorm2d(width)
        self.space = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.time = nn.Conv2d(3 * width, width, 1)
        self.whole = nn.Linear(width, width) if wide else None
        nn.init.zeros_(self.time.weight)
        nn.init.zeros_(self.time.bias)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        y = F.relu(self.norm2(self.space(F.relu(self.norm1(x)))))
        if self.whole is not None:
            clip = y.unflatten(0, (-1, frames)).mean((1, 3, 4))
            y = y + self.whole(clip).repeat_interleave(frames, 0)[..., None, None]
        z = y.unflatten(0, (-1, frames))
        before, after = F.pad(z, (0, 0) * 3 + (1, 0))[:, :-1], F.pad(z, (0, 0) * 3 + (0, 1))[:, 1:]
        return x + self.time(torch.cat([before, z, after], 2).flatten(0, 1))


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 24, 5, 2, 2, bias=False), nn.BatchNorm2d(24), nn.ReLU(),
                                  nn.Conv2d(24, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU(),
                                  nn.Conv2d(64, WIDTH, 3, 2, 1, bias=False))
        self.place = nn.Parameter(0.02 * torch.randn(1, WIDTH, GRID, GRID))
        self.blocks = nn.ModuleList([Mixing(WIDTH, wide=k % 3 == 2) for k in range(DEPTH)])
        self.norm = nn.BatchNorm2d(WIDTH)
        self.sizes = [len(KINDS)] + [len(c) for c in THING_HEADS.values()] + [NUMBERS]
        self.cells = nn.Sequential(nn.Conv2d(WIDTH, 160, 1), nn.ReLU(), nn.Conv2d(160, sum(self.sizes), 1))
        self.clip = nn.Sequential(nn.Linear(2 * WIDTH, 160), nn.ReLU())
        self.clip_heads = nn.ModuleList([nn.Linear(160, len(c)) for c in CLIP_HEADS.values()])
        with torch.no_grad():
            self.cells[2].bias[:len(KINDS)].fill_(torch.logit(torch.tensor(PRIOR)))

    def forward(self, frames: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """frames [B, T, 3, 128, 128] in [0, 1] to cells, a list of [B, T, n, G, G] (heat, each of THING_HEADS, numbers),
        and clip, a list of [B, n] (each of CLIP_HEADS). All are logits but the numbers."""
        b, t = frames.shape[:2]
        x = (frames.flatten(0, 1) - 0.5).contiguous(memory_format=torch.channels_last)
        x = self.stem(x) + self.place
        for block in self.blocks:
            x = block(x, t)
        x = F.relu(self.norm(x))
        cells = self.cells(x).unflatten(0, (b, t)).float()
        y = x.unflatten(0, (b, t))
        y = self.clip(torch.cat([y.mean((1, 3, 4)), y.amax((1, 3, 4))], 1))
        return list(cells.split(self.sizes, 2)), [head(y).float() for head in self.clip_heads]
