"""From a `Scene` to pixels: light and colours of each place and time, and the clip itself.

    python -m sorad_mini.render --split train --count 24 --sheet sheet.png      a contact sheet to look at

Invariant: a clip is uint8 [F, H, W, 3], display-referred RGB, and depends on its scene alone.
"""
from __future__ import annotations

import argparse
import time

import numpy as np

from . import raycast
from .captions import caption
from .motion import camera_pose, thing_pose
from .world import COLOUR_RGB, FPS, FRAMES, HEIGHT, PLACES, SHAPES, WIDTH, Scene, sample_scene

# sun or moon direction, its colour, its strength, ambient, horizon, zenith, sky-glow, cloud strength and colour
LIGHT = {
    "day": dict(sun=(-0.45, 0.80, -0.40), colour=(1.0, 0.97, 0.90), strength=0.72, ambient=(0.40, 0.43, 0.48),
                horizon=(0.80, 0.90, 0.98), zenith=(0.26, 0.54, 0.92), glow=0.0, cloud=0.75,
                cloud_colour=(1.0, 1.0, 1.0), disc=(0.0, 1.0, 0.0)),
    "sunset": dict(sun=(0.62, 0.48, -0.30), colour=(1.0, 0.74, 0.48), strength=0.72, ambient=(0.42, 0.34, 0.36),
                   horizon=(1.0, 0.62, 0.30), zenith=(0.44, 0.30, 0.56), glow=0.9, cloud=0.5,
                   cloud_colour=(1.0, 0.50, 0.42), disc=(0.22, 0.10, 1.0)),
    "night": dict(sun=(-0.50, 0.75, -0.30), colour=(0.74, 0.80, 1.0), strength=0.50, ambient=(0.22, 0.23, 0.33),
                  horizon=(0.10, 0.14, 0.30), zenith=(0.02, 0.03, 0.12), glow=0.25, cloud=0.0,
                  cloud_colour=(0.1, 0.1, 0.2), disc=(-0.20, 0.14, 1.0)),
}
# two ground tones, hill colour by day, hill height (0: none)
GROUND = {
    "grass": ((0.26, 0.52, 0.16), (0.40, 0.66, 0.24), (0.30, 0.50, 0.30), 0.10),
    "desert": ((0.82, 0.62, 0.36), (0.94, 0.78, 0.52), (0.86, 0.68, 0.46), 0.07),
    "snow": ((0.84, 0.88, 0.94), (0.97, 0.98, 1.0), (0.74, 0.80, 0.90), 0.16),
    "sea": ((0.05, 0.26, 0.44), (0.13, 0.42, 0.58), (0.0, 0.0, 0.0), 0.0),
    "room": ((0.56, 0.38, 0.22), (0.68, 0.49, 0.30), (0.82, 0.76, 0.66), 0.0),
}
ROOM_LIGHT = {
    "day": dict(colour=(1.0, 0.97, 0.92), strength=0.55, ambient=(0.48, 0.47, 0.46), wall=1.0),
    "sunset": dict(colour=(1.0, 0.74, 0.48), strength=0.55, ambient=(0.45, 0.36, 0.32), wall=0.8),
    "night": dict(colour=(0.9, 0.80, 0.60), strength=0.35, ambient=(0.24, 0.23, 0.28), wall=0.42),
}


def environment(scene: Scene) -> np.ndarray:
    """env [40]: 0 light direction, 3 ambient, 6 light colour, 9 horizon, 12 zenith, 15 place, 16 fog per metre,
    17 light strength, 18 and 21 ground tones, 24 hill or wall colour, 27 hill height or window offset, 28 cloud,
    29 glow, 30 phases, 34 cloud colour, 37 direction of sun or moon disc."""
    sky, ground = LIGHT[scene.time], GROUND[scene.place]
    env = np.zeros(40)
    room = ROOM_LIGHT[scene.time] if scene.place == "room" else None
    lit = room or sky
    env[0:3] = np.array(sky["sun"] if room is None else (-0.35, 0.88, -0.32))
    env[0:3] /= np.linalg.norm(env[0:3])
    env[3:6], env[6:9], env[17] = lit["ambient"], lit["colour"], lit["strength"]
    env[9:12], env[12:15], env[15] = sky["horizon"], sky["zenith"], PLACES.index(scene.place)
    env[16] = 0.03
    env[18:21], env[21:24] = ground[0], ground[1]
    if room is None:
        shade = np.array(sky["ambient"]) * 1.1 + 0.45 * sky["strength"] * np.array(sky["colour"])
        env[24:27] = 0.72 * np.array(ground[2]) * shade + 0.28 * np.array(sky["horizon"])
        env[27] = ground[3]
    else:
        env[24:27] = np.array(ground[2]) * room["wall"] * (0.6 + 0.4 * np.array(room["colour"]))
        env[27] = 1.6 * np.sin(scene.texture[0])
    env[28], env[29] = sky["cloud"], sky["glow"]
    env[30:34] = scene.texture[:4]
    env[34:37], env[37:40] = sky["cloud_colour"], np.array(sky["disc"]) / np.linalg.norm(sky["disc"])
    return env


def frame_things(scene: Scene, t: float) -> np.ndarray:
    """things [n, 24] of `raycast` at time t seconds."""
    rows = np.zeros((len(scene.things), 24))
    for row, thing in zip(rows, scene.things):
        centre, turn = thing_pose(thing, scene, t)
        row[0], row[1:4], row[4:13] = SHAPES.index(thing.shape), centre, turn.T.ravel()
        row[13], row[14], row[15:18] = thing.radius, thing.half_height, COLOUR_RGB[thing.colour]
        a, b = thing.radius, thing.half_height
        row[18] = {"ball": a, "box": 1.7321 * a, "cylinder": np.hypot(a, b), "cone": np.hypot(a, b),
                   "ring": a + b}[thing.shape]
    return rows


def render_clip(scene: Scene, width: int = WIDTH, height: int = HEIGHT, frames: int = FRAMES) -> np.ndarray:
    """The whole clip, uint8 [F, H, W, 3]."""
    clip = np.empty((frames, height, width, 3), np.uint8)
    surfaces = np.empty((height, width), np.int32)
    env = environment(scene)
    for f in range(frames):
        position, axes, tangent = camera_pose(scene, f / FPS)
        camera = np.concatenate([position, axes.ravel(), [tangent]])
        raycast.render_frame(camera, frame_things(scene, f / FPS), env, surfaces, clip[f])
    return clip


def contact_sheet(clips: list[np.ndarray], path: str, frames: tuple[int, ...] = (0, 4, 8, 12, 16),
                  columns: int = 2) -> None:
    """Writes a PNG with one row of frames per clip, `columns` clips side by side."""
    from PIL import Image
    strips = [np.concatenate([clip[f] for f in frames], axis=1) for clip in clips]
    while len(strips) % columns:
        strips.append(np.zeros_like(strips[0]))
    rows = [np.concatenate(strips[i:i + columns], axis=1) for i in range(0, len(strips), columns)]
    Image.fromarray(np.concatenate(rows, axis=0)).save(path)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--split", default="train")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--sheet", required=True)
    args = parser.parse_args()
    clips, began = [], time.perf_counter()
    for i in range(args.start, args.start + args.count):
        scene = sample_scene(args.split, i)
        clips.append(render_clip(scene))
        if i == args.start:
            began = time.perf_counter()
        print(i, caption(scene, np.random.default_rng(i)))
    print(f"{(args.count - 1) / (time.perf_counter() - began):.1f} clips/s")
    contact_sheet(clips, args.sheet)


if __name__ == "__main__":
    main()
