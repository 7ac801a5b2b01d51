"""The world's vocabulary and the sampling of scenes.

Owns what can be in a clip. Invariant: `sample_scene(split, index)` depends on its two arguments alone, so clip
`index` of a split is the same clip on every run, and captions, pixels and labels all come from one `Scene`.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

WIDTH = HEIGHT = 128
FRAMES = 17
FPS = 8

SHAPES = ("ball", "box", "cylinder", "cone", "ring")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black")
PLACES = ("grass", "desert", "snow", "sea", "room")
TIMES = ("day", "sunset", "night")
MOTIONS = ("stay", "left", "right", "nearer", "away", "bounce", "fall", "rise", "spin", "circle")
CAMERAS = ("still", "pan_left", "pan_right", "zoom_in", "zoom_out", "orbit", "rise")
SPLITS = {"train": 1, "heldout": 2, "judge": 3}

# Linear-ish RGB albedo of each colour, in [0, 1].
COLOUR_RGB = {
    "red": (0.86, 0.10, 0.10), "orange": (0.98, 0.48, 0.06), "yellow": (0.98, 0.86, 0.12),
    "green": (0.10, 0.62, 0.18), "blue": (0.10, 0.28, 0.88), "purple": (0.48, 0.14, 0.72),
    "pink": (0.98, 0.48, 0.68), "brown": (0.42, 0.23, 0.10), "white": (0.95, 0.95, 0.95),
    "black": (0.07, 0.07, 0.08),
}


@dataclass
class Thing:
    """One object. Lengths are metres; the camera sees about 4.5 m of height at the world's origin."""
    shape: str
    colour: str
    motion: str
    rolls: bool            # turns as it travels, instead of sliding
    radius: float          # ball radius, box half side, cylinder, cone and ring (tube centre) radius
    half_height: float     # cylinder and cone half height, ring tube radius; otherwise equal to radius
    x: float
    z: float
    yaw: float             # radians
    amount: float          # in [0, 1]: how far or how fast within the motion's range
    phase: float           # in [0, 1]
    slot: int = 0          # place from left to right among the objects


@dataclass
class Scene:
    things: list[Thing]
    place: str
    time: str
    camera: str
    camera_amount: float   # in [0, 1]
    camera_jitter: tuple[float, float, float]
    texture: tuple[float, ...] = field(default=(0.0,) * 6)   # phases of ground, hills and clouds, radians


def is_held_out(colour: str, shape: str, place: str) -> bool:
    """Combinations that training never shows: one in ten, spread over every colour, shape and place."""
    return (COLOURS.index(colour) + 2 * SHAPES.index(shape) + 3 * PLACES.index(place)) % 10 == 0


def _motion_weights(place: str, camera: str, several: bool) -> np.ndarray:
    """Probability of each entry of MOTIONS. At sea nothing bounces; a moving camera mostly sees calm things."""
    w = np.array([1.2, 1.3, 1.3, 1.0, 1.0, 1.6, 1.1, 1.0, 1.1, 1.0])
    if place == "sea":
        w[MOTIONS.index("bounce")] = 0.0
    if camera != "still":
        w[MOTIONS.index("stay")] = 4.0
    if several:
        w[MOTIONS.index("stay")] = 5.0
    return w / w.sum()


def _size(shape: str, rng: np.random.Generator, scale: float) -> tuple[float, float]:
    u = rng.random()
    if shape == "ball":
        r = (0.62 + 0.30 * u) * scale
        return r, r
    if shape == "box":
        r = (0.52 + 0.22 * u) * scale
        return r, r
    if shape == "cylinder":
        return (0.46 + 0.18 * u) * scale, (0.62 + 0.20 * u) * scale
    if shape == "cone":
        return (0.62 + 0.22 * u) * scale, (0.72 + 0.24 * u) * scale
    return (0.58 + 0.16 * u) * scale, (0.20 + 0.05 * u) * scale


def _rolls(shape: str, motion: str, place: str, rng: np.random.Generator) -> bool:
    if place == "sea" or motion not in ("left", "right", "nearer", "away", "circle"):
        return False
    if shape == "ball":
        return True
    if shape == "cylinder":
        return motion != "circle" and rng.random() < 0.5
    return shape == "ring" and motion in ("left", "right", "circle")


def sample_scene(split: str, index: int) -> Scene:
    """Scene number `index` of a split. `heldout` scenes have one object of a held-out combination."""
    rng = np.random.default_rng([20261, SPLITS[split], index])
    place = PLACES[rng.integers(len(PLACES))]
    time = TIMES[rng.choice(3, p=[0.56, 0.22, 0.22])]
    camera = CAMERAS[rng.choice(7, p=[0.64, 0.06, 0.06, 0.06, 0.06, 0.06, 0.06])]
    count = 1 if split == "heldout" else int(rng.choice([1, 2, 3], p=[0.72, 0.2, 0.08]))
    scale = 1.0 if count == 1 else (0.72 if count == 2 else 0.6)
    slots = rng.permutation(count)
    used: list[tuple[str, str]] = []
    things = []
    for k in range(count):
        while True:
            colour = COLOURS[rng.integers(len(COLOURS))]
            shape = SHAPES[rng.integers(len(SHAPES))]
            wanted = is_held_out(colour, shape, place) == (split == "heldout")
            if split == "judge" or (wanted and (colour, shape) not in used):
                break
        used.append((colour, shape))
        motion = MOTIONS[rng.choice(len(MOTIONS), p=_motion_weights(place, camera, k > 0))]
        radius, half_height = _size(shape, rng, scale)
        slot = int(slots[k])
        x = (slot - (count - 1) / 2) * (2.1 if count == 2 else 1.45) + rng.uniform(-0.2, 0.2)
        z = rng.uniform(-0.3, 0.3)
        if count > 1 and motion in ("left", "right", "circle"):
            z -= 1.3 + 0.4 * k
        things.append(Thing(shape, colour, motion, _rolls(shape, motion, place, rng), radius, half_height, x, z,
                            rng.uniform(-0.5, 0.5), rng.random(), rng.random(), slot))
    return Scene(things, place, time, camera, rng.random(), tuple(rng.uniform(-1, 1, 3)),
                 tuple(rng.uniform(0, 2 * np.pi, 6)))
