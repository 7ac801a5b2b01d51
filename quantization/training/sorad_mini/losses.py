"""How a reconstructed clip is compared with the truth, in training and in evaluation.

Clips are float [N, F, 3, H, W] in [0, 1], unless said otherwise.
"""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def to_float(clips: np.ndarray) -> Tensor:
    """uint8 [N, F, H, W, 3] to float [N, F, 3, H, W] in [0, 1]."""
    return torch.from_numpy(clips).permute(0, 1, 4, 2, 3).float().div_(255)


def motion_mask(clip: Tensor, threshold: float = 0.04) -> Tensor:
    """{0, 1} [N, F, 1, H, W]: pixels that changed since the frame before, widened by one."""
    change = (clip[:, 1:] - clip[:, :-1]).abs().amax(2, keepdim=True)
    change = torch.cat([change[:, :1], change], 1).flatten(0, 1)
    return (F.max_pool2d(change, 3, 1, 1) > threshold).float().reshape(clip.shape[0], -1, 1, *clip.shape[-2:])


def reconstruction_loss(made: Tensor, clip: Tensor, moving: float = 4.0) -> Tensor:
    """Charbonnier loss that weighs moving pixels 1 + `moving` times, plus its gradients in space and time."""
    weight = 1 + moving * motion_mask(clip)
    error = made - clip
    pixel = ((error.square() + 1e-4).sqrt() * weight).mean() / weight.mean()
    dx, dy = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    dt = error[:, 1:] - error[:, :-1]
    return pixel + 0.5 * (dx.abs().mean() + dy.abs().mean()) + 0.3 * dt.abs().mean()


def psnr(error: Tensor, mask: Tensor | None = None) -> float:
    """dB, over all pixels or where the mask [N, F, 1, H, W] is 1."""
    square = error.square().mean(2, keepdim=True)
    mean = square.mean() if mask is None else (square * mask).sum() / mask.sum().clamp_min(1)
    return float(-10 * torch.log10(mean))


def grid_ratio(picture: Tensor, period: int) -> float:
    """Mean luma jump across borders of `period` pixels over that inside; 1 where no grid is seen. [..., 3, H, W]."""
    luma = (picture * torch.tensor([0.299, 0.587, 0.114], device=picture.device)[:, None, None]).sum(-3)
    jump = (luma[..., 1:] - luma[..., :-1]).abs().flatten(0, -2).mean(0)
    border = torch.arange(1, luma.shape[-1], device=jump.device) % period == 0
    return float(jump[border].mean() / jump[~border].mean())


@torch.no_grad()
def evaluate(model: torch.nn.Module, clips: Tensor, sheet: Path | None = None) -> dict[str, float]:
    """PSNR in dB of whole pictures, where things move, of first frames; the latents' spread; grids of 4 and 8 pixels."""
    latents = [model.encode(c[None]) for c in clips]
    made = torch.cat([model.decode(z).clamp(0, 1) for z in latents])
    if sheet is not None:
        from .render import contact_sheet
        both = torch.cat([clips, made], dim=-1)[:16]
        contact_sheet([c.permute(0, 2, 3, 1).mul(255).round().byte().numpy() for c in both], str(sheet), columns=1)
    z, error = torch.cat(latents), made - clips
    return dict(psnr=round(psnr(error), 2), moving=round(psnr(error, motion_mask(clips)), 2),
                first=round(psnr(error[:, :1]), 2), latent_std=round(float(z.std()), 3),
                grid4=round(grid_ratio(made, 4) / grid_ratio(clips, 4), 3),
                grid8=round(grid_ratio(made, 8) / grid_ratio(clips, 8), 3))
