"""Where everything is at each frame: object poses and the camera's path, from a `Scene`.

Invariant: physics holds. What falls or bounces does so under one gravity, what rolls turns by the distance it
travelled, what stands touches the ground, what is at sea floats.
"""
from __future__ import annotations

import numpy as np

from .world import FPS, FRAMES, Scene, Thing

GRAVITY = 9.8           # m/s^2
CLIP_SECONDS = (FRAMES - 1) / FPS


def rotation(axis: int, angle: float) -> np.ndarray:
    """[3, 3] rotation about axis 0, 1 or 2 by `angle` radians, right-handed."""
    c, s = np.cos(angle), np.sin(angle)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    m = np.eye(3)
    m[i, i], m[i, j], m[j, i], m[j, j] = c, -s, s, c
    return m


def rest_height(thing: Thing, place: str) -> float:
    """Height of the centre when the object lies on the ground, or floats at sea, in metres."""
    if place == "sea":
        return 0.45 * (thing.half_height if thing.shape in ("cylinder", "cone") else thing.radius)
    if thing.shape == "ring":
        return thing.radius + thing.half_height
    if thing.shape in ("cylinder", "cone") and not thing.rolls:
        return thing.half_height
    return thing.radius


def _bounce_height(t: float, phase: float, top: float) -> float:
    """Height above the ground at time t of an elastic bounce that reaches `top` metres."""
    half = np.sqrt(2 * top / GRAVITY)
    u = (t + 2 * half * phase) % (2 * half) - half
    return top - 0.5 * GRAVITY * u * u


def _fall_height(t: float, start: float, restitution: float = 0.42) -> float:
    """Height above rest of something dropped from `start` metres, with damped rebounds."""
    contact = np.sqrt(2 * start / GRAVITY)
    if t < contact:
        return start - 0.5 * GRAVITY * t * t
    t -= contact
    speed = GRAVITY * contact * restitution
    while speed > 0.25:
        flight = 2 * speed / GRAVITY
        if t < flight:
            return speed * t - 0.5 * GRAVITY * t * t
        t -= flight
        speed *= restitution
    return 0.0


def _plunge_height(t: float, start: float) -> float:
    """Height above rest of something dropped from `start` metres into water, where it bobs to rest."""
    contact = np.sqrt(2 * start / GRAVITY)
    if t < contact:
        return start - 0.5 * GRAVITY * t * t
    t -= contact
    return -0.45 * np.exp(-1.8 * t) * np.sin(6.0 * t)


def thing_pose(thing: Thing, scene: Scene, t: float) -> tuple[np.ndarray, np.ndarray]:
    """Centre [3] in metres and object-to-world rotation [3, 3] at time t seconds."""
    u = t / CLIP_SECONDS
    base = rest_height(thing, scene.place)
    several = len(scene.things) > 1
    x, y, z, yaw, travelled = thing.x, base, thing.z, thing.yaw, 0.0
    heading = 0.0
    if thing.motion in ("left", "right"):
        sign = -1.0 if thing.motion == "left" else 1.0
        travelled = (1.7 + 1.0 * thing.amount) * (u - 0.5)
        x = (0.4 * thing.x if several else thing.x) + sign * travelled
        heading = 0.0 if sign > 0 else np.pi
    elif thing.motion in ("nearer", "away"):
        sign = -1.0 if thing.motion == "nearer" else 1.0
        travelled = (2.6 + 1.2 * thing.amount) * (u - 0.5)
        z = thing.z - 0.2 + sign * travelled
        heading = np.pi / 2 if sign < 0 else -np.pi / 2
    elif thing.motion == "bounce":
        y += _bounce_height(t, thing.phase, 0.65 + 0.65 * thing.amount)
    elif thing.motion == "fall":
        height, delay = 2.0 + 0.9 * thing.amount, 0.4 * thing.phase
        drop = _plunge_height if scene.place == "sea" else _fall_height
        y += drop(max(0.0, t - delay), height)
    elif thing.motion == "rise":
        y += (1.6 + 1.0 * thing.amount) * u * (0.5 + 0.5 * u) * 1.15
    elif thing.motion == "spin":
        yaw += 2 * np.pi * (0.35 + 0.3 * thing.amount) * t + 2 * np.pi * thing.phase
    elif thing.motion == "circle":
        radius = (0.55 if several else 0.95) + 0.2 * thing.amount
        angle = 2 * np.pi * (u + thing.phase)
        x, z = thing.x + radius * np.cos(angle), thing.z + radius * np.sin(angle)
        travelled, heading = radius * 2 * np.pi * u, -(angle + np.pi / 2)
        yaw = -angle
    if scene.place == "sea" and thing.motion not in ("fall", "rise"):
        y += 0.07 * np.sin(2 * np.pi * (0.7 * t + thing.phase))
    turn = rotation(1, yaw)
    if thing.rolls:
        outer = thing.radius + (thing.half_height if thing.shape == "ring" else 0.0)
        turn = rotation(1, heading) @ rotation(2, -(travelled / outer) - 6.0 * thing.phase)
        if thing.shape == "cylinder":
            turn = turn @ rotation(0, np.pi / 2)
    elif thing.shape == "ball":
        turn = turn @ rotation(2, 0.4)
    return np.array([x, y, z]), turn


def camera_pose(scene: Scene, t: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Position [3], rows right/up/forward [3, 3], tangent of half the field of view, at time t seconds."""
    u = t / CLIP_SECONDS - 0.5
    amount = 0.75 + 0.5 * scene.camera_amount
    j = scene.camera_jitter
    position = np.array([0.25 * j[0], 1.75 + 0.3 * j[1], -6.6])
    target = np.array([0.0, 0.95 + 0.08 * j[2], 0.0])
    tangent = 0.345
    if scene.camera == "orbit":
        position = rotation(1, -0.85 * amount * u) @ position
    elif scene.camera == "rise":
        position[1] += 2.6 * amount * (u + 0.15)
        position[1] = max(position[1], 0.35)
    elif scene.camera == "zoom_in":
        tangent *= np.exp(-0.55 * amount * (u + 0.2))
    elif scene.camera == "zoom_out":
        tangent *= np.exp(0.55 * amount * (u - 0.2))
    forward = target - position
    if scene.camera in ("pan_left", "pan_right"):
        sign = -1.0 if scene.camera == "pan_left" else 1.0
        forward = rotation(1, sign * 0.42 * amount * u) @ forward
    forward /= np.linalg.norm(forward)
    right = np.cross(np.array([0.0, 1.0, 0.0]), forward)
    right /= np.linalg.norm(right)
    return position, np.stack([right, np.cross(forward, right), forward]), float(tangent)
