"""Measures of a clip that need no network. Clips are uint8 [F, H, W, 3]."""
from __future__ import annotations

import math

import numpy as np


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927)."""
    if count == 0:
        return 0.0, 1.0
    p, n = right / count, count
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def luma(clip: np.ndarray) -> np.ndarray:
    return clip.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32)


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """dB between two clips; infinity where they are equal."""
    error = float(((a.astype(np.float32) - b.astype(np.float32)) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255 ** 2 / error)


def border_ratio(clip: np.ndarray, step: int = 16) -> float:
    """Mean step of luma across the borders of a grid of `step` pixels over that elsewhere: 1 where no grid is seen."""
    y = luma(clip)
    across, down = np.abs(np.diff(y, axis=2)).mean((0, 1)), np.abs(np.diff(y, axis=1)).mean((0, 2))
    on = [d[step - 1::step] for d in (across, down)]
    off = [np.delete(d, np.arange(step - 1, len(d), step)) for d in (across, down)]
    return float(np.concatenate(on).mean() / max(1e-6, np.concatenate(off).mean()))


def frame_steps(clip: np.ndarray) -> np.ndarray:
    """Root mean square difference of successive frames [F - 1], in units of 8-bit luma."""
    return np.sqrt((np.diff(luma(clip), axis=0) ** 2).mean((1, 2)))


def jump(clip: np.ndarray, at: int) -> float:
    """The step between frames at - 1 and at over the median of the other steps."""
    steps = frame_steps(clip)
    return float(steps[at - 1] / max(0.5, np.median(np.delete(steps, at - 1))))


def roughness(clip: np.ndarray) -> float:
    """Mean absolute second difference of luma: noise has several times more of it than any rendered clip."""
    y = luma(clip)
    return float(np.abs(4 * y[:, 1:-1, 1:-1] - y[:, :-2, 1:-1] - y[:, 2:, 1:-1] - y[:, 1:-1, :-2] - y[:, 1:-1, 2:]).mean())
