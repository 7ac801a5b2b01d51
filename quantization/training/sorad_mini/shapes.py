"""The shape of every kind: parts of its template, and their placing in the world.

A template is an array [m, 32] in the thing's own space (metres, y up, origin at half its height, its front towards +x for
kinds that face where they travel and towards -z, the viewer, for all others). Its rows:
  0 solid, 1 centre, 4 unit-to-thing map [3, 3], 13 bound, 14 two parameters of the solid, 16 colour, 19 second colour,
  22 texture, 23 glow, 24 joint, 25 pivot, 28 two parameters of the joint
Invariant: the named colour is the one that most of the thing shows.
"""
from __future__ import annotations

import math

import numpy as np
from numba import njit

from . import raycast as rc
from .motion import Hoop, rotation
from .world import COLOUR_RGB, Thing

FIXED, WHEEL, LEG, TAIL, FLAME, NET_END = range(6)
SECOND_RGB = {      # what stripes and panels show, where a lighter tone of the colour would not be seen
    "white": (0.68, 0.73, 0.80), "black": (0.34, 0.34, 0.37), "gray": (0.72, 0.73, 0.75), "yellow": (1.0, 0.96, 0.58),
}
DARK, WOOD, BRASS, GLASS, METAL = (0.05,) * 3, (0.36, 0.22, 0.12), (0.66, 0.52, 0.22), (0.20, 0.27, 0.36), (0.30, 0.28, 0.27)


Colour = tuple[float, ...]      # red, green, blue in [0, 1]


def mixed(a: Colour, b: Colour, part: float) -> Colour:
    """Colour a with `part` of colour b."""
    return tuple(x + (y - x) * part for x, y in zip(a, b))


def part(solid: int, centre: tuple[float, float, float], size: tuple[float, float, float] | np.ndarray,
         colour: Colour, second: Colour | None = None, texture: int = rc.PLAIN, p: float = 1.0,
         q: float = 1.0, turn: np.ndarray | None = None, glow: float = 0.0, joint: int = FIXED,
         pivot: tuple[float, float, float] = (0.0, 0.0, 0.0), a: float = 0.0, b: float = 0.0) -> np.ndarray:
    """One template row. `size` is the half sizes [3] of the unit solid or a whole unit-to-thing map [3, 3]."""
    row = np.zeros(32)
    matrix = np.diag(size) if np.ndim(size) == 1 else np.asarray(size)
    if turn is not None:
        matrix = turn @ matrix
    row[0], row[1:4], row[4:13], row[14:16] = solid, centre, matrix.ravel(), (p, q)
    row[16:19], row[19:22], row[22], row[23] = colour, second or colour, texture, glow
    row[24], row[25:28], row[28:30] = joint, pivot, (a, b)
    axes = np.linalg.norm(matrix, axis=0)
    row[13] = {rc.SPHERE: axes.max(), rc.TORUS: axes[0] * (1.0 + p), rc.STAR: np.hypot(axes[0], axes[2]),
               rc.HEART: np.hypot(1.04 * axes[0], axes[2])}.get(solid, 0.0)
    if solid in (rc.FRUSTUM, rc.NET):
        row[13] = np.hypot(axes[0] * max(1.0, p), axes[1])
    elif solid == rc.WEDGE:
        corners = [matrix @ (x * (1.0 if y < 0 else p), y, z * (1.0 if y < 0 else q))
                   for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)]
        row[13] = max(np.linalg.norm(corner) for corner in corners)
    return row


def _simple(kind: str, rgb: Colour, second: Colour) -> list[np.ndarray]:
    """Kinds of one part."""
    solid, size, texture, p, q, low = {
        "ball": (rc.SPHERE, (1, 1, 1), rc.BAND, 1.0, 1.0, 0.0), "box": (rc.WEDGE, (1, 1, 1), rc.PANEL, 1.0, 1.0, 0.0),
        "cylinder": (rc.FRUSTUM, (1, 1.3, 1), rc.STRIPE, 1.0, 1.0, 0.0),
        "cone": (rc.FRUSTUM, (1, 1.2, 1), rc.STRIPE, 0.0, 1.0, 0.0),
        "ring": (rc.TORUS, (1, 1, 1), rc.SECTORS, 0.32, 1.0, 0.0),
        "pyramid": (rc.WEDGE, (1, 0.95, 1), rc.BELT, 0.0, 0.0, 0.0),
        "star": (rc.STAR, (1, 1, 0.26), rc.PLAIN, 1.0, 1.0, -0.0955),
        "heart": (rc.HEART, (1, 1, 0.30), rc.PLAIN, 1.0, 1.0, 0.0),
    }[kind]
    if kind in ("box", "cylinder", "cone"):
        second = mixed(rgb, second, 0.65)
    return [part(solid, (0, low, 0), size, rgb, second, texture, p, q)]


def _tree(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A trunk, and a crown of four lobes."""
    trunk = WOOD if rgb != COLOUR_RGB["brown"] else (0.20, 0.12, 0.07)
    lobes = ((0.0, 0.30, 0.0, 0.78, 0.86), (-0.40, -0.02, 0.10, 0.50, 0.46), (0.42, 0.04, -0.10, 0.50, 0.48),
             (0.06, 0.95, 0.0, 0.54, 0.54))
    return [part(rc.FRUSTUM, (0, -0.95, 0), (0.19, 0.55, 0.19), trunk, p=0.75)] + [
        part(rc.SPHERE, (x, y, z), (r, h, r), rgb, second, rc.LEAVES) for x, y, z, r, h in lobes]


def _house(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """Walls, a gabled roof, a chimney, a door and a window."""
    warm = rgb[0] > rgb[2] + 0.1
    roof = (0.27, 0.30, 0.38) if warm or min(rgb) > 0.9 else (0.62, 0.27, 0.18)
    pane = (0.98, 0.86, 0.52)
    return [part(rc.WEDGE, (0, -0.52, 0), (0.90, 0.68, 0.76), rgb),
            part(rc.WEDGE, (0, 0.62, 0), (1.04, 0.48, 0.88), roof, p=0.02),
            part(rc.WEDGE, (0, 0.46, 0), (0.86, 0.42, 0.90), rgb, p=0.02),
            part(rc.WEDGE, (0.50, 0.85, 0.30), (0.11, 0.32, 0.11), mixed(roof, DARK, 0.3)),
            part(rc.WEDGE, (-0.36, -0.80, -0.76), (0.19, 0.40, 0.04), (0.28, 0.16, 0.09) if max(rgb) > 0.3 else WOOD),
            part(rc.WEDGE, (0.40, -0.46, -0.76), (0.26, 0.24, 0.04), (0.93, 0.93, 0.90), (0.50, 0.66, 0.80), rc.PANEL),
            part(rc.WEDGE, (0.40, -0.46, -0.775), (0.17, 0.15, 0.04), pane, glow=-1.0)]


def _car(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A body, a cabin with windows, four wheels, head and tail lights."""
    rows = [part(rc.WEDGE, (0, -0.13, 0), (1.20, 0.26, 0.52), rgb, p=0.96, q=0.94),
            part(rc.WEDGE, (-0.12, 0.37, 0), (0.76, 0.28, 0.48), rgb, GLASS, rc.WINDOWS, p=0.66, q=0.84)]
    for x in (-0.70, 0.72):
        for z in (-0.47, 0.47):
            rows.append(part(rc.FRUSTUM, (x, -0.36, z), (0.30, 0.10, 0.30), DARK, (0.78, 0.78, 0.80), rc.SPOKES,
                             turn=rotation(0, math.copysign(math.pi / 2, z)), joint=WHEEL, pivot=(x, -0.36, z), a=0.30))
    for z in (-0.34, 0.34):
        rows.append(part(rc.SPHERE, (1.17, -0.08, z), (0.07, 0.10, 0.13), (1.0, 0.96, 0.74), glow=0.55))
        rows.append(part(rc.SPHERE, (-1.18, -0.06, z), (0.05, 0.09, 0.12), (0.75, 0.05, 0.05), glow=0.35))
    return rows


def _boat(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A hull, a mast and two sails."""
    sail = mixed(rgb, (1.0, 1.0, 1.0), 0.5)
    turn = rotation(1, 0.35)
    main = np.array([[0.40, 0.20, 0], [0, 0.74, 0], [0, 0, 0.03]])
    jib = np.array([[0.28, -0.14, 0], [0, 0.56, 0], [0, 0, 0.03]])
    return [part(rc.WEDGE, (0, -0.80, 0), (0.78, 0.45, 0.30), rgb, (0.95, 0.95, 0.93), rc.GUNWALE, p=1.46, q=1.7),
            part(rc.FRUSTUM, (0.06, 0.34, 0), (0.05, 0.90, 0.05), WOOD, p=0.8),
            part(rc.WEDGE, (-0.22, 0.40, 0), main, sail, p=0.0, turn=turn),
            part(rc.WEDGE, (0.30, 0.22, 0), jib, sail, p=0.0, turn=turn)]


def _lamp(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A foot, a pole and a shade that glows."""
    return [part(rc.FRUSTUM, (0, -1.21, 0), (0.46, 0.09, 0.46), rgb, p=0.7),
            part(rc.FRUSTUM, (0, -0.35, 0), (0.07, 0.85, 0.07), METAL),
            part(rc.FRUSTUM, (0, 0.80, 0), (0.66, 0.50, 0.66), rgb, second, rc.STRIPE, p=0.55, glow=-0.8)]


def _chair(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A seat, four legs, two posts and two rails."""
    rows = [part(rc.WEDGE, (0, -0.14, 0), (0.56, 0.08, 0.54), second),
            part(rc.WEDGE, (0, 0.90, 0.48), (0.50, 0.20, 0.06), rgb),
            part(rc.WEDGE, (0, 0.36, 0.48), (0.50, 0.15, 0.06), rgb)]
    for x in (-0.48, 0.48):
        rows += [part(rc.WEDGE, (x, 0.46, 0.48), (0.08, 0.64, 0.075), rgb),
                 part(rc.WEDGE, (x, -0.66, -0.45), (0.085, 0.44, 0.085), rgb),
                 part(rc.WEDGE, (x, -0.66, 0.46), (0.085, 0.44, 0.085), rgb)]
    return rows


def _candle(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A holder, the wax, a wick and a flame."""
    return [part(rc.FRUSTUM, (0, -1.10, 0), (0.42, 0.05, 0.42), BRASS, p=0.85),
            part(rc.FRUSTUM, (0, -0.25, 0), (0.30, 0.88, 0.30), rgb, second, rc.STRIPE, p=0.96),
            part(rc.FRUSTUM, (0, 0.68, 0), (0.035, 0.09, 0.035), DARK),
            part(rc.SPHERE, (0, 0.93, 0), (0.14, 0.26, 0.14), (1.0, 0.66, 0.14), (1.0, 0.92, 0.55), rc.LEAVES, glow=1.0,
                 joint=FLAME, pivot=(0, 0.70, 0))]


def _dog(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A body, neck, head, snout, nose, ears, eyes, legs and a tail."""
    ear = mixed(rgb, DARK, 0.45) if max(rgb) > 0.2 else second
    rows = [part(rc.SPHERE, (-0.08, 0.06, 0), (0.62, 0.30, 0.27), rgb),
            part(rc.SPHERE, (0.42, 0.22, 0), (0.24, 0.30, 0.20), rgb),
            part(rc.SPHERE, (0.66, 0.50, 0), (0.28, 0.26, 0.23), rgb),
            part(rc.SPHERE, (0.93, 0.42, 0), (0.19, 0.13, 0.13), second),
            part(rc.SPHERE, (1.10, 0.47, 0), (0.06, 0.06, 0.06), DARK),
            part(rc.FRUSTUM, (-0.80, 0.36, 0), (0.075, 0.30, 0.075), rgb, p=0.5, turn=rotation(2, 0.7), joint=TAIL,
                 pivot=(-0.62, 0.14, 0), a=0.5)]
    for z in (-1, 1):
        rows += [part(rc.SPHERE, (0.56, 0.50, 0.22 * z), (0.10, 0.23, 0.07), ear),
                 part(rc.SPHERE, (0.87, 0.60, 0.12 * z), (0.045, 0.05, 0.04), DARK if max(rgb) > 0.2 else (0.9,) * 3)]
        for x, phase in ((-0.46, 0.0 if z > 0 else math.pi), (0.34, math.pi if z > 0 else 0.0)):
            rows.append(part(rc.FRUSTUM, (x, -0.44, 0.16 * z), (0.10, 0.36, 0.10), rgb, p=1.15, joint=LEG,
                             pivot=(x, -0.08, 0.16 * z), a=0.65, b=phase))
    return rows


def _balloon(rgb: Colour, second: Colour) -> list[np.ndarray]:
    """A balloon, its knot and its string."""
    return [part(rc.SPHERE, (0, 0.78, 0), (0.64, 0.72, 0.64), rgb, second, rc.GORES),
            part(rc.FRUSTUM, (0, 0.03, 0), (0.10, 0.06, 0.10), rgb, p=0.2),
            part(rc.FRUSTUM, (0, -0.76, 0), (0.045, 0.74, 0.045), (0.30, 0.30, 0.32))]


COMPOUND = {"tree": _tree, "house": _house, "car": _car, "boat": _boat, "lamp": _lamp, "chair": _chair, "candle": _candle,
            "dog": _dog, "balloon": _balloon}
# Spheres (x, y, z, radius, as multiples of `radius`) that stand for each kind where it throws shadows.
CASTERS = {
    "ball": ((0, 0, 0, 1.0),), "box": ((0, 0, 0, 1.12),), "cylinder": ((0, -0.4, 0, 0.95), (0, 0.4, 0, 0.95)),
    "cone": ((0, -0.55, 0, 0.80), (0, 0.25, 0, 0.42)), "ring": ((0, 0, 0, 1.1),), "pyramid": ((0, -0.35, 0, 0.9),),
    "star": ((0, 0, 0, 0.72),), "heart": ((0, 0.1, 0, 0.72), (0, -0.6, 0, 0.3)),
    "tree": ((0, 0.4, 0, 0.85), (0, -1.2, 0, 0.25)),
    "house": ((-0.42, -0.5, 0, 0.75), (0.42, -0.5, 0, 0.75), (0, 0.3, 0, 0.62)),
    "car": ((-0.62, -0.1, 0, 0.55), (0.62, -0.12, 0, 0.55), (-0.1, 0.1, 0, 0.5)),
    "boat": ((-0.5, -0.85, 0, 0.5), (0.5, -0.85, 0, 0.5), (-0.2, 0.2, 0, 0.45)),
    "lamp": ((0, 0.8, 0, 0.62), (0, -1.2, 0, 0.45)), "chair": ((0, -0.2, 0, 0.55), (0, 0.5, 0.4, 0.5), (0, -0.8, 0, 0.5)),
    "candle": ((0, 0.2, 0, 0.32), (0, -0.3, 0, 0.34), (0, -0.85, 0, 0.40)),
    "dog": ((-0.4, 0, 0, 0.34), (0.25, 0.05, 0, 0.34), (0.75, 0.45, 0, 0.28), (0, -0.55, 0, 0.4)),
    "balloon": ((0, 0.78, 0, 0.66),),
}


def template(thing: Thing) -> np.ndarray:
    """The parts [m, 32] of a thing, in metres."""
    rgb = COLOUR_RGB[thing.colour]
    second = SECOND_RGB.get(thing.colour) or mixed(rgb, (1.0, 1.0, 1.0), 0.42)
    rows = np.array(COMPOUND[thing.kind](rgb, second) if thing.kind in COMPOUND else _simple(thing.kind, rgb, second))
    rows[:, 1:14] *= thing.radius
    rows[:, 25:28] *= thing.radius
    rows[rows[:, 24] == WHEEL, 28] *= thing.radius
    return rows


def caster_spheres(thing: Thing) -> np.ndarray:
    """The spheres [k, 4] (centre, radius) that throw the thing's shadows, in its own space, in metres."""
    return np.array(CASTERS[thing.kind], float) * thing.radius


def hoop_spheres(hoop: Hoop) -> np.ndarray:
    """The spheres [2, 4] that throw a hoop's shadows."""
    back = hoop.rim + 0.1
    return np.array([(0.0, 0.42, back, 0.5), (0.0, -hoop.centre[1], back + 0.12, 0.22)])


def hoop_template(hoop: Hoop) -> np.ndarray:
    """The parts [m, 32] of a hoop; the origin is the rim's centre. The last row is the net."""
    back = hoop.rim + 0.10
    pole = 0.5 * (hoop.centre[1] + 0.3)
    orange, white = (0.92, 0.36, 0.08), (0.93, 0.94, 0.96)
    net = np.diag((hoop.rim, -0.5 * hoop.net, hoop.rim))
    return np.array([
        part(rc.TORUS, (0, 0, 0), (hoop.rim,) * 3, orange, p=hoop.tube / hoop.rim, turn=rotation(0, math.pi / 2)),
        part(rc.WEDGE, (0, 0.42, back), (0.72, 0.50, 0.04), orange, white, rc.BOARD, glow=0.3),
        part(rc.WEDGE, (0, -0.02, back - 0.05), (0.08, 0.05, 0.08), orange),
        part(rc.FRUSTUM, (0, -hoop.centre[1] + pole, back + 0.12), (0.07, pole, 0.07), METAL),
        part(rc.NET, (0, -0.5 * hoop.net, 0), net, white, p=hoop.narrow / hoop.rim, joint=NET_END, a=hoop.net)])


@njit(cache=True)
def place_parts(rows, spheres, centre, turn, index, gone, stride, t, life, lit, swing, pull, out, casters):
    """Fills out [m, 28] and casters [k, 5] (see `raycast`) with the parts of a template [m, 32] and with spheres [k, 4].

    centre [3] and turn [3, 3] are the thing's pose, index its row of `things`; gone is the distance it has gone in metres,
    stride in [0, 1] how far legs swing, t the time in seconds, life the flame's size in [0, 1], lit how bright lamps shine,
    swing and pull the displacement of a net's lower end in metres."""
    for k in range(spheres.shape[0]):
        for i in range(3):
            casters[k, i] = (centre[i] + turn[i, 0] * spheres[k, 0] + turn[i, 1] * spheres[k, 1]
                             + turn[i, 2] * spheres[k, 2])
        casters[k, 3], casters[k, 4] = spheres[k, 3], index
    m = np.empty((3, 3))
    for k in range(rows.shape[0]):
        row = rows[k]
        a = row[4:13].copy().reshape(3, 3)
        place = row[1:4].copy()
        joint = int(row[24])
        bound = row[13]
        if joint == WHEEL or joint == LEG or joint == TAIL:
            if joint == WHEEL:
                angle = -gone / row[28]
            elif joint == LEG:
                angle = row[28] * stride * np.sin(7.5 * gone + row[29])
            else:
                angle = row[28] * (0.35 * np.sin(9.0 * t) + stride * 0.3)
            c, s = np.cos(angle), np.sin(angle)
            x, y = place[0] - row[25], place[1] - row[26]
            place[0], place[1] = row[25] + c * x - s * y, row[26] + s * x + c * y
            for j in range(3):
                x, y = a[0, j], a[1, j]
                a[0, j], a[1, j] = c * x - s * y, s * x + c * y
        elif joint == FLAME:
            tall = max(1e-3, life * (1.0 + 0.10 * np.sin(11.0 * t) + 0.06 * np.sin(17.0 * t)))
            place[1] = row[26] + (place[1] - row[26]) * tall
            place[0] += 0.10 * a[1, 1] * np.sin(5.0 * t) * life
            a *= tall
            bound = row[13] * tall * 1.2 if life > 0.02 else 0.0
        elif joint == NET_END:
            a[1, 1] -= 0.5 * pull
            place[1] -= 0.5 * pull
            a[0, 1] += 0.5 * swing
            place[0] += 0.5 * swing
            bound += abs(pull) + abs(swing)
        for i in range(3):
            for j in range(3):
                m[i, j] = turn[i, 0] * a[0, j] + turn[i, 1] * a[1, j] + turn[i, 2] * a[2, j]
        det = (m[0, 0] * (m[1, 1] * m[2, 2] - m[1, 2] * m[2, 1]) - m[0, 1] * (m[1, 0] * m[2, 2] - m[1, 2] * m[2, 0])
               + m[0, 2] * (m[1, 0] * m[2, 1] - m[1, 1] * m[2, 0]))
        for i in range(3):
            for j in range(3):
                i1, i2, j1, j2 = (j + 1) % 3, (j + 2) % 3, (i + 1) % 3, (i + 2) % 3
                out[k, 4 + 3 * i + j] = (m[i1, j1] * m[i2, j2] - m[i1, j2] * m[i2, j1]) / det
            out[k, 1 + i] = centre[i] + turn[i, 0] * place[0] + turn[i, 1] * place[1] + turn[i, 2] * place[2]
        out[k, 0], out[k, 13] = row[0], bound
        out[k, 14:23] = row[14:23]
        out[k, 23] = row[23] if row[23] >= 0.0 else -row[23] * lit
        out[k, 24] = index
