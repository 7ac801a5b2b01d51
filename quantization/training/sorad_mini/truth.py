"""Lessons for the transformer's middle: what the renderer knows of each token.

A head on the hidden tokens of one block says which kind and colour of thing the token shows (or none) and where that
thing moves; it is dropped after training. A diffusion transformer that is made to hold such features early learns
several times faster (the idea of REPA, Yu et al. 2024, arXiv 2410.06940, with the renderer in place of a large
encoder).
"""
from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .world import COLOURS, KINDS, MOTIONS, Scene

TARGETS = {"kind": KINDS, "colour": COLOURS, "motion": MOTIONS}


class TruthHead(nn.Module):
    """Hidden tokens [B, N, D] to logits [B, N, choices + 1] of every target; class 0 is "no thing here"."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.heads = nn.ModuleList([nn.Linear(width, len(choices) + 1) for choices in TARGETS.values()])

    def forward(self, tokens: Tensor) -> list[Tensor]:
        x = F.silu(self.inner(F.layer_norm(tokens, tokens.shape[-1:])))
        return [head(x) for head in self.heads]


def classes(scene: Scene, shown: Tensor) -> Tensor:
    """shown [...] (thing or -1) to classes [targets, ...]."""
    table = torch.tensor([[0] * len(TARGETS)] + [[1 + choices.index(getattr(thing, name))
                                                  for name, choices in (("kind", KINDS), ("colour", COLOURS),
                                                                        ("motion", MOTIONS))]
                                                 for thing in scene.things])
    return table[shown + 1].movedim(-1, 0)


def truth_loss(head: TruthHead, tokens: Tensor, wanted: Tensor) -> Tensor:
    """Mean cross-entropy over targets; tokens [B, N, D], wanted [targets, B, N]."""
    return torch.stack([F.cross_entropy(logits.float().flatten(0, 1), target.flatten())
                        for logits, target in zip(head(tokens), wanted)]).mean()
