"""How much better the transformer does on clips that it was trained on than on others.

The error of the predicted clip, in tokens that show things, at three noise levels, once on clips of the cache and once
on clips that are never trained on (`cache.HELD_OUT`). Both begin equal. Where the second stays behind, the same clips
come too often: more must be rendered. 27,000 clips seen nine times were 1.2 times better than others; what is sampled
then is a mixture of clips that are remembered.
"""
from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import text_encoder
from .cache import Latents
from .captions import caption
from .tokenizer import Tokenizer
from .world import Scene

LEVELS, CLIPS = (0.9, 0.7, 0.5), 48


@torch.no_grad()
def errors(model: nn.Module, tokenizer: Tokenizer, clips: Sequence[tuple[Scene, Tensor, Tensor]]) -> list[float]:
    """The mean squared error of the predicted clip at each of LEVELS, over the tokens that show things. `model` has
    `text` and `transformer`; clips are (scene, latent [C, T, h, w], shown thing of each token [T, h / 2, w / 2])."""
    device = next(model.parameters()).device
    rng, random = np.random.default_rng(11), torch.Generator().manual_seed(11)
    clean = torch.stack([latent for _, latent, _ in clips]).to(device)
    shown = torch.stack([tokens >= 0 for _, _, tokens in clips]).float().to(device)
    weight = shown.repeat_interleave(2, 2).repeat_interleave(2, 3)[:, None]
    context = text_encoder.encode_texts(model.text, tokenizer, [caption(scene, rng) for scene, _, _ in clips])
    noise = torch.randn(clean.shape, generator=random).to(device)
    found = []
    for level in LEVELS:
        noised = clean + level * (noise - clean)
        velocity = model.transformer(noised, torch.full((len(clean),), 1000 * level, device=device), context)
        error = (noised - level * velocity - clean).square() * weight
        found.append(float(error.sum() / (weight.sum() * clean.shape[1])))
    return found


def compare(model: nn.Module, tokenizer: Tokenizer, work: Path, width: int, height: int) -> str | None:
    """One line for the log: the error on held-out clips and on trained ones at each of LEVELS; None where the cache is
    too small to hold clips out."""
    sets = [Latents(work, width, height, held_out) for held_out in (True, False)]
    if not len(sets[0]):
        return None
    picked = [[latents[int(k)] for k in np.random.default_rng(12).permutation(len(latents))[:CLIPS]] for latents in sets]
    held, trained = (errors(model, tokenizer, clips) for clips in picked)
    return "error of clips held out / trained on: " + ", ".join(
        f"{h:.3f} / {t:.3f} at {level}" for level, h, t in zip(LEVELS, held, trained))
