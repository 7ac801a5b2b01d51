"""Clips of pictures from outside the world, so that a picture that a user brings is kept.

A canvas of dead leaves (discs, boxes and triangles that hide one another, their sizes by a power law) over clouds of
1/f noise has the statistics of photographs (Lee, Mumford and Huang 2001, Int. J. Computer Vision 41; networks learn to
see from it, Baradad et al. 2021, arXiv 2106.05963). A camera rests before it, turns, rises or comes nearer. These clips
are only trained on with their first frame known, so that no prompt ever leads to them.

    python -m sorad_mini.foreign --count 12 --sheet sheet.png       a contact sheet to look at
"""
from __future__ import annotations

import argparse
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from .world import FRAMES, HEIGHT, WIDTH, Scene, sample_scene

CAMERAS = ("still", "pan_left", "pan_right", "rise", "zoom_in", "zoom_out")     # those that need no depth
CAMERA_SHARES = (0.45, 0.11, 0.11, 0.11, 0.11, 0.11)
WINDOW = 0.62           # share of the canvas's side that a frame shows
SCENES_APART = 97       # captions of neighbouring clips come from scenes so far apart


def _clouds(rng: np.random.Generator, side: int) -> np.ndarray:
    """[side, side, 3] in [0, 1]: noise of several scales, the coarse ones strongest."""
    steepness, total = rng.uniform(0.7, 1.4), np.zeros((side, side, 3), np.float32)
    for octave in range(1, 6):
        cells = 2 ** octave
        grid = Image.fromarray((255 * rng.random((cells, cells, 3))).astype(np.uint8))
        layer = np.asarray(grid.resize((side, side), Image.Resampling.BICUBIC), np.float32) / 255
        total += (layer - 0.5) * cells ** -steepness
    total *= rng.uniform(0.2, 0.5) / (total.std() + 1e-6)
    grey = total.mean(2, keepdims=True)
    return np.clip(rng.uniform(0.2, 0.8) + rng.normal(0, 0.12, 3) + grey + rng.uniform(0, 0.5) * (total - grey), 0, 1).astype(np.float32)


def _leaves(rng: np.random.Generator, canvas: Image.Image) -> None:
    """Draws up to 150 shapes, the large ones rare, in a palette of a few colors."""
    side, draw = canvas.width, ImageDraw.Draw(canvas)
    palette = rng.random((int(rng.integers(3, 9)), 3))
    palette += rng.uniform(0.0, 0.85) * (palette.mean(1, keepdims=True) - palette)
    smallest = rng.uniform(0.02, 0.06)
    for _ in range(int(rng.integers(0, 150))):
        radius = side * min(0.35, smallest * (1 - rng.random()) ** -0.5)
        x, y = rng.uniform(0, side, 2)
        color = palette[rng.integers(len(palette))] + rng.normal(0, 0.1) + rng.normal(0, 0.03, 3)
        fill = tuple(int(v) for v in np.clip(255 * color, 0, 255))
        kind, flat = rng.integers(3), rng.uniform(0.3, 1.0)
        if kind == 0:
            draw.ellipse((x - radius, y - flat * radius, x + radius, y + flat * radius), fill)
            continue
        angle = rng.uniform(0, 2 * np.pi) + np.arange(4 if kind == 1 else 3) * (np.pi / 2 if kind == 1 else 2 * np.pi / 3)
        draw.polygon([(x + radius * np.cos(a), y + flat * radius * np.sin(a)) for a in angle], fill)


def canvas(rng: np.random.Generator, side: int) -> Image.Image:
    """A picture to look at: clouds, leaves, light that falls unevenly, a little blur."""
    picture = Image.fromarray((255 * _clouds(rng, side)).astype(np.uint8))
    _leaves(rng, picture)
    light = 1 + rng.uniform(0, 0.5) * (_clouds(rng, side).mean(2, keepdims=True) - 0.5)
    lit = Image.fromarray(np.clip(np.asarray(picture) * light, 0, 255).astype(np.uint8))
    return lit.filter(ImageFilter.GaussianBlur(rng.uniform(0.3, 1.2)))


def _random(number: int) -> np.random.Generator:
    return np.random.default_rng([9, number])


def foreign_camera(number: int) -> str:
    return CAMERAS[_random(number).choice(len(CAMERAS), p=CAMERA_SHARES)]


@lru_cache(maxsize=4096)
def foreign_scene(number: int) -> Scene:
    """The scene whose captions stand beside clip `number`: its camera does what the clip's does. Its things are not in
    the picture, and so do not come."""
    camera, index = foreign_camera(number), number * SCENES_APART
    while (scene := sample_scene("train", index)).camera != camera:
        index += 1
    return scene


def foreign_clip(number: int, width: int = WIDTH, height: int = HEIGHT, frames: int = FRAMES) -> np.ndarray:
    """uint8 [F, H, W, 3]: a canvas under a camera that goes evenly."""
    camera, rng = foreign_camera(number), np.random.default_rng([10, number])
    side = round(max(width, height) / WINDOW)
    picture, amount = canvas(rng, side), rng.uniform(0.08, 0.30)
    x, y = rng.uniform(0.35, 0.65, 2) * side
    clip = np.empty((frames, height, width, 3), np.uint8)
    for f in range(frames):
        gone = amount * f / (frames - 1)
        scale = {"zoom_in": 1 - gone, "zoom_out": 1 - amount + gone}.get(camera, 1.0)
        left = x + side * WINDOW * gone * {"pan_left": -1, "pan_right": 1}.get(camera, 0) - scale * width / 2
        top = y - side * WINDOW * gone * (camera == "rise") - scale * height / 2
        left = min(max(left, 0.0), side - scale * width)
        top = min(max(top, 0.0), side - scale * height)
        clip[f] = np.asarray(picture.transform((width, height), Image.Transform.AFFINE, (scale, 0, left, 0, scale, top),
                                               Image.Resampling.BICUBIC))
    return clip


def main() -> None:
    from .render import contact_sheet
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--size", type=int, nargs=2, default=(WIDTH, HEIGHT), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--sheet", required=True)
    args = parser.parse_args()
    contact_sheet([foreign_clip(k, *args.size) for k in range(args.count)], args.sheet)
    for k in range(args.count):
        print(k, foreign_camera(k))


if __name__ == "__main__":
    main()
