"""The ray caster: analytic intersections and shading, compiled by numba.

One ray per pixel, and four rays only where neighbouring pixels see different surfaces. Everything is
kept soft (gradients, round shadows, low-frequency ground), because a very small autoencoder has to carry it.

Arrays that describe a frame (float64):
  camera  [13]    position, right, up, forward, tangent of half the field of view
  things  [n, 24] shape, centre 3, world-to-object rotation 9, radius, half height, rgb 3, bound, yaw unused, spare
  env     [40]    see `render.environment`
Surface numbers: 0 sky, 1 ground, 2 hills, 3.. walls, 10 + k object k.
"""
from __future__ import annotations

import numpy as np
from numba import njit

BALL, BOX, CYLINDER, CONE, RING = range(5)
FAR = 1e9


@njit(cache=True, fastmath=True)
def smoothstep(a, b, x):
    t = min(1.0, max(0.0, (x - a) / (b - a)))
    return t * t * (3.0 - 2.0 * t)


@njit(cache=True, fastmath=True)
def ring_distance(x, y, z, radius, tube):
    q = np.sqrt(x * x + y * y) - radius
    return np.sqrt(q * q + z * z) - tube


@njit(cache=True, fastmath=True)
def hit_thing(shape, a, b, bound, ox, oy, oz, dx, dy, dz, out):
    """Nearest hit along a ray in object space; out[0:3] is the normal, out[3:6] the point. Returns t or FAR."""
    od = ox * dx + oy * dy + oz * dz
    gap = ox * ox + oy * oy + oz * oz - bound * bound
    disc = od * od - gap
    if disc <= 0.0:
        return FAR
    root = np.sqrt(disc)
    if -od + root <= 0.0:
        return FAR
    best = FAR
    nx, ny, nz = 0.0, 0.0, 0.0
    if shape == BALL:
        t = -od - root
        if t > 0.0:
            best = t
            nx, ny, nz = (ox + t * dx) / a, (oy + t * dy) / a, (oz + t * dz) / a
    elif shape == BOX:
        lo, hi = -FAR, FAR
        axis, sign = 0, 1.0
        for k in range(3):
            o = ox if k == 0 else (oy if k == 1 else oz)
            d = dx if k == 0 else (dy if k == 1 else dz)
            if abs(d) < 1e-9:
                if abs(o) > a:
                    return FAR
                continue
            t0, t1 = (-a - o) / d, (a - o) / d
            s = -1.0
            if t0 > t1:
                t0, t1 = t1, t0
                s = 1.0
            if t0 > lo:
                lo, axis, sign = t0, k, s
            hi = min(hi, t1)
        if lo < hi and lo > 0.0:
            best = lo
            if axis == 0:
                nx = sign
            elif axis == 1:
                ny = sign
            else:
                nz = sign
    elif shape == CYLINDER:
        qa = dx * dx + dz * dz
        qb = ox * dx + oz * dz
        qc = ox * ox + oz * oz - a * a
        q = qb * qb - qa * qc
        if qa > 1e-12 and q > 0.0:
            t = (-qb - np.sqrt(q)) / qa
            y = oy + t * dy
            if t > 0.0 and abs(y) <= b:
                best = t
                nx, nz = (ox + t * dx) / a, (oz + t * dz) / a
        if abs(dy) > 1e-9:
            cap = b if dy < 0.0 else -b
            t = (cap - oy) / dy
            x, z = ox + t * dx, oz + t * dz
            if t > 0.0 and t < best and x * x + z * z <= a * a:
                best = t
                nx, ny, nz = 0.0, (1.0 if cap > 0 else -1.0), 0.0
    elif shape == CONE:
        k = a / (2.0 * b)
        k2 = k * k
        oa = oy - b
        qa = dx * dx + dz * dz - k2 * dy * dy
        qb = ox * dx + oz * dz - k2 * oa * dy
        qc = ox * ox + oz * oz - k2 * oa * oa
        q = qb * qb - qa * qc
        if q > 0.0 and abs(qa) > 1e-12:
            r = np.sqrt(q)
            for s in range(2):
                t = (-qb - r) / qa if s == 0 else (-qb + r) / qa
                y = oy + t * dy
                if t > 0.0 and t < best and y >= -b and y <= b:
                    best = t
                    px, pz = ox + t * dx, oz + t * dz
                    inv = 1.0 / np.sqrt(px * px + pz * pz + 1e-12)
                    c = 1.0 / np.sqrt(1.0 + k2)
                    nx, ny, nz = px * inv * c, k * c, pz * inv * c
        if abs(dy) > 1e-9:
            t = (-b - oy) / dy
            x, z = ox + t * dx, oz + t * dz
            if t > 0.0 and t < best and x * x + z * z <= a * a:
                best = t
                nx, ny, nz = 0.0, -1.0, 0.0
    else:
        t = max(0.0, -od - root)
        end = -od + root
        for _ in range(40):
            d = ring_distance(ox + t * dx, oy + t * dy, oz + t * dz, a, b)
            if d < 0.004:
                best = t
                break
            t += d
            if t > end:
                break
        if best < FAR:
            x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
            rho = np.sqrt(x * x + y * y) + 1e-9
            cx, cy = x - x / rho * a, y - y / rho * a
            inv = 1.0 / (np.sqrt(cx * cx + cy * cy + z * z) + 1e-9)
            nx, ny, nz = cx * inv, cy * inv, z * inv
    if best < FAR:
        out[0], out[1], out[2] = nx, ny, nz
        out[3], out[4], out[5] = ox + best * dx, oy + best * dy, oz + best * dz
    return best


@njit(cache=True, fastmath=True)
def stripe(shape, a, b, x, y, z):
    """In [0, 1]: how much of the lighter second tone an object shows at a point in its own space."""
    if shape == BALL:
        return 1.0 - smoothstep(0.22 * a, 0.36 * a, abs(x))
    if shape == RING:
        ang = np.arctan2(y, x)
        return smoothstep(-0.15, 0.35, np.cos(3.0 * ang) - 0.35)
    if shape == BOX:
        return 0.0
    r = np.sqrt(x * x + z * z) + 1e-9
    return smoothstep(0.2, 0.5, x / r) * smoothstep(0.1 * a, 0.35 * a, r) * 0.9


@njit(cache=True, fastmath=True)
def shadow_at(x, y, z, skip, things, env):
    """Fraction of direct light in [0, 1] and, second, of ambient light that reaches a point."""
    lx, ly, lz = env[0], env[1], env[2]
    light, ambient = 1.0, 1.0
    for k in range(things.shape[0]):
        if k == skip:
            continue
        cx, cy, cz = things[k, 1] - x, things[k, 2] - y, things[k, 3] - z
        r = things[k, 18]
        along = cx * lx + cy * ly + cz * lz
        flat = np.sqrt(cx * cx + cz * cz)
        if along > 0.0:
            d2 = cx * cx + cy * cy + cz * cz - along * along
            d = np.sqrt(max(0.0, d2))
            if d < 1.25 * r:
                soft = 0.18 + 0.12 * along
                light = min(light, 1.0 - 0.82 * (1.0 - smoothstep(r * (0.95 - soft), r * (0.95 + soft), d)))
        if flat < 1.7 * r and cy > -0.2:
            near = max(0.0, 1.0 - flat / (1.7 * r))
            ambient *= 1.0 - 0.55 * near * np.exp(-1.6 * max(0.0, cy - 0.75 * r) / r)
    return light, ambient


@njit(cache=True, fastmath=True)
def sky_colour(dx, dy, dz, env, out):
    """Colour of the sky, and of the hills that stand before it; returns the surface number."""
    azimuth = np.arctan2(dx, dz)
    flat = np.sqrt(dx * dx + dz * dz) + 1e-9
    slope = dy / flat
    hill = env[27] * (0.55 + 0.28 * np.sin(3.1 * azimuth + env[30]) + 0.17 * np.sin(7.3 * azimuth + env[31]))
    if env[27] > 0.0 and slope < hill:
        shade = 0.82 + 0.18 * min(1.0, max(0.0, slope / (hill + 1e-6)))
        for c in range(3):
            out[c] = env[24 + c] * shade
        return 2
    up = min(1.0, max(0.0, slope / 0.75))
    up = 1.0 - (1.0 - up) * (1.0 - up)
    for c in range(3):
        out[c] = env[9 + c] + (env[12 + c] - env[9 + c]) * up
    if env[28] > 0.0 and slope > 0.0:
        cloud = 0.5 + 0.3 * np.sin(4.0 * azimuth + env[32]) + 0.3 * np.sin(9.0 * slope + 2.3 * azimuth + env[33])
        cloud = env[28] * smoothstep(0.45, 1.05, cloud) * smoothstep(0.02, 0.15, slope)
        for c in range(3):
            out[c] += (env[34 + c] - out[c]) * cloud
    glow = dx * env[37] + dy * env[38] + dz * env[39]
    if env[29] > 0.0 and glow > 0.0:
        disc = smoothstep(0.9955, 0.9985, glow)
        halo = env[29] * glow ** 24
        for c in range(3):
            out[c] += (env[6 + c] - out[c]) * min(1.0, 0.95 * disc + 0.55 * halo)
    return 0


@njit(cache=True, fastmath=True)
def ground_albedo(place, x, z, dist, env, out):
    """Albedo of the ground: two tones mixed by slow waves that fade with distance."""
    fade = 1.0 / (1.0 + 0.012 * dist * dist)
    p, q = env[30], env[31]
    if place == 1:
        w = 0.5 + 0.5 * np.sin(1.5 * z + 0.9 * np.sin(0.6 * x + p) + q)
    elif place == 3:
        w = 0.5 + 0.3 * np.sin(2.0 * z + 0.8 * np.sin(0.9 * x + p) + env[33]) + 0.2 * np.sin(1.2 * x - 1.1 * z + q)
    elif place == 4:
        w = smoothstep(-0.25, 0.25, np.sin(1.7 * x + 0.3 * p)) * 0.9
    else:
        w = 0.5 + 0.27 * np.sin(1.3 * x + 0.7 * z + p) + 0.23 * np.sin(1.1 * z - 0.8 * x + q)
    w = 0.5 + (w - 0.5) * fade
    for c in range(3):
        out[c] = env[18 + c] + (env[21 + c] - env[18 + c]) * w


@njit(cache=True, fastmath=True)
def room_colour(px, py, pz, dx, dy, dz, env, out):
    """Nearest wall or ceiling of the room along a ray that starts inside; returns t and the surface number."""
    best, surface = FAR, 3
    if dz > 1e-6:
        best, surface = (4.2 - pz) / dz, 3
    if dx > 1e-6:
        t = (4.6 - px) / dx
        if t < best:
            best, surface = t, 4
    elif dx < -1e-6:
        t = (-4.6 - px) / dx
        if t < best:
            best, surface = t, 5
    if dz < -1e-6:
        t = (-8.5 - pz) / dz
        if t < best:
            best, surface = t, 3
    if dy > 1e-6:
        t = (4.8 - py) / dy
        if t < best:
            best, surface = t, 6
    x, y = px + best * dx, py + best * dy
    dim = 1.0 if surface == 3 else (0.86 if surface == 4 else (0.92 if surface == 5 else 1.08))
    dim *= 0.86 + 0.14 * min(1.0, max(0.0, y / 3.0))
    for c in range(3):
        out[c] = env[24 + c] * dim
    if surface == 3 and dz > 0.0:
        wx = 1.0 - smoothstep(0.80, 0.92, abs(x + env[27]))
        wy = 1.0 - smoothstep(0.66, 0.78, abs(y - 2.75))
        pane = wx * wy
        frame = (1.0 - smoothstep(0.96, 1.08, abs(x + env[27]))) * (1.0 - smoothstep(0.82, 0.94, abs(y - 2.75)))
        up = min(1.0, max(0.0, (y - 2.0) / 1.5))
        for c in range(3):
            out[c] += (0.9 * env[3 + c] * 0.8 + 0.08 - out[c]) * frame
            out[c] += (env[9 + c] + (env[12 + c] - env[9 + c]) * up - out[c]) * pane
    if y < 0.28 and surface != 6:
        for c in range(3):
            out[c] *= 1.0 - 0.35 * (1.0 - smoothstep(0.16, 0.28, y))
    return best, surface


@njit(cache=True, fastmath=True)
def trace(sx, sy, camera, things, env, colour, scratch):
    """Colour [3] seen through the picture plane at (sx, sy) in [-1, 1]; returns the surface number."""
    tan = camera[12]
    dx = camera[9] + tan * (sx * camera[3] + sy * camera[6])
    dy = camera[10] + tan * (sx * camera[4] + sy * camera[7])
    dz = camera[11] + tan * (sx * camera[5] + sy * camera[8])
    inv = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx * inv, dy * inv, dz * inv
    px, py, pz = camera[0], camera[1], camera[2]
    place = int(env[15])
    best, which = FAR, -1
    nx, ny, nz, tone = 0.0, 0.0, 0.0, 0.0
    for k in range(things.shape[0]):
        ex, ey, ez = px - things[k, 1], py - things[k, 2], pz - things[k, 3]
        ed = ex * dx + ey * dy + ez * dz
        if ed * ed - (ex * ex + ey * ey + ez * ez) + things[k, 18] * things[k, 18] <= 0.0:
            continue
        ox = things[k, 4] * ex + things[k, 5] * ey + things[k, 6] * ez
        oy = things[k, 7] * ex + things[k, 8] * ey + things[k, 9] * ez
        oz = things[k, 10] * ex + things[k, 11] * ey + things[k, 12] * ez
        lx = things[k, 4] * dx + things[k, 5] * dy + things[k, 6] * dz
        ly = things[k, 7] * dx + things[k, 8] * dy + things[k, 9] * dz
        lz = things[k, 10] * dx + things[k, 11] * dy + things[k, 12] * dz
        shape = int(things[k, 0])
        t = hit_thing(shape, things[k, 13], things[k, 14], things[k, 18], ox, oy, oz, lx, ly, lz, scratch)
        if t < best:
            best, which = t, k
            a, b, c = scratch[0], scratch[1], scratch[2]
            nx = things[k, 4] * a + things[k, 7] * b + things[k, 10] * c
            ny = things[k, 5] * a + things[k, 8] * b + things[k, 11] * c
            nz = things[k, 6] * a + things[k, 9] * b + things[k, 12] * c
            tone = stripe(shape, things[k, 13], things[k, 14], scratch[3], scratch[4], scratch[5])
    ground = -py / dy if dy < -1e-6 else FAR
    surface = 0
    if which >= 0 and best < ground:
        surface = 10 + which
        x, y, z = px + best * dx, py + best * dy, pz + best * dz
        light, _ = shadow_at(x, y, z, which, things, env)
        lambert = nx * env[0] + ny * env[1] + nz * env[2]
        lambert = max(0.0, (lambert + 0.25) / 1.25) * light
        sky = 0.5 + 0.5 * ny
        hx, hy, hz = env[0] - dx, env[1] - dy, env[2] - dz
        hn = 1.0 / (np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
        spec = max(0.0, (nx * hx + ny * hy + nz * hz) * hn) ** 24 * 0.3 * light
        contact = 0.75 + 0.25 * smoothstep(0.0, 0.5, y)
        for c in range(3):
            albedo = things[which, 15 + c]
            albedo += tone * 0.42 * (1.0 - albedo)
            amb = env[3 + c] * (0.45 + 0.55 * sky) * contact
            colour[c] = albedo * (env[6 + c] * lambert * env[17] + amb) + env[6 + c] * spec
        best_fog = best
    elif ground < FAR:
        x, z = px + ground * dx, pz + ground * dz
        if place == 4:
            t, wall = room_colour(px, py, pz, dx, dy, dz, env, colour)
            if t < ground:
                return wall
        surface = 1
        ground_albedo(place, x, z, ground, env, colour)
        light, ambient = shadow_at(x, 0.0, z, -1, things, env)
        if place == 3:
            light, ambient = 0.45 + 0.55 * light, 0.5 + 0.5 * ambient
        for c in range(3):
            colour[c] *= env[6 + c] * env[1] * light * env[17] + env[3 + c] * ambient
        if place == 3:
            mirror = 0.12 + 0.55 * (1.0 + dy) ** 6
            for c in range(3):
                colour[c] += (env[9 + c] * 0.9 - colour[c]) * mirror
        best_fog = ground
    else:
        if place == 4:
            t, wall = room_colour(px, py, pz, dx, dy, dz, env, colour)
            return wall
        return sky_colour(dx, dy, dz, env, colour)
    if place != 4:
        fog = 1.0 - np.exp(-max(0.0, best_fog - 7.0) * env[16])
        for c in range(3):
            far = env[24 + c] if env[27] > 0.0 else env[9 + c]
            colour[c] += (0.5 * (env[9 + c] + far) - colour[c]) * fog
    return surface


@njit(cache=True, fastmath=True)
def render_frame(camera, things, env, surfaces, picture):
    """Renders picture [H, W, 3] uint8; surfaces [H, W] int32 is scratch and leaves the surface numbers."""
    height, width = surfaces.shape
    linear = np.empty((height, width, 3), np.float32)
    colour = np.zeros(3)
    scratch = np.zeros(6)
    for i in range(height):
        for j in range(width):
            surfaces[i, j] = trace((2 * j + 1) / width - 1.0, 1.0 - (2 * i + 1) / height, camera, things, env,
                                   colour, scratch)
            for c in range(3):
                linear[i, j, c] = colour[c]
    for i in range(height):
        for j in range(width):
            here = surfaces[i, j]
            if ((j > 0 and surfaces[i, j - 1] != here) or (j + 1 < width and surfaces[i, j + 1] != here)
                    or (i > 0 and surfaces[i - 1, j] != here) or (i + 1 < height and surfaces[i + 1, j] != here)):
                r, g, b = 0.0, 0.0, 0.0
                for s in range(4):
                    sx = (2 * j + 1 + (-0.75 + 0.5 * s)) / width - 1.0
                    sy = 1.0 - (2 * i + 1 + (-0.25 if s == 0 else (0.75 if s == 1 else (-0.75 if s == 2 else 0.25)))) / height
                    trace(sx, sy, camera, things, env, colour, scratch)
                    r += min(1.0, colour[0])
                    g += min(1.0, colour[1])
                    b += min(1.0, colour[2])
                linear[i, j, 0], linear[i, j, 1], linear[i, j, 2] = r / 4, g / 4, b / 4
            for c in range(3):
                v = min(1.0, max(0.0, linear[i, j, c]))
                picture[i, j, c] = np.uint8(v * 255.0 + 0.5)
