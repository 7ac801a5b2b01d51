"""What the autoencoder alone costs: rendered clips of the judge's split through it and back.

    cd quantization && PYTHONPATH=training python -m evaluate.roundtrip --work DIR [--clips 24] [--json FILE]

DIR is a folder of training with autoencoder.pt. Prints of what comes back:
PSNR whole, where things move (wanted 29 dB) and of first frames; steps at the borders of grids over those elsewhere, as a
multiple of the truth's; flicker of what is at rest; how far the area of a ball that moves sideways varies (wanted ±5 %).
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

NEAR = 6        # pixels around a thing in which its pixels are looked for
GRIDS = (2, 4, 8, 16)


def widened(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask [H, W] widened by so many pixels along both axes."""
    out = mask.copy()
    for axis in (0, 1):
        source = out.copy()
        for step in range(1, pixels + 1):
            for sign in (-1, 1):
                moved = np.roll(source, sign * step, axis)
                edge = [slice(None)] * 2
                edge[axis] = slice(0, step) if sign > 0 else slice(-step, None)
                moved[tuple(edge)] = False
                out |= moved
    return out


def is_whole(mask: np.ndarray) -> bool:
    """The thing is seen, and far enough from the picture's edge to be counted."""
    return bool(mask.any()) and not widened(mask, NEAR)[[0, -1]].any() and not widened(mask, NEAR)[:, [0, -1]].any()


def areas(clip: np.ndarray, masks: np.ndarray) -> dict[int, int]:
    """Pixels of a thing in each frame in which it is whole; nothing where the background behind it is never seen.

    clip uint8 [F, H, W, 3], masks bool [F, H, W] of the truth. A pixel near the thing is the thing's when its color is nearer
    to the thing's mean color in the frame than to the background, which is the median of the frames without the thing there.
    """
    x = clip.astype(np.float32)
    hidden = np.stack([widened(mask, 2) for mask in masks])
    if hidden.all(0).any():
        return {}
    background = np.nanmedian(np.where(hidden[..., None], np.nan, x), axis=0)
    found = {}
    for number, (frame, mask) in enumerate(zip(x, masks)):
        if is_whole(mask):
            toward = frame[mask].mean(0) - background
            share = ((frame - background) * toward).sum(-1) / np.maximum(1e-3, (toward ** 2).sum(-1))
            found[number] = int(((share > 0.5) & widened(mask, NEAR)).sum())
    return found


def area_variation(clip: np.ndarray, truth: np.ndarray, masks: np.ndarray) -> float | None:
    """Half of the range of the area over the truth's area, by its mean; None where the thing is whole in fewer than four frames.

    Over the truth's: a ball looks larger at the picture's edge, and its shaded side is like its shadow.
    """
    made, true = areas(clip, masks), areas(truth, masks)
    ratios = [made[number] / true[number] for number in true if true[number]]
    return (max(ratios) - min(ratios)) / 2 / float(np.mean(ratios)) if len(ratios) >= 4 else None


def flicker(clip: np.ndarray, resting: np.ndarray) -> float:
    """Mean step of luma, in units of 8 bits, of the pixels that rest. resting bool [F, H, W]."""
    from .judge.measures import luma
    still = resting[1:] & resting[:-1]
    return float(np.abs(np.diff(luma(clip), axis=0))[still].mean()) if still.any() else 0.0


def rolls_sideways(scene) -> bool:
    return (len(scene.things) == 1 and scene.things[0].kind == "ball" and scene.things[0].motion in ("left", "right")
            and scene.things[0].then is None and scene.camera == "still" and scene.event is None)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args(given)
    import torch
    from sorad_mini.cache import load_trained
    from sorad_mini.losses import grid_ratio, motion_mask, psnr, to_float
    from sorad_mini.render import render_clip
    from sorad_mini.world import sample_scene

    from .judge.sight import SPAN
    torch.set_num_threads(1)
    model, found = load_trained(args.work), {}

    def there_and_back(clip: np.ndarray):
        x = to_float(clip[None])
        with torch.no_grad():
            made = model.decode(model.encode(x)).clamp(0, 1)
        return x, made, made[0].permute(0, 2, 3, 1).mul(255).round().byte().numpy()

    def add(name: str, value: float | None) -> None:
        if value is not None:
            found.setdefault(name, []).append(value)
    for i in range(args.clips):
        clip = render_clip(sample_scene("judge", i), 128, 128, SPAN)
        x, made, back = there_and_back(clip)
        add("PSNR, dB", psnr(made - x))
        add("PSNR where things move, dB", psnr(made - x, motion_mask(x)))
        add("PSNR of the first frame, dB", psnr((made - x)[:, :1]))
        for period in GRIDS:
            add(f"grid of {period}", grid_ratio(made, period) / grid_ratio(x, period))
        resting = motion_mask(x, 0.004)[0, :, 0].numpy() == 0
        add("flicker at rest, of 255", flicker(back, resting))
        add("flicker at rest, truth", flicker(clip, resting))
    balls, index = 0, 0
    while balls < max(1, args.clips // 4) and index < 5000:
        scene, index = sample_scene("judge", index), index + 1
        if not rolls_sideways(scene):
            continue
        clip, identity, _ = render_clip(scene, 128, 128, SPAN, truth=True)
        if len(areas(clip, identity == 0)) >= 4:
            balls += 1
            add("a ball's area varies by ±", area_variation(there_and_back(clip)[2], clip, identity == 0))
    said = {name: {"mean": float(np.mean(values)), "worst": float(np.min(values) if "dB" in name else np.max(values)), "count": len(values)}
            for name, values in found.items()}
    for name, value in said.items():
        print(f"{name:32} {value['mean']:8.3f}   worst {value['worst']:8.3f}   of {value['count']}")
    if args.json:
        args.json.write_text(json.dumps(said, indent=1) + "\n")


if __name__ == "__main__":
    main()
