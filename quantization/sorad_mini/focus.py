"""Where the objects of a clip are, as a weight for each latent position.

The place and the time of day fill the picture and are learned first; what a prompt is mostly about covers a quarter
of it. Weighing those positions more while training, and evenly again at its end, teaches objects in fewer steps.
"""
from __future__ import annotations

import numpy as np

from .motion import camera_pose, thing_pose
from .world import FPS, FRAMES, HEIGHT, Scene

CELL = 16               # pixels per latent position, across and down
GROUP = 4               # pictures per latent frame, after the first, which stands alone


def object_mask(scene: Scene) -> np.ndarray:
    """bool [T, h, w]: latent positions that a visible object's bounding circle touches, margin of a quarter cell."""
    size = HEIGHT // CELL
    mask = np.zeros((1 + (FRAMES - 1) // GROUP, size, size), bool)
    centre = (np.arange(size) + 0.5) * CELL
    for frame in range(0, FRAMES, 2):
        t = frame / FPS
        position, axes, tangent = camera_pose(scene, t)
        for thing in scene.things:
            x, y, depth = axes @ (thing_pose(thing, scene, t)[0] - position)
            if depth <= 0.1:
                continue
            scale = HEIGHT / 2 / (tangent * depth)
            column, row = HEIGHT / 2 + x * scale, HEIGHT / 2 - y * scale
            reach = max(thing.radius, thing.half_height) * scale + CELL / 4
            near = np.maximum(np.abs(centre - column) - CELL / 2, 0)[None] ** 2
            near = near + np.maximum(np.abs(centre - row) - CELL / 2, 0)[:, None] ** 2
            mask[(frame + GROUP - 1) // GROUP] |= near <= reach ** 2
    return mask
