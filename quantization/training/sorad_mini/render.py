"""From a `Scene` to pixels: light and colours of each place and time, and the clip itself.

    python -m sorad_mini.render --split train --count 24 --sheet sheet.png      a contact sheet to look at

Invariant: a clip is uint8 [F, H, W, 3], display-referred RGB, and depends on its scene alone.
"""
from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

import numpy as np

from . import raycast
from .motion import OUT_SECONDS, camera_pose, hoop_of, net_swing, thing_state
from .shapes import caster_spheres, hoop_spheres, hoop_template, place_parts, template
from .world import EVENTS, FPS, FRAMES, HEIGHT, KINDS, PLACES, WIDTH, Scene, Thing, sample_scene

# Sun or moon direction, colour and strength of its light, ambient light, and what the ground takes of both; horizon,
# zenith, glow round the disc, amount and colour of clouds, direction and colour of the disc.
LIGHT = {
    "day": dict(sun=(-0.45, 0.74, -0.52), colour=(1.0, 0.98, 0.93), strength=0.74, ambient=(0.44, 0.46, 0.50),
                ground=(0.95, 0.95, 0.95), horizon=(0.80, 0.90, 0.98), zenith=(0.26, 0.54, 0.92), glow=0.0, cloud=0.75,
                cloud_colour=(1.0, 1.0, 1.0), disc=(0.0, 1.0, 0.0), disc_colour=(1.0, 1.0, 1.0)),
    "sunset": dict(sun=(0.62, 0.52, -0.44), colour=(1.0, 0.88, 0.72), strength=0.74, ambient=(0.44, 0.40, 0.42),
                   ground=(0.94, 0.78, 0.62), horizon=(1.0, 0.62, 0.30), zenith=(0.44, 0.30, 0.56), glow=0.9, cloud=0.5,
                   cloud_colour=(1.0, 0.50, 0.42), disc=(0.22, 0.10, 1.0), disc_colour=(1.0, 0.80, 0.42)),
    "night": dict(sun=(-0.50, 0.72, -0.50), colour=(0.95, 0.96, 1.0), strength=0.66, ambient=(0.35, 0.355, 0.39),
                  ground=(0.60, 0.59, 0.68), horizon=(0.10, 0.14, 0.30), zenith=(0.02, 0.03, 0.12), glow=0.25, cloud=0.0,
                  cloud_colour=(0.1, 0.1, 0.2), disc=(-0.20, 0.14, 1.0), disc_colour=(0.90, 0.92, 1.0)),
}
# two ground tones, hill colour by day, hill height (0: none)
GROUND = {
    "grass": ((0.26, 0.52, 0.16), (0.40, 0.66, 0.24), (0.30, 0.50, 0.30), 0.10),
    "desert": ((0.82, 0.62, 0.36), (0.94, 0.78, 0.52), (0.86, 0.68, 0.46), 0.07),
    "snow": ((0.84, 0.88, 0.94), (0.97, 0.98, 1.0), (0.74, 0.80, 0.90), 0.16),
    "sea": ((0.05, 0.26, 0.44), (0.13, 0.42, 0.58), (0.0, 0.0, 0.0), 0.0),
    "road": ((0.28, 0.48, 0.20), (0.38, 0.58, 0.26), (0.34, 0.48, 0.34), 0.09),
    "beach": ((0.86, 0.72, 0.48), (0.95, 0.84, 0.62), (0.0, 0.0, 0.0), 0.0),
    "room": ((0.56, 0.38, 0.22), (0.68, 0.49, 0.30), (0.82, 0.76, 0.66), 0.0),
}
ROOM_LIGHT = {
    "day": dict(colour=(1.0, 0.98, 0.94), strength=0.60, ambient=(0.50, 0.49, 0.48), wall=1.0, ground=(0.95, 0.95, 0.95)),
    "sunset": dict(colour=(1.0, 0.86, 0.68), strength=0.60, ambient=(0.47, 0.42, 0.40), wall=0.82, ground=(0.9, 0.8, 0.7)),
    "night": dict(colour=(0.96, 0.90, 0.78), strength=0.58, ambient=(0.35, 0.34, 0.37), wall=0.44, ground=(0.6, 0.6, 0.64)),
}
WATER_RGB = (0.10, 0.40, 0.56)      # of the sea behind a beach
LAMP_LIT = {"day": 0.12, "sunset": 0.6, "night": 1.0}     # how bright lamps and windows shine
FLAME_LIT = {"day": 0.25, "sunset": 0.65, "night": 1.0}    # how much a flame adds to the light around it


def environment(scene: Scene) -> np.ndarray:
    """env [51]: 0 light direction, 3 ambient, 6 light colour, 9 horizon, 12 zenith, 15 place, 16 fog per metre,
    17 light strength, 18 and 21 ground tones, 24 hill or wall colour, 27 hill height or window offset, 28 cloud,
    29 glow, 30 phases, 34 cloud colour, 37 direction of sun or moon disc, 40 phase of the waves (the caller sets it),
    42 disc colour, 45 colour of the sea behind a beach, 48 what the ground takes of the light."""
    sky, ground = LIGHT[scene.time], GROUND[scene.place]
    env = np.zeros(51)
    room = ROOM_LIGHT[scene.time] if scene.place == "room" else None
    lit = room or sky
    env[0:3] = np.array(sky["sun"] if room is None else (-0.35, 0.80, -0.48))
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
    disc = np.array(sky["disc"]) + (0.12 * np.sin(scene.texture[4]), 0.03 * np.sin(scene.texture[5]), 0.0)
    env[34:37], env[37:40] = sky["cloud_colour"], disc / np.linalg.norm(disc)
    env[42:45], env[45:48], env[48:51] = sky["disc_colour"], WATER_RGB, lit["ground"]
    if scene.event == "candle_out":
        env[17] *= 0.55
        env[3:6] *= 0.75
        if room is not None:
            env[24:27] *= 0.75
    return env


def flame_life(scene: Scene, t: float) -> float:
    """Size in [0, 1] of the flames of a scene's candles: 1, or shrinking to 0 when they are blown out."""
    return min(1.0, max(0.0, (OUT_SECONDS + 0.1 - t) / 0.15)) if scene.event == "candle_out" else 1.0


@dataclass
class Frame:
    """The arrays that `raycast.render_frame` takes, but for the camera."""
    parts: np.ndarray
    things: np.ndarray
    casters: np.ndarray
    lights: np.ndarray
    puffs: np.ndarray


class Stage:
    """A scene made ready to be rendered at any time."""

    def __init__(self, scene: Scene) -> None:
        self.scene = scene
        self.hoop = hoop_of(scene)
        self.templates = [template(thing) for thing in scene.things]
        self.spheres = [caster_spheres(thing) for thing in scene.things]
        if self.hoop:
            self.templates.append(hoop_template(self.hoop))
            self.spheres.append(hoop_spheres(self.hoop))
        self.burning = sum(thing.kind in ("lamp", "candle") for thing in scene.things)
        self.part_ends = np.cumsum([len(rows) for rows in self.templates]).tolist()
        self.sphere_ends = np.cumsum([len(rows) for rows in self.spheres]).tolist()
        # joints and flames move a little beyond where the template has them
        self.bounds = [1.08 * float((np.linalg.norm(rows[:, 1:4], axis=1) + rows[:, 13]).max()) for rows in self.templates]

    def frame(self, t: float) -> Frame:
        """Everything that stands, moves, shines or smokes at time t seconds."""
        scene = self.scene
        frame = Frame(np.empty((self.part_ends[-1], 28)), np.zeros((len(self.templates), 8)),
                      np.empty((self.sphere_ends[-1], 5)), np.empty((0, 7)), np.empty((0, 8)))
        lights, puffs = [], []
        life = flame_life(scene, t)
        for k, thing in enumerate(scene.things):
            centre, turn, gone = thing_state(thing, scene, t)
            stride = 0.0
            if thing.kind == "dog":
                stride = min(1.0, abs(thing_state(thing, scene, t + 0.05)[2] - gone) / 0.05 / 0.8)
                gone /= thing.radius
            self._place(frame, k, centre, turn, gone, stride, t, life)
            if thing.kind == "lamp":
                self._shine(thing, centre, turn, lights, puffs)
            elif thing.kind == "candle":
                self._burn(thing, centre, turn, t, life, lights, puffs)
        if self.hoop:
            self._place(frame, len(scene.things), np.array(self.hoop.centre), np.eye(3), 0.0, 0.0, t, 0.0)
        if puffs:
            frame.puffs = np.array(puffs)
        if lights:
            frame.lights = np.array(lights)
        return frame

    def _place(self, frame: Frame, k: int, centre: np.ndarray, turn: np.ndarray, gone: float, stride: float, t: float,
               life: float) -> None:
        """Puts template k, a thing or the hoop, into the frame's arrays."""
        end, sphere_end, hoop = self.part_ends[k], self.sphere_ends[k], k == len(self.scene.things)
        first, first_sphere = end - len(self.templates[k]), sphere_end - len(self.spheres[k])
        swing, pull = net_swing(self.scene, t) if hoop else (0.0, 0.0)
        place_parts(self.templates[k], self.spheres[k], centre, turn, k, gone, stride, t, life, LAMP_LIT[self.scene.time],
                    swing, pull, frame.parts[first:end], frame.casters[first_sphere:sphere_end])
        frame.things[k, 0:3] = centre
        frame.things[k, 3:7] = self.bounds[k] + abs(swing) + abs(pull), first, end, -1 if hoop else k

    def _shine(self, lamp: Thing, centre: np.ndarray, turn: np.ndarray, lights: list, puffs: list) -> None:
        """Adds a lamp's light and its glow."""
        lit = LAMP_LIT[self.scene.time]
        if lit > 0.2:
            strength = 0.62 * lit / math.sqrt(self.burning)
            lights.append([*(centre + 0.5 * lamp.radius * turn[:, 1]), strength, 0.84 * strength, 0.58 * strength, 1.6])
            puffs.append([*(centre + 0.8 * lamp.radius * turn[:, 1]), 1.25 * lamp.radius, 1.0, 0.86, 0.60, 0.28 * lit])

    def _burn(self, candle: Thing, centre: np.ndarray, turn: np.ndarray, t: float, life: float, lights: list,
              puffs: list) -> None:
        """Adds the light, the glow and the smoke of a candle whose flame has size `life`."""
        place = centre + 0.95 * candle.radius * turn[:, 1]
        lit = FLAME_LIT[self.scene.time] * life * (1.0 + 0.05 * math.sin(13.0 * t))
        if life > 0.0:
            strength = 0.80 * lit / math.sqrt(self.burning)
            lights.append([*place, strength, 0.68 * strength, 0.34 * strength, 1.7])
            puffs.append([*place, 0.75 * candle.radius, 1.0, 0.72, 0.30, 0.45 * lit])
        puffs += self._smoke(place, t)

    def _smoke(self, wick: np.ndarray, t: float) -> list[list[float]]:
        """Wisps of smoke over a candle that has been blown out."""
        if self.scene.event != "candle_out":
            return []
        tone = 0.62 if self.scene.time == "night" else 0.72
        wisps = []
        for k in range(12):
            age = t - OUT_SECONDS - 0.12 * k
            if 0.0 < age < 2.0:
                sway = 0.10 * math.sin(3.0 * age + 0.9 * k) * age
                wisps.append([wick[0] + sway, wick[1] + 0.75 * age - 0.12, wick[2], 0.11 + 0.15 * age,
                              tone, tone, 1.04 * tone, 0.62 * min(1.0, 8.0 * age) * math.exp(-1.2 * age)])
        return wisps


def camera_row(scene: Scene, t: float, width: int, height: int) -> np.ndarray:
    """camera [14] of `raycast` at time t seconds for a picture of this shape."""
    position, axes, tangent = camera_pose(scene, t)
    shorter = min(width, height)
    return np.concatenate([position, axes.ravel(), [tangent * width / shorter, tangent * height / shorter]])


def render_clip(scene: Scene, width: int = WIDTH, height: int = HEIGHT, frames: int = FRAMES, truth: bool = False,
                fps: float = FPS):
    """The whole clip, uint8 [F, H, W, 3], `fps` frames in a second. With `truth` also, per pixel, identity int8 [F, H, W] (the index of the thing
    that is seen, or -1) and depth float16 [F, H, W] (metres along the camera's axis; sky 1000)."""
    clip = np.empty((frames, height, width, 3), np.uint8)
    identity = np.empty((frames, height, width), np.int8)
    depth = np.empty((frames, height, width), np.float32)
    memory = np.full((height, width, 12), -1.0, np.float32)
    stage, env, camera = Stage(scene), environment(scene), camera_row(scene, scene.start, width, height)
    still = scene.camera == "still"
    for f in range(frames):
        t = scene.start + f / fps
        frame = stage.frame(t)
        env[40] = 1.6 * t
        if not still:
            camera = camera_row(scene, t, width, height)
        elif f > 0:
            clip[f], identity[f], depth[f] = clip[f - 1], identity[f - 1], depth[f - 1]
        raycast.render_frame(camera, frame.parts, frame.things, frame.casters, frame.lights, frame.puffs, env, memory,
                             still, clip[f], identity[f], depth[f])
    return (clip, identity, depth.astype(np.float16)) if truth else clip


def contact_sheet(clips: list[np.ndarray], path: str, frames: tuple[int, ...] = (0, 4, 8, 12, 16),
                  columns: int = 2) -> None:
    """Writes a PNG with one row of frames per clip, `columns` clips side by side."""
    from PIL import Image
    strips = [np.concatenate([clip[f] for f in frames], axis=1) for clip in clips]
    while len(strips) % columns:
        strips.append(np.zeros_like(strips[0]))
    rows = [np.concatenate(strips[i:i + columns], axis=1) for i in range(0, len(strips), columns)]
    Image.fromarray(np.concatenate(rows, axis=0)).save(path)


def describe(scene: Scene) -> str:
    """One line for the eye beside a contact sheet."""
    groups = "; ".join(f"{g.count} {g.size} {g.colour} {g.kind} {g.speed} {g.motion}" + (f" then {g.then}" if g.then else "")
                       for g in scene.groups)
    extra = "".join(f" [{v}]" for v in (scene.relation and scene.relation[0], scene.event) if v)
    return f"{groups} | {scene.place} {scene.time} {scene.camera}{extra} from {scene.start:.1f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--split", default="train")
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--count", type=int, default=24)
    parser.add_argument("--size", type=int, nargs=2, default=(WIDTH, HEIGHT), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--event", choices=EVENTS)
    parser.add_argument("--kind", choices=KINDS)
    parser.add_argument("--sheet", required=True)
    args = parser.parse_args()
    clips, spent, index = [], 0.0, args.start
    while len(clips) < args.count:
        scene = sample_scene(args.split, index)
        index += 1
        if args.event not in (None, scene.event) or (args.kind and all(g.kind != args.kind for g in scene.groups)):
            continue
        began = time.process_time()
        clips.append(render_clip(scene, *args.size))
        spent += time.process_time() - began if len(clips) > 1 else 0.0
        print(index - 1, describe(scene))
    print(f"{(args.count - 1) / max(spent, 1e-9):.1f} clips/s")
    contact_sheet(clips, args.sheet)


if __name__ == "__main__":
    main()
