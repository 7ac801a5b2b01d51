"""The world's vocabulary and the sampling of scenes.

Owns what can be in a clip. Invariant: `sample_scene(split, index)` depends on its two arguments alone, so clip
`index` of a split is the same clip on every run, and captions, pixels and labels all come from one `Scene`.

Axes: x to the viewer's right, y up, z away from the viewer; metres. The camera stands near (0, 1.75, -CAMERA_DISTANCE)
and sees about 4.5 m of width and height at z = 0.
"""
from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

WIDTH = HEIGHT = 128
FRAMES = 17
FPS = 8
LONGEST_SECONDS = 60.0

KINDS = ("ball", "box", "cylinder", "cone", "ring", "pyramid", "star", "heart", "tree", "house", "car", "boat", "lamp",
         "chair", "candle", "dog", "balloon")
COLOURS = ("red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "white", "black", "gray")
SIZES = ("small", "normal", "large")
PLACES = ("grass", "desert", "snow", "sea", "room", "road", "beach")
TIMES = ("day", "sunset", "night")
MOTIONS = ("stay", "left", "right", "nearer", "away", "bounce", "fall", "rise", "spin", "circle")
SPEEDS = ("slow", "normal", "fast")
CAMERAS = ("still", "pan_left", "pan_right", "zoom_in", "zoom_out", "orbit", "rise")
RELATIONS = ("left_of", "right_of", "in_front_of", "behind", "on_top_of")
EVENTS = ("candle_out", "chair_down", "through_hoop", "dogs_run", "leaves_returns", "passes_behind")
SPLITS = {"train": 1, "heldout": 2, "judge": 3}

TRAVELS = ("left", "right", "nearer", "away", "circle")     # motions along the ground
FACING = ("car", "boat", "dog")                             # kinds whose front looks where they travel
ROLLING = ("ball", "ring", "cylinder")
STACKABLE = ("ball", "box", "cylinder", "cone", "ring", "pyramid", "star", "heart", "lamp", "candle", "dog")

# Linear-ish RGB albedo of each colour, in [0, 1].
COLOUR_RGB = {
    "red": (0.86, 0.08, 0.09), "orange": (0.98, 0.46, 0.04), "yellow": (0.98, 0.86, 0.12),
    "green": (0.08, 0.60, 0.18), "blue": (0.09, 0.27, 0.90), "purple": (0.46, 0.13, 0.72),
    "pink": (0.99, 0.50, 0.70), "brown": (0.42, 0.22, 0.09), "white": (0.96, 0.96, 0.96),
    "black": (0.06, 0.06, 0.07), "gray": (0.47, 0.48, 0.50),
}

# The camera's distance from z = 0 in metres, and the tangent of half the angle that the picture's shorter side spans.
CAMERA_DISTANCE, CAMERA_TANGENT = 6.6, 0.345
WIDEST_ASPECT = 1.5

# Per kind: `radius` of a thing of normal size that is alone, least and most, in metres; then half height and reach
# (radius of the upright cylinder that holds it) as multiples of `radius`.
GEOMETRY = {
    "ball": (0.62, 0.78, 1.0, 1.0), "box": (0.54, 0.66, 1.0, 1.3), "cylinder": (0.50, 0.60, 1.3, 1.0),
    "cone": (0.66, 0.80, 1.2, 1.0), "ring": (0.58, 0.70, 1.32, 1.32), "pyramid": (0.70, 0.84, 0.95, 1.3),
    "star": (0.82, 0.98, 0.905, 0.97), "heart": (0.78, 0.92, 0.95, 1.02), "tree": (0.64, 0.72, 1.5, 0.92),
    "house": (0.78, 0.88, 1.2, 1.30), "car": (0.76, 0.88, 0.66, 1.32), "boat": (0.78, 0.88, 1.25, 1.22),
    "lamp": (0.72, 0.80, 1.3, 0.66), "chair": (0.82, 0.94, 1.1, 0.80), "candle": (0.80, 0.90, 1.15, 0.42),
    "dog": (0.90, 1.04, 0.80, 1.20), "balloon": (0.66, 0.74, 1.5, 0.72),
}
TALLEST = 1.42      # half height of what still fits the picture, in metres
SIZE_FACTOR = {"small": 0.62, "normal": 1.0, "large": 1.42}
COUNT_FACTOR = (1.0, 0.78, 0.68, 0.60)      # by the number of things in the scene

# Metres per second along the ground, turns per second, seconds per round, seconds of a climb: least and most.
TRAVEL_SPEED = {"slow": (0.42, 0.55), "normal": (0.95, 1.30), "fast": (1.90, 2.25)}
DEPTH_SPEED = {"slow": (0.60, 0.75), "normal": (1.15, 1.45), "fast": (1.90, 2.20)}
SPIN_RATE = {"slow": (0.13, 0.17), "normal": (0.30, 0.40), "fast": (0.65, 0.75)}
ROUND_SECONDS = {"slow": (4.2, 5.0), "normal": (2.2, 2.8), "fast": (1.3, 1.5)}
CLIMB_SECONDS = {"slow": (3.4, 4.0), "normal": (1.9, 2.3), "fast": (0.9, 1.1)}

DRIFT = 0.5                     # metres that a cylinder that rolls left or right leaves its line by, each second at most
BOUNCE_PERIOD = 5.0             # seconds between two kicks of a thing that bounces
RUN_SECONDS = (3.2, 4.2)        # seconds of one round of dogs that run about, least and most

# Second motions that one can see in two seconds, by first motion.
THEN = {
    "stay": ("left", "right", "nearer", "away", "bounce", "rise", "spin"), "left": ("stay", "right", "bounce", "rise"),
    "right": ("stay", "left", "bounce", "rise"), "nearer": ("stay", "bounce", "spin"), "away": ("stay", "bounce", "spin"),
    "bounce": ("stay", "rise"), "fall": ("left", "right", "spin"), "rise": ("fall",), "spin": ("stay", "left", "right"),
    "circle": ("stay",),
}


@dataclass
class Thing:
    """One object. Lengths are metres, angles radians."""
    kind: str
    colour: str
    size: str
    motion: str
    then: str | None       # second motion, from about t = 1 s
    speed: str
    rolls: bool            # turns as it travels, instead of sliding
    radius: float          # scale of the kind's shape: ball radius, box half side, ring centre-line radius, ...
    half_height: float     # half the height when upright
    reach: float           # radius of the upright cylinder that holds the thing whichever way it faces
    x: float               # place at the clip's middle
    z: float
    yaw: float
    amount: float          # in [0, 1]: how far or how fast within the motion's range
    phase: float           # in [0, 1]
    lift: float = 0.0      # height of what it stands on, above the ground
    slot: int = 0          # place from left to right among the things, at the clip's middle
    group: int = 0         # index into Scene.groups


@dataclass
class Group:
    """One noun phrase: `count` things that are alike and move alike."""
    kind: str
    colour: str
    size: str
    motion: str
    then: str | None
    speed: str
    count: int
    members: list[int] = field(default_factory=list)    # indices into Scene.things


@dataclass
class Scene:
    """All that a clip shows, at every moment of its minute."""
    things: list[Thing]
    groups: list[Group]
    place: str
    time: str
    camera: str
    camera_amount: float   # in [0, 1]
    camera_jitter: tuple[float, float, float]
    texture: tuple[float, ...] = field(default=(0.0,) * 6)   # phases of ground, hills and clouds, radians
    relation: tuple[str, int, int] | None = None    # (name, a, b): group a is name group b
    event: str | None = None
    start: float = 0.0     # seconds: where the window begins


def is_held_out(colour: str, kind: str, place: str) -> bool:
    """Combinations that training never shows: one in ten, spread over every colour, kind and place."""
    return (COLOURS.index(colour) + 2 * KINDS.index(kind) + 3 * PLACES.index(place)) % 10 == 0


def between(bounds: tuple[float, float], amount: float) -> float:
    """The value that lies `amount` of the way from bounds[0] to bounds[1]."""
    return bounds[0] + (bounds[1] - bounds[0]) * amount


def travel_speed(thing: Thing) -> float:
    """Metres per second of a thing that travels left or right. Members of a group share it."""
    return between(TRAVEL_SPEED[thing.speed], thing.amount)


def round_seconds(thing: Thing, bounds: tuple[float, float]) -> float:
    """Seconds of one round, between `bounds`; positive anticlockwise as seen from above, else negative."""
    return between(bounds, abs(2.0 * thing.amount - 1.0)) * (1.0 if thing.amount < 0.5 else -1.0)


def lap_half_width(thing: Thing, camera: str) -> float:
    """|x| in metres at which a thing that travels left or right has left every picture and comes in on the other side."""
    edge = CAMERA_TANGENT * WIDEST_ASPECT * (CAMERA_DISTANCE + max(thing.z, -2.0))
    return edge + thing.reach + (0.4 if camera == "still" else 2.5)


def circle_radius(thing: Thing, count: int) -> float:
    """Radius in metres of the circle on which a group of `count` goes round."""
    clear = 0.0 if count == 1 else (thing.reach + 0.08) / np.sin(np.pi / count)
    return max(0.75 + 0.2 * abs(2.0 * thing.amount - 1.0), clear)


def _kind_weights(place: str) -> np.ndarray:
    """Probability of each kind at a place: all occur everywhere, boats mostly at sea, cars mostly on roads."""
    weights = dict.fromkeys(KINDS, 1.0)
    weights["ball"] = 1.5
    weights["boat"] = {"sea": 4.0, "beach": 0.8}.get(place, 0.35)
    weights["car"] = {"road": 3.0, "sea": 0.3}.get(place, 0.9)
    if place == "sea":
        weights.update(tree=0.4, house=0.4, lamp=0.4, chair=0.5, candle=0.5, dog=0.4)
    if place == "room":
        weights.update(tree=0.5, house=0.5, lamp=1.5, chair=1.5, candle=1.5)
    w = np.array([weights[kind] for kind in KINDS])
    return w / w.sum()


def _motion_weights(kind: str, place: str, camera: str, company: bool) -> np.ndarray:
    """Probability of each entry of MOTIONS. A moving camera, and a thing in company, mostly see calm things; no camera
    moves in a way that could be taken for the thing's own motion."""
    weights = dict(zip(MOTIONS, (1.2, 1.4, 1.4, 1.0, 1.0, 1.5, 1.2, 1.0, 1.1, 1.0)))
    if place == "sea":
        weights["bounce"] = 0.0
    if kind == "balloon":
        weights.update(bounce=0.0, fall=0.0, spin=0.0, rise=2.5)
    if kind in ("tree", "house"):
        weights.update(stay=2.5, left=0.5, right=0.5, nearer=0.4, away=0.4, bounce=0.5, circle=0.3)
    if kind in ("car", "dog", "boat"):
        weights.update(left=2.2, right=2.2, bounce=0.5 * weights["bounce"])
    if camera != "still":
        weights["stay"] += 4.0
    barred = {"pan_left": ("left", "right"), "pan_right": ("left", "right"), "zoom_in": ("nearer", "away"),
              "zoom_out": ("nearer", "away"), "orbit": ("left", "right", "spin", "circle"), "rise": ("rise", "fall")}
    weights.update(dict.fromkeys(barred.get(camera, ()), 0.0))
    if company:
        weights["stay"] += 2.0
        weights["circle"] = 0.0
    w = np.array([weights[motion] for motion in MOTIONS])
    return w / w.sum()


def _then(kind: str, motion: str, place: str, rng: np.random.Generator) -> str | None:
    """A second motion that can follow the first."""
    barred = {"bounce"} if place == "sea" else set()
    if kind == "balloon":
        barred = {"bounce", "fall", "spin"}
    choice = [m for m in THEN[motion] if m not in barred]
    return choice[rng.integers(len(choice))] if choice else None


def _rolls(kind: str, motions: tuple[str | None, ...], place: str) -> bool:
    """Whether a thing with these motions turns along the ground. A ring that rolls in depth would show its edge only."""
    if place == "sea" or kind not in ROLLING or not any(m in TRAVELS for m in motions):
        return False
    if kind == "ring":
        return not any(m in ("nearer", "away") for m in motions)
    return kind == "ball" or "circle" not in motions


def _make_group(rng: np.random.Generator, index: int, kind: str, colour: str, place: str, count: int, total: int,
                motion: str, then: str | None, size: str, speed: str) -> tuple[Group, list[Thing]]:
    """A group and its things, without their places."""
    least, most, tall, wide = GEOMETRY[kind]
    radius = (least + (most - least) * rng.random()) * SIZE_FACTOR[size] * COUNT_FACTOR[total - 1]
    radius = min(radius, TALLEST / tall)
    yaw, amount, phase = rng.uniform(-0.5, 0.5), rng.random(), rng.random()
    if kind in ("car", "boat", "dog", "house", "chair"):
        yaw = rng.choice((-1.0, 1.0)) * rng.uniform(0.3, 0.65)
    if kind in FACING and rng.random() < 0.5:
        yaw += np.pi
    group = Group(kind, colour, size, motion, then, speed, count)
    rolls = _rolls(kind, (motion, then), place)
    tall, wide = radius * tall, radius * wide
    if rolls and kind == "cylinder":
        wide = float(np.hypot(radius, tall))
    things = [Thing(kind, colour, size, motion, then, speed, rolls, radius, tall, wide, 0.0, 0.0, yaw, amount,
                    (phase + 0.13 * k) % 1.0, group=index) for k in range(count)]
    return group, things


def _row(things: list[Thing], order: list[int], rng: np.random.Generator) -> None:
    """Places things side by side, in the given order from left to right, as the picture shows them at its middle."""
    widths = np.array([2.0 * things[i].reach for i in order])
    room = 4.1
    if widths.sum() > room - 0.1 * len(order):
        shrink = (room - 0.1 * len(order)) / widths.sum()
        for thing in things:
            _shrink(thing, shrink)
        widths *= shrink
    gap = min(0.55, (room - widths.sum()) / (len(order) + 1))
    x = -0.5 * (widths.sum() + gap * (len(order) - 1))
    for slot, i in enumerate(order):
        thing = things[i]
        thing.x = x + 0.5 * widths[slot] + rng.uniform(-0.3, 0.3) * gap
        thing.z = rng.uniform(-0.25, 0.25) if len(order) > 1 else rng.uniform(-0.3, 0.3)
        thing.slot = slot
        x += widths[slot] + gap
    if len(order) == 1:
        things[0].x = rng.uniform(-0.35, 0.35)


def _shrink(thing: Thing, factor: float) -> None:
    """Makes a thing smaller by a factor; one above 1 changes nothing."""
    factor = min(1.0, factor)
    thing.radius, thing.half_height, thing.reach = thing.radius * factor, thing.half_height * factor, thing.reach * factor


def _into_lane(things: list[Thing], members: list[int], z: float) -> None:
    """Moves members to depth z, where they keep their places in the picture and look no larger than before."""
    factors = [(CAMERA_DISTANCE + z) / (CAMERA_DISTANCE + things[i].z) for i in members]
    for i, factor in zip(members, factors):
        things[i].x, things[i].z = things[i].x * factor, z
        _shrink(things[i], min(factors))


def _lanes(scene: Scene, rng: np.random.Generator) -> None:
    """Gives groups that cross the picture lanes of their own, before or behind what stands."""
    crossing = [g for g in scene.groups if any(m in ("left", "right") for m in (g.motion, g.then))]
    if len(scene.groups) == 1:
        for group in crossing:
            _into_lane(scene.things, group.members, 0.0)
        return
    front, back = -0.3, 0.3
    for k, group in enumerate(crossing):
        reach = max(scene.things[i].reach for i in group.members)
        others = max(t.reach for t in scene.things) + (DRIFT if group.kind == "cylinder" else 0.0)
        if (k == 0) == (rng.random() < 0.7 or len(crossing) > 1) and k < 2:
            front -= reach + others + 0.1
            _into_lane(scene.things, group.members, front)
        else:
            back += reach + others + 0.1
            _into_lane(scene.things, group.members, back)


def _rings_round(things: list[Thing]) -> None:
    """Spreads a group that goes round over its circle, so that no member hides another at the clip's middle."""
    n = len(things)
    x, z, first = np.mean([t.x for t in things]), 0.25, things[0].phase
    start = {1: first, 2: 0.05 * (first - 0.5), 3: 1.0 / 12.0, 4: 1.0 / 16.0}[n]
    for k, thing in enumerate(things):
        thing.x, thing.z, thing.phase = 0.4 * x, z, (start + k / n) % 1.0
    for slot, k in enumerate(np.argsort([np.cos(2.0 * np.pi * t.phase) for t in things])):
        things[k].slot = slot


def _before(near: Thing, far: Thing, rng: np.random.Generator) -> None:
    """Puts `near` before `far`, a little aside, so that both are seen and near covers some of far."""
    near.z, far.z = -0.5 - 0.4 * near.reach, 0.5 + 0.9 * far.reach
    scale = [(CAMERA_DISTANCE + t.z) / CAMERA_DISTANCE for t in (near, far)]
    larger = min(1.0, max(0.0, near.half_height / far.half_height - 1.0))
    apart = (near.reach / scale[0] + far.reach / scale[1]) * (rng.uniform(0.52, 0.72) + 0.16 * larger)
    sign, middle = rng.choice((-1.0, 1.0)), rng.uniform(-0.15, 0.15)
    near.x, far.x = (middle + sign * apart / 2) * scale[0], (middle - sign * apart / 2) * scale[1]
    near.slot, far.slot = (0, 1) if sign < 0 else (1, 0)


def _stack(top: Thing, under: Thing) -> None:
    """Puts `top` on `under`, and makes both fit each other and the picture."""
    under.x, under.z = 0.3 * under.x, 0.3 * under.z
    _shrink(under, 1.0 / under.half_height)
    wide = top.radius if top.kind in ("ball", "box", "pyramid", "star", "heart", "ring") else top.reach
    _shrink(top, min(0.95 * under.radius / wide, 0.8 / top.half_height))
    top.x, top.z, top.lift = under.x, under.z, 2.0 * under.half_height
    top.slot, under.slot = 0, 1


def _start(scene: Scene, rng: np.random.Generator) -> float:
    """Where the window begins. Later than 0 only where the first motion lasts for ever and slots stay what they are."""
    if scene.camera != "still" or scene.event not in (None, "dogs_run") or rng.random() > 0.25:
        return 0.0
    lasting = ("stay", "left", "right", "bounce", "spin", "circle")
    if any(g.then is not None or g.motion not in lasting for g in scene.groups):
        return 0.0
    periods, shift = [], 0.0
    for group in scene.groups:
        thing = scene.things[group.members[0]]
        if scene.event == "dogs_run":
            periods.append(abs(round_seconds(thing, RUN_SECONDS)))
        elif group.motion in ("left", "right"):
            periods.append(2.0 * lap_half_width(thing, scene.camera) / travel_speed(thing))
            shift = rng.uniform(-0.8, 0.8) if len(scene.things) == 1 else 0.0
        elif group.motion == "bounce":
            periods.append(BOUNCE_PERIOD)
        elif group.motion == "circle":
            periods.append(abs(round_seconds(thing, ROUND_SECONDS[thing.speed])))
    if not periods:
        return float(rng.uniform(0.5, LONGEST_SECONDS - 4.0))
    if len(set(periods)) > 1:
        return 0.0
    return float(periods[0] * rng.integers(1, max(2, int((LONGEST_SECONDS - 4.0) / periods[0]))) + shift)


def _draw(rng: np.random.Generator, names: tuple[str, ...], weights: np.ndarray | list[float]) -> str:
    """One of the names, by their probabilities."""
    return names[rng.choice(len(names), p=weights)]


def _looks(rng: np.random.Generator, split: str, place: str, used: list[tuple[str, str]],
           kinds: tuple[str, ...] = KINDS) -> tuple[str, str]:
    """A kind and a colour that the split may show at the place and that the scene does not have yet."""
    weights = _kind_weights(place)
    while True:
        kind = _draw(rng, KINDS, weights)
        colour = COLOURS[rng.integers(len(COLOURS))]
        allowed = split == "judge" or is_held_out(colour, kind, place) == (split == "heldout")
        if kind in kinds and allowed and (kind, colour) not in used:
            used.append((kind, colour))
            return kind, colour


def _event_scene(rng: np.random.Generator, split: str, event: str) -> Scene:
    """A scene around one event. The groups that the event names come first."""
    dry = [p for p in PLACES if p != "sea"]
    place = dry[rng.integers(len(dry))]
    time = _draw(rng, TIMES, [0.56, 0.22, 0.22])
    camera, used = "still", []
    if event in ("chair_down", "dogs_run") and rng.random() < 0.15:
        camera = ("zoom_in", "zoom_out")[rng.integers(2)]
    count, total, size, speed, motion, then = 1, 1, "normal", "normal", "stay", None
    kinds: tuple[str, ...] = KINDS
    if event == "candle_out":
        kinds = ("candle",)
        time = ("sunset", "night", "night")[rng.integers(3)]
        place = "room" if rng.random() < 0.6 else place
    elif event == "chair_down":
        kinds, motion = ("chair",), "fall"
    elif event == "through_hoop":
        kinds, size, motion = ("ball",), "small", "fall"
    elif event == "dogs_run":
        kinds, motion, count = ("dog",), "circle", int(rng.integers(2, 5))
        total = min(4, count + 1)
    elif event == "leaves_returns":
        kinds = ("ball", "box", "cone", "ring", "star", "heart", "car", "dog", "balloon", "pyramid")
        motion, then = ("left", "right") if rng.random() < 0.5 else ("right", "left")
        speed = "fast"
    else:
        kinds, size, total = ("ball", "ring", "car", "dog", "balloon", "star", "box", "cone"), "small", 2
        if rng.random() < 0.6:
            kinds, size, speed = ("ball", "ring", "star", "box", "cone"), "normal", "fast"
        motion = ("left", "right")[rng.integers(2)]
    kind, colour = _looks(rng, split, place, used, kinds)
    group, things = _make_group(rng, 0, kind, colour, place, count, total, motion, then, size, speed)
    group.members = list(range(count))
    groups = [group]
    if event == "passes_behind":
        kind, colour = _looks(rng, split, place, used, ("box", "house", "cylinder"))
        screen, more = _make_group(rng, 1, kind, colour, place, 1, 2, "stay", None, "large", "normal")
        screen.members = [1]
        groups.append(screen)
        things += more
    scene = Scene(things, groups, place, time, camera, rng.random(), tuple(rng.uniform(-1, 1, 3)),
                  tuple(rng.uniform(0, 2 * np.pi, 6)), event=event)
    for slot, thing in enumerate(things):
        thing.x, thing.z, thing.slot = rng.uniform(-0.3, 0.3), rng.uniform(-0.2, 0.2), slot
    if event == "passes_behind":
        mover, screen = things
        mover.amount, screen.yaw, screen.z = 0.7 + 0.3 * mover.amount, 0.3 * screen.yaw, -0.3
        mover.x, mover.z = 1.2 * screen.x, 0.2 + screen.reach + mover.reach
    elif event == "through_hoop":
        _shrink(things[0], 0.8)
    elif event == "dogs_run":
        _rings_round(things)
        scene.start = _start(scene, rng)
    elif event == "leaves_returns" and things[0].motion == "right":
        things[0].yaw = abs(things[0].yaw)
    return scene


def _draw_relation(rng: np.random.Generator, counts: list[int], place: str) -> str | None:
    """A relation between the first two groups, or None."""
    if len(counts) < 2 or rng.random() > (0.55 if len(counts) == 2 else 0.35):
        return None
    if len(counts) > 2 or sum(counts) > 2:
        return ("left_of", "right_of")[rng.integers(2)]
    return _draw(rng, RELATIONS, [0.22, 0.22, 0.16, 0.16, 0.24] if place != "sea" else [0.3, 0.3, 0.2, 0.2, 0.0])


def _plain_scene(rng: np.random.Generator, split: str, counts: list[int]) -> Scene:
    """A scene of groups of these counts, without an event."""
    place = PLACES[rng.integers(len(PLACES))]
    time = _draw(rng, TIMES, [0.56, 0.22, 0.22])
    camera = _draw(rng, CAMERAS, [0.53] + [0.47 / 6] * 6)
    relation = _draw_relation(rng, counts, place)
    deep = relation in ("in_front_of", "behind", "on_top_of")
    if deep and camera not in ("still", "zoom_in", "zoom_out", "rise"):
        camera = "still"
    total, company, used, things, groups = sum(counts), len(counts) > 1, [], [], []
    for g, count in enumerate(counts):
        kinds: tuple[str, ...] = KINDS
        if relation == "on_top_of":
            kinds = ("box", "cylinder") if g == 1 else STACKABLE
        kind, colour = _looks(rng, split, place, used, kinds)
        weights = _motion_weights(kind, place, camera, company)
        if relation is not None and g < 2:
            weights *= [m in (("stay", "spin", "bounce") if deep else ("stay", "spin", "bounce", "fall", "rise"))
                        for m in MOTIONS]
        elif any(group.motion in ("left", "right") for group in groups):
            weights *= [m not in ("nearer", "away") for m in MOTIONS]
        motion = _draw(rng, MOTIONS, weights / weights.sum())
        under = relation == "on_top_of" and g == 1
        motion = "stay" if under else motion
        then = None
        if camera == "still" and relation is None and rng.random() < (0.10 if company else 0.25):
            then = _then(kind, motion, place, rng)
            then = None if company and then in TRAVELS else then
        size = _draw(rng, SIZES, [0.0, 0.7, 0.3] if under else [0.2, 0.58, 0.22])
        speed = "normal"
        if motion in TRAVELS + ("spin", "rise") and then is None:
            speed = _draw(rng, SPEEDS, [0.17, 0.66, 0.17])
        group, members = _make_group(rng, g, kind, colour, place, count, total, motion, then, size, speed)
        group.members = list(range(len(things), len(things) + count))
        groups.append(group)
        things += members
    if any(g.motion in ("left", "right") for g in groups) and company:
        for group in groups:
            if group.motion in ("nearer", "away"):
                group.motion, group.then = "stay", None
                for i in group.members:
                    things[i].motion, things[i].then, things[i].rolls = "stay", None, False
    scene = Scene(things, groups, place, time, camera, rng.random(), tuple(rng.uniform(-1, 1, 3)),
                  tuple(rng.uniform(0, 2 * np.pi, 6)))
    order = list(rng.permutation(len(groups)))
    if relation in ("left_of", "right_of") and (order.index(0) < order.index(1)) != (relation == "left_of"):
        first, second = order.index(0), order.index(1)
        order[first], order[second] = 1, 0
    _row(things, [i for g in order for i in groups[g].members], rng)
    if relation is not None:
        scene.relation = (relation, 0, 1)
    if relation == "on_top_of":
        _stack(*things)
    elif deep:
        _before(*(things if relation == "in_front_of" else reversed(things)), rng)
    elif groups[0].motion == "circle":
        _rings_round(things)
    else:
        _lanes(scene, rng)
    scene.start = _start(scene, rng)
    return scene


def sample_scene(split: str, index: int) -> Scene:
    """Scene number `index` of a split. `heldout` scenes have one object of a held-out combination."""
    rng = np.random.default_rng([20262, SPLITS[split], index])
    if split == "heldout":
        return _plain_scene(rng, split, [1])
    mix = rng.choice(5, p=[0.35, 0.15, 0.25, 0.10, 0.15])
    if mix == 4:
        return _event_scene(rng, split, EVENTS[rng.integers(len(EVENTS))])
    if mix == 0:
        return _plain_scene(rng, split, [1])
    if mix == 1:
        return _plain_scene(rng, split, [int(rng.integers(2, 5))])
    if mix == 3:
        return _plain_scene(rng, split, [1, 1, 1])
    return _plain_scene(rng, split, [[1, 1], [1, 1], [1, 1], [1, 2], [2, 1], [1, 3], [2, 2]][rng.integers(7)])
