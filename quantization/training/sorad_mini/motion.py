"""Where everything is at each moment: poses of things and the camera's path, from a `Scene`.

Everything is a function of absolute time t in [0, LONGEST_SECONDS] seconds; a clip's window begins at `scene.start`.
Invariant: physics holds. What falls or bounces does so under one gravity, what rolls turns by the distance it
travelled, what stands touches the ground, what is at sea floats, and bounces lose height until the next kick.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from .world import (BOUNCE_PERIOD, CAMERA_DISTANCE, CAMERA_TANGENT, CLIMB_SECONDS, DEPTH_SPEED, DRIFT, FACING, FPS,
                    FRAMES, ROUND_SECONDS, RUN_SECONDS, SPIN_RATE, WIDEST_ASPECT, Scene, Thing, between, circle_radius,
                    lap_half_width, round_seconds, travel_speed)

GRAVITY = 9.8           # m/s^2
CLIP_SECONDS = (FRAMES - 1) / FPS
MIDDLE = CLIP_SECONDS / 2
BOUNCE_KEEPS = 0.775    # part of its speed that a bouncing thing keeps at the ground
BRAKE = 0.10            # seconds: time constant of starting and stopping
SUNK = 0.20             # part of a floating thing's height that is under water; of a boat's, less
RUN_REACH = (1.35, 1.05)    # half width and half depth of the path on which dogs run about
OUT_SECONDS = 1.0       # when a candle is blown out
HOOP_SECONDS = 0.95     # when the ball passes the rim
# Part of its speed that a thing keeps when it falls onto the ground.
REBOUND = {"ball": 0.55, "ring": 0.40, "cylinder": 0.25, "balloon": 0.3}
HEADING = {"right": 0.0, "left": math.pi, "nearer": math.pi / 2, "away": -math.pi / 2}


@dataclass
class Hoop:
    """A basket: the rim lies flat, a net hangs from it, a board stands behind it on a pole. Metres."""
    centre: tuple[float, float, float]
    rim: float          # radius of the rim's centre line
    tube: float         # half the rim's thickness
    net: float          # how far the net hangs down
    narrow: float       # radius of the net's lower end
    from_left: float    # speed to the right at which the ball comes to the rim: 0 straight down, below 0 from the right


def rotation(axis: int, angle: float) -> np.ndarray:
    """[3, 3] rotation about axis 0, 1 or 2 by `angle` radians, right-handed."""
    c, s = math.cos(angle), math.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m = np.eye(3)
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m


def smooth(u: float) -> float:
    """0 before u = 0, 1 after u = 1, a smooth step between."""
    u = min(1.0, max(0.0, u))
    return u * u * (3.0 - 2.0 * u)


def rest_height(thing: Thing, place: str) -> float:
    """Height of the centre when the thing rests: on the ground, afloat at sea, or, a balloon, above either. Metres."""
    if thing.kind == "balloon":
        return thing.half_height + 0.12
    if place == "sea":
        return (1.0 - 2.0 * (0.09 if thing.kind == "boat" else SUNK)) * thing.half_height
    return thing.lift + (thing.radius if thing.rolls and thing.kind == "cylinder" else thing.half_height)


def rebounds(t: float, speed: float, keeps: float) -> float:
    """Height t seconds after a thing left the ground at `speed` m/s; each rebound keeps `keeps` of the speed."""
    while speed > 0.2:
        flight = 2.0 * speed / GRAVITY
        if t < flight:
            return speed * t - 0.5 * GRAVITY * t * t
        t -= flight
        speed *= keeps
    return 0.0


def fall_height(t: float, start: float, keeps: float) -> float:
    """Height above rest of something dropped from `start` metres at t = 0, with damped rebounds."""
    contact = math.sqrt(2.0 * start / GRAVITY)
    if t < contact:
        return start - 0.5 * GRAVITY * max(0.0, t) ** 2
    return rebounds(t - contact, GRAVITY * contact * keeps, keeps)


def plunge_height(t: float, start: float) -> float:
    """Height above rest of something dropped from `start` metres into water, where it bobs to rest."""
    contact = math.sqrt(2.0 * start / GRAVITY)
    if t < contact:
        return start - 0.5 * GRAVITY * max(0.0, t) ** 2
    t -= contact
    return -0.45 * math.exp(-1.8 * t) * math.sin(6.0 * t)


def bounce_kick(thing: Thing) -> float:
    """Upward speed in m/s by which a bouncing thing leaves the ground at the start of each BOUNCE_PERIOD."""
    top = (0.75 + 0.35 * thing.amount) * min(1.15, max(0.6, thing.half_height / 0.62))
    return math.sqrt(2.0 * GRAVITY * top)


def bounce_offset(thing: Thing) -> float:
    """Seconds since the last kick at t = 0: the thing is then near the top of its first flight."""
    return (0.30 + 0.30 * thing.phase) * 2.0 * bounce_kick(thing) / GRAVITY


def _bounce_switch(thing: Thing) -> tuple[float, float]:
    """The contact with the ground nearest to the clip's middle: its time, and the speed of the impact."""
    speed, t = bounce_kick(thing), -bounce_offset(thing)
    while True:
        flight = 2.0 * speed / GRAVITY
        if t + flight > MIDDLE - 0.35:
            return t + flight, speed
        t += flight
        speed *= BOUNCE_KEEPS


def switch_seconds(thing: Thing) -> float:
    """When the second motion begins; never, without one."""
    if thing.then is None:
        return math.inf
    if thing.motion == "bounce":
        return _bounce_switch(thing)[0]
    return 1.1 if thing.motion == "fall" else MIDDLE


def climb_height(thing: Thing) -> float:
    """Metres that a rising thing climbs, so that it then hovers in view."""
    top = 2.95 - 0.25 * thing.amount - 2.0 * thing.half_height - (0.3 if thing.kind == "balloon" else 0.0)
    return max(0.8, min(1.9, top))


def _brake(t: float) -> float:
    """Distance, per unit of speed, that a thing still goes t seconds after it began to stop."""
    return BRAKE * (1.0 - math.exp(-t / BRAKE)) if t > 0.0 else 0.0


def _depth_travel(thing: Thing, scene: Scene, t: float, seconds: float) -> float:
    """Distance gone in depth t seconds after the start of a journey of `seconds`."""
    speed = between(DEPTH_SPEED[thing.speed], thing.amount) * (1.0 if len(scene.things) == 1 else 0.65)
    return speed * (min(t, seconds) + _brake(t - seconds))


def _wrap(x: float, half: float) -> float:
    """x brought into [-half, half) by whole laps."""
    return (x + half) % (2.0 * half) - half


def _height(thing: Thing, scene: Scene, t: float) -> float:
    """Height of the centre above `rest_height` at time t, in metres."""
    switch = switch_seconds(thing)
    after = t - switch
    h = 0.0
    if thing.motion == "bounce":
        if after < 0.0:
            h = rebounds((t + bounce_offset(thing)) % BOUNCE_PERIOD, bounce_kick(thing), BOUNCE_KEEPS)
        elif thing.then == "stay":
            h = rebounds(after, 0.4 * _bounce_switch(thing)[1], 0.4)
    elif thing.motion == "fall":
        start = 2.0 + 0.8 * thing.amount
        late = 0.0 if thing.then else 0.3 * thing.phase
        if scene.place == "sea":
            h = plunge_height(t - late, start)
        else:
            h = fall_height(t - late, start, REBOUND.get(thing.kind, 0.2))
    elif thing.motion == "rise":
        climb = between(CLIMB_SECONDS[thing.speed], thing.amount) if thing.then is None else 0.9
        top = climb_height(thing)
        h = top * smooth(min(t, switch) / climb)
        if thing.then == "fall" and after > 0.0:
            drop = plunge_height if scene.place == "sea" else fall_height
            h = drop(after, top) if scene.place == "sea" else drop(after, top, REBOUND.get(thing.kind, 0.2))
        elif thing.then is None:
            h += 0.04 * math.sin(2.2 * max(0.0, t - climb))
    if after > 0.0 and thing.then == "rise":
        h += climb_height(thing) * smooth(after / 1.25)
    elif after > 0.0 and thing.then == "bounce":
        h += rebounds(after % BOUNCE_PERIOD, bounce_kick(thing), BOUNCE_KEEPS)
    return h


def _turned(yaw: float, target: float, part: float) -> float:
    """`yaw` turned the short way towards `target` by `part` in [0, 1]."""
    return yaw + part * ((target - yaw + math.pi) % (2.0 * math.pi) - math.pi)


def _ground_path(thing: Thing, scene: Scene, t: float) -> tuple[float, float, float, float, float]:
    """x, z, signed distance along the first heading, distance gone in all, and yaw at time t."""
    switch = switch_seconds(thing)
    before, after = min(t, switch), max(0.0, t - switch)
    x, z, yaw = thing.x, thing.z, thing.yaw
    signed = total = 0.0
    faces = thing.kind in FACING
    if thing.motion in ("left", "right"):
        sign = 1.0 if thing.motion == "right" else -1.0
        signed = travel_speed(thing) * (before - MIDDLE + _brake(after))
        total = signed
        x += sign * signed
        yaw = HEADING[thing.motion] if faces else yaw
    elif thing.motion in ("nearer", "away"):
        sign = 1.0 if thing.motion == "away" else -1.0
        seconds = CLIP_SECONDS if thing.then is None else MIDDLE
        middle = _depth_travel(thing, scene, MIDDLE, CLIP_SECONDS)
        signed = total = _depth_travel(thing, scene, t, seconds) - middle
        z += sign * signed - 0.2
        yaw = HEADING[thing.motion] if faces else yaw
    elif thing.motion == "circle":
        group = scene.groups[thing.group]
        radius = circle_radius(thing, group.count)
        rate = 2.0 * math.pi / round_seconds(thing, ROUND_SECONDS[thing.speed])
        going = before - MIDDLE + _brake(after)
        angle = 2.0 * math.pi * thing.phase + rate * going
        x, z = x + radius * math.cos(angle), z + radius * math.sin(angle)
        signed = total = abs(rate) * radius * going
        yaw = -angle - math.copysign(math.pi / 2, rate) if faces or thing.rolls else yaw - angle
    elif thing.motion == "spin":
        rate = 2.0 * math.pi * between(SPIN_RATE[thing.speed], thing.amount)
        yaw += rate * (before + _brake(after))
    then = thing.then
    if after > 0.0 or faces:
        going = after - _brake(after)
        if then in ("left", "right"):
            step = travel_speed(thing) * going
            back = -1.0 if {thing.motion, then} == {"left", "right"} else 1.0
            x += step if then == "right" else -step
            signed, total = signed + back * step, total + step
        elif then in ("nearer", "away"):
            step = _depth_travel(thing, scene, max(0.0, going), 1.3)
            z += step if then == "away" else -step
            signed, total = signed + step, total + step
        elif then == "spin":
            yaw += 2.0 * math.pi * between(SPIN_RATE["normal"], thing.amount) * going
        if faces and then in HEADING:
            turn = 1.0 if thing.motion in ("stay", "fall") else smooth(after / 0.4)
            yaw = _turned(yaw, HEADING[then], turn)
    if "left" in (thing.motion, then) or "right" in (thing.motion, then):
        x = _wrap(x, lap_half_width(thing, scene.camera))
    return x, z, signed, total, yaw


def _rolling_heading(thing: Thing) -> float:
    """Direction in which a rolling thing's signed distance counts. A cylinder rolls a little aslant, to show its side."""
    first = thing.motion if thing.motion in HEADING else thing.then
    return HEADING.get(first or "", 0.0) + aslant(thing)


def aslant(thing: Thing) -> float:
    """Radians by which a cylinder that rolls left or right leaves that direction."""
    crosses = thing.kind == "cylinder" and thing.rolls and {"left", "right"} & {thing.motion, thing.then}
    angle = min(0.45, math.atan(DRIFT / travel_speed(thing)))
    return (angle if thing.amount < 0.5 else -angle) if crosses else 0.0


def hoop_of(scene: Scene) -> Hoop | None:
    """The hoop of a scene with the event `through_hoop`."""
    if scene.event != "through_hoop":
        return None
    ball = scene.things[0]
    rim = 1.55 * ball.radius + 0.06
    speed = 0.0 if ball.phase < 0.35 else (1.5 + 0.2 * ball.amount) * (1.0 if ball.phase < 0.675 else -1.0)
    return Hoop((ball.x, 1.75, ball.z), rim, 0.045, 1.05 * rim, 1.15 * ball.radius, speed)


def _through_hoop(ball: Thing, hoop: Hoop, t: float) -> tuple[float, float, float, float]:
    """x, y, z and the angle turned of the ball that passes the hoop: one parabola to the rim, then it drops and bounces."""
    x, y, z = hoop.centre
    since = t - HOOP_SECONDS
    drop = math.sqrt(2.0 * (0.75 if hoop.from_left else 1.3) / GRAVITY)     # from the top of its flight to the rim
    down = GRAVITY * drop
    height = y - ball.radius - down * since - 0.5 * GRAVITY * since * since
    slow = 0.3 * hoop.from_left
    moved = hoop.from_left * since if since < 0.0 else slow * 1.5 * (1.0 - math.exp(-since / 1.5))
    land = (-down + math.sqrt(down * down + 2.0 * GRAVITY * (y - ball.radius))) / GRAVITY
    if since > land:
        height = rebounds(since - land, 0.6 * (down + GRAVITY * land), 0.6)
    return x + moved, max(0.0, height) + ball.radius, z, -moved / ball.radius


def net_swing(scene: Scene, t: float) -> tuple[float, float]:
    """How far the net's lower end swings, and how far it is pulled down, in metres, after the ball went through."""
    since = t - HOOP_SECONDS - 0.05
    if since < 0.0:
        return 0.0, 0.0
    swing = math.exp(-1.6 * since) * math.sin(9.0 * since)
    hoop = hoop_of(scene)
    return (0.16 * swing * (1.0 if hoop.from_left >= 0.0 else -1.0),
            0.14 * math.exp(-2.2 * since) * math.sin(11.0 * since + 0.5))


def _leaves(thing: Thing, t: float) -> tuple[float, float, float]:
    """x, z and distance gone of a thing that leaves the picture at one side by the clip's middle and comes back."""
    side = 1.0 if thing.motion == "right" else -1.0
    z = thing.z - 1.0
    inside = side * 0.4 * thing.amount
    outside = side * (CAMERA_TANGENT * WIDEST_ASPECT * (CAMERA_DISTANCE + z) + thing.reach + 0.25)
    gone = t if t < 1.8 else CLIP_SECONDS - 0.2 * math.exp(-(t - 1.8) / 0.2)
    part = gone if gone < MIDDLE else CLIP_SECONDS - gone
    return inside + (outside - inside) * part, z, abs(outside - inside) * gone


def _dog_run(thing: Thing, t: float) -> tuple[float, float, float, float]:
    """x, z, distance gone and yaw of a dog that runs about: all follow one closed path, evenly spaced by their phases."""
    rate = 2.0 * math.pi / round_seconds(thing, RUN_SECONDS)
    a, b = RUN_REACH

    def place(time: float) -> tuple[float, float]:
        angle = rate * (time - MIDDLE) + 2.0 * math.pi * thing.phase
        return (a * math.cos(angle) * (1.0 + 0.12 * math.sin(2.0 * angle)),
                b * math.sin(angle) + 0.12 * math.sin(3.0 * angle))

    (x, z), (x1, z1) = place(t), place(t + 0.01)
    return x, z, 0.5 * (a + b) * abs(rate) * t, -math.atan2(z1 - z, x1 - x)


def thing_state(thing: Thing, scene: Scene, t: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Centre [3] in metres, thing-to-world rotation [3, 3], and distance gone in metres, at time t seconds."""
    base = rest_height(thing, scene.place)
    tilt = 0.0
    first = thing is scene.things[0]
    if scene.event == "through_hoop" and first:
        x, y, z, tilt = _through_hoop(thing, hoop_of(scene), t)
        return np.array([x, y, z]), rotation(1, thing.yaw) @ rotation(2, tilt), abs(tilt) * thing.radius
    if scene.event == "dogs_run":
        x, z, gone, yaw = _dog_run(thing, t)
        return np.array([x, base, z]), rotation(1, yaw), gone
    if scene.event == "leaves_returns" and first:
        x, z, gone = _leaves(thing, t)
        away = HEADING[thing.motion] if t < MIDDLE else HEADING[thing.then]
        signed, y, yaw = (x if thing.motion == "right" else -x), 0.0, away if thing.kind in FACING else thing.yaw
    else:
        x, z, signed, gone, yaw = _ground_path(thing, scene, t)
        y = _height(thing, scene, t)
        if scene.event == "chair_down" and first:
            y = 1.9 * (1.0 - smooth(t / 1.3))
        if aslant(thing):
            z -= math.tan(aslant(thing)) * (x - thing.x)
            signed /= math.cos(aslant(thing))
    y += base
    if thing.kind == "balloon":
        y += 0.05 * math.sin(2.0 * math.pi * (0.45 * t + thing.phase))
    elif scene.place == "sea" and thing.motion != "rise":
        y += 0.06 * math.sin(2.0 * math.pi * (0.6 * t + thing.phase))
        tilt = 0.07 * math.sin(2.0 * math.pi * (0.5 * t + thing.phase))
    if thing.rolls:
        outer = thing.radius * (1.32 if thing.kind == "ring" else 1.0)
        heading = yaw if thing.motion == "circle" else _rolling_heading(thing)
        turn = rotation(1, heading) @ rotation(2, -signed / outer - 6.0 * thing.phase)
        if thing.kind == "cylinder":
            turn = turn @ rotation(0, math.pi / 2)
    else:
        turn = rotation(1, yaw)
        if thing.kind == "ball":
            tilt += 0.4
        if tilt:
            turn = turn @ rotation(2, tilt)
    return np.array([x, y, z]), turn, gone


def thing_pose(thing: Thing, scene: Scene, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre [3] in metres and thing-to-world rotation [3, 3] at time t seconds."""
    return thing_state(thing, scene, t)[:2]


def camera_pose(scene: Scene, t: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Position [3], rows right/up/forward [3, 3], tangent of half the angle of the picture's shorter side, at time t.
    A moving camera goes evenly through the first clip and comes to rest soon after it."""
    u = t / CLIP_SECONDS - 0.5
    if t > CLIP_SECONDS:
        u = 0.5 + 0.35 * (1.0 - math.exp(-(t - CLIP_SECONDS) / 0.7))
    amount = 0.75 + 0.5 * scene.camera_amount
    j = scene.camera_jitter
    position = np.array([0.2 * j[0], 1.75 + 0.3 * j[1], -CAMERA_DISTANCE])
    target = np.array([0.0, 0.95 + 0.08 * j[2], 0.0])
    tangent, company = CAMERA_TANGENT, len(scene.things) > 1
    closer = -0.15 if company else 0.2
    if scene.camera == "orbit":
        position = rotation(1, -0.85 * amount * u) @ position
    elif scene.camera == "rise":
        position[1] = max(0.35, position[1] + 2.6 * amount * (u + 0.15))
    elif scene.camera == "zoom_in":
        tangent *= math.exp(-0.55 * amount * (u + closer))
    elif scene.camera == "zoom_out":
        tangent *= math.exp(0.55 * amount * (u - closer))
    forward = target - position
    if scene.camera in ("pan_left", "pan_right"):
        angle = (0.34 if company else 0.42) * amount * u
        forward = rotation(1, -angle if scene.camera == "pan_left" else angle) @ forward
    forward /= np.linalg.norm(forward)
    right = np.array([forward[2], 0.0, -forward[0]])
    right /= np.linalg.norm(right)
    return position, np.stack([right, np.cross(forward, right), forward]), tangent


def project(scene: Scene, point: np.ndarray, t: float, aspect: float = 1.0) -> np.ndarray:
    """Picture coordinates [2] of a point [3] at time t: (-1, -1) is the lower left corner, (1, 1) the upper right.
    `aspect` is width over height."""
    position, axes, tangent = camera_pose(scene, t)
    right, up, ahead = axes @ (point - position)
    return np.array([right / max(1.0, aspect), up / max(1.0, 1.0 / aspect)]) / (tangent * max(1e-3, ahead))


def picture_velocities(scene: Scene, t: float, aspect: float = 1.0) -> np.ndarray:
    """Velocities [things, 2] of the things' centres in the picture at time t, in picture half-sizes per second
    (x to the right, y up), the camera's movement included."""
    step = 0.5 / FPS
    return np.array([(project(scene, thing_pose(thing, scene, t + step)[0], t + step, aspect)
                      - project(scene, thing_pose(thing, scene, t - step)[0], t - step, aspect)) / (2.0 * step)
                     for thing in scene.things])
