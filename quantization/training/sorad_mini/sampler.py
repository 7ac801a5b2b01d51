"""Rectified-flow sampling of the trained model: Euler, shift, classifier-free guidance, known frames.

Invariant: what the Swift engine does with the same weights. x_t = (1 - sigma) x_0 + sigma noise, the model says
v = noise - x_0, timestep = 1000 sigma, and known tokens stand at timestep 0.
"""
from __future__ import annotations

import torch
from torch import Tensor

from .transformer import Transformer


def sigmas(steps: int, shift: float) -> Tensor:
    """[steps + 1] from 1 down to 0: s u / (1 + (s - 1) u)."""
    u = torch.linspace(1, 0, steps + 1)
    return shift * u / (1 + (shift - 1) * u)


def token_timesteps(timestep: Tensor, known: Tensor, grid: tuple[int, int]) -> Tensor:
    """timestep [B] and known frames [B, T] to [B, N], 0 where the token's frame is known."""
    per_frame = timestep[:, None] * (~known)
    return per_frame[:, :, None].expand(-1, -1, grid[0] * grid[1]).flatten(1)


@torch.no_grad()
def sample(model: Transformer, context: Tensor, empty: Tensor, noise: Tensor, steps: int, shift: float,
           guidance: float, given: Tensor | None = None, known: Tensor | None = None,
           renoise: torch.Generator | None = None, levels: Tensor | None = None) -> Tensor:
    """Latents [B, C, T, h, w] from noise of that shape; context [B, L, D]; empty [1, L, D] is the unconditional
    prompt; `given` holds clean latents where `known` [B, T] is true. With `renoise` each step predicts the clip and
    noises it anew, instead of an Euler step. `levels` stand for the schedule where `noise` is a noised clip."""
    b, _, t, h, w = noise.shape
    known = torch.zeros(b, t, dtype=torch.bool) if known is None else known
    keep = known[:, None, :, None, None]
    x = noise if given is None else torch.where(keep, given, noise)
    levels = sigmas(steps, shift) if levels is None else levels
    for now, later in zip(levels[:-1], levels[1:]):
        timestep = token_timesteps(torch.full((b,), 1000.0 * float(now)), known, (h // 2, w // 2)) \
            if bool(known.any()) else torch.full((b,), 1000.0 * float(now))
        velocity = model(x, timestep, context)
        if guidance != 1.0:
            plain = model(x, timestep, empty.expand(b, -1, -1))
            velocity = plain + guidance * (velocity - plain)
        if renoise is None:
            stepped = x + (later - now) * velocity
        else:
            clip = x - now * velocity
            stepped = clip + later * (torch.randn(x.shape, generator=renoise).to(x.device) - clip)
        x = stepped if given is None else torch.where(keep, given, stepped)
    return x
