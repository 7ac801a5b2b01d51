"""Muon for weight matrices, AdamW for everything else, one learning rate for both.

Muon (Jordan et al. 2024) orthogonalises the momentum of a matrix by a Newton-Schulz iteration; scaled by
0.2 sqrt(max(rows, columns)) its steps have AdamW's size (Liu et al. 2025, arXiv 2502.16982). It roughly halves the
steps that these small networks need. Convolution kernels count as matrices [out, in * k * k].
"""
from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from .parallel import share_out


def orthogonalise(matrix: Tensor, steps: int = 5) -> Tensor:
    """Nearest orthogonal matrix, roughly: quintic Newton-Schulz on [rows, columns], in bf16, which it forgives."""
    x = (matrix / (matrix.norm() + 1e-7)).bfloat16()
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(steps):
        gram = x @ x.T
        x = 3.4445 * x + (-4.7750 * gram + 2.0315 * gram @ gram) @ x
    return (x.T if tall else x).to(matrix.dtype)


class Muon(torch.optim.Optimizer):
    """Parameter groups carry `muon: bool`; the others get AdamW.

    Each matrix is orthogonalised on every `period`-th step, in turn, and its update is used again in between: on a
    CPU with small batches the iteration would otherwise cost as much as the training step, and the momentum that it
    works on changes slowly.
    """

    def __init__(self, groups: Iterable[dict], lr: float, weight_decay: float = 0.0, period: int = 1) -> None:
        super().__init__(list(groups), dict(lr=lr, weight_decay=weight_decay, muon=False))
        self.period, self.steps = period, 0

    @torch.no_grad()
    def step(self) -> None:
        due: list[Tensor] = []
        for group in self.param_groups:
            for turn, p in enumerate(group["params"]):
                if p.grad is None:
                    continue
                if not group["muon"]:
                    self._adam(p, group)
                    continue
                state = self.state[p]
                if not state:
                    state["momentum"] = torch.zeros_like(p)
                state["momentum"].lerp_(p.grad, 0.05)
                if (self.steps + turn) % self.period == 0 or "update" not in state:
                    due.append(p)
        for p, update in zip(due, share_out(due, self._update)):
            self.state[p]["update"] = update
        for group in self.param_groups:
            for p in group["params"]:
                if group["muon"] and p.grad is not None:
                    p.mul_(1 - group["lr"] * group["weight_decay"])
                    p.add_(self.state[p]["update"], alpha=-group["lr"])
        self.steps += 1

    def _update(self, p: Tensor) -> Tensor:
        blend = p.grad.lerp(self.state[p]["momentum"], 0.95).reshape(p.shape[0], -1)
        return orthogonalise(blend).mul_(0.2 * max(blend.shape) ** 0.5).reshape(p.shape)

    def _adam(self, p: Tensor, group: dict) -> None:
        state = self.state[p]
        if not state:
            state.update(step=0, first=torch.zeros_like(p), second=torch.zeros_like(p))
        state["step"] += 1
        state["first"].lerp_(p.grad, 0.1)
        state["second"].mul_(0.98).addcmul_(p.grad, p.grad, value=0.02)
        first = state["first"] / (1 - 0.9 ** state["step"])
        second = state["second"] / (1 - 0.98 ** state["step"])
        p.mul_(1 - group["lr"] * group["weight_decay"])
        p.addcdiv_(first, second.sqrt().add_(1e-8), value=-group["lr"])


def split_parameters(module: torch.nn.Module, plain: tuple[str, ...] = ()) -> list[dict]:
    """Groups for `Muon`: matrices with at least 8 rows and columns, except names that contain one of `plain`."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, p in module.named_parameters():
        if not p.requires_grad:
            continue
        fits = p.ndim >= 2 and min(p.shape[0], p.numel() // p.shape[0]) >= 8
        (matrices if fits and not any(word in name for word in plain) else others).append(p)
    return [dict(params=matrices, muon=True), dict(params=others, muon=False)]


def schedule(progress: float, step: int, warm: int = 100, decay: float = 0.5, floor: float = 0.04) -> float:
    """Learning-rate factor: linear warm-up, constant, linear decay over the last `decay` of the run."""
    rise = min(1.0, (step + 1) / warm)
    fall = 1.0 if progress < 1 - decay else max(floor, (1 - progress) / decay)
    return rise * fall
