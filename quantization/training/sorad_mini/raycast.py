"""The ray caster: analytic intersections and shading, compiled by numba.

One ray per pixel, and four rays only where neighbouring pixels see different surfaces. Everything is
kept soft (gradients, round shadows, low-frequency ground), because a small autoencoder has to carry it.

Things are made of parts; a part is a unit solid (see `hit_part`) under an affine map. Arrays of a frame (float64):
  camera  [14]     position, right, up, forward, tangents of half the picture's width and of half its height
  parts   [m, 28]  0 solid, 1 centre, 4 world-to-unit map [3, 3], 13 bound (radius round the centre), 14 two parameters,
                   16 colour, 19 second colour, 22 texture, 23 glow in [0, 1], 24 the row of `things` it belongs to
  things  [n, 8]   0 centre of a bounding sphere, 3 its radius, 4 first part, 5 end of its parts, 6 identity (-1: none)
  casters [k, 5]   0 centre, 3 radius, 4 row of `things`: spheres that stand for the things' shadows
  lights  [l, 7]   0 place, 3 colour times strength, 6 metres at which half is left
  puffs   [g, 8]   0 place, 3 radius, 4 colour, 7 opacity: soft glows and smoke
  env     [51]     see `render.environment`
Surface numbers: 0 sky, 1 ground, 2 hills, 3.. walls, 16 + 8 k + face of part k.
"""
from __future__ import annotations

import numpy as np
from numba import njit

SPHERE, FRUSTUM, WEDGE, TORUS, STAR, HEART, NET = range(7)
PLAIN, BAND, SECTORS, STRIPE, PANEL, WINDOWS, BELT, GORES, GUNWALE, SPOKES, LEAVES, BOARD = range(12)
GRASS, DESERT, SNOW, SEA, ROOM, ROAD, BEACH = range(7)
FAR = 1e9
compiled = njit(cache=True, fastmath=True, error_model="numpy")


def _star_outline() -> np.ndarray:
    """[10, 2] corners of a five-pointed star of radius 1, its tip up, counter-clockwise."""
    angle = np.pi / 2 + np.arange(10) * np.pi / 5
    radius = np.where(np.arange(10) % 2 == 0, 1.0, 0.46)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


def _heart_outline() -> np.ndarray:
    """[24, 2] points of a heart within [-1, 1] x [-0.95, 0.95], its tip down, counter-clockwise."""
    a = -(np.arange(24) / 24.0) * 2 * np.pi + np.pi
    x = 16 * np.sin(a) ** 3
    y = 13 * np.cos(a) - 5 * np.cos(2 * a) - 2 * np.cos(3 * a) - np.cos(4 * a)
    return np.stack([x / 16.0, (y + 2.55) / 15.2], 1)


STAR_OUTLINE, HEART_OUTLINE = _star_outline(), _heart_outline()


@compiled
def smoothstep(a, b, x):
    """0 below a, 1 above b, a smooth step between."""
    t = min(1.0, max(0.0, (x - a) / (b - a)))
    return t * t * (3.0 - 2.0 * t)


@compiled
def wave(x):
    """The sine of x radians to within 0.001, in a third of the time."""
    x *= 0.5 / np.pi
    x -= np.floor(x + 0.5)
    y = 8.0 * x - 16.0 * x * abs(x)
    return y * (0.775 + 0.225 * abs(y))


@compiled
def hit_outline(outline, tilt, ox, oy, oz, dx, dy, dz, out):
    """Nearest hit of a ray with an outline [n, 2] that is drawn out over |z| <= 1. The flat sides' normals lean outwards
    by `tilt`, so that they look like facets (star) or a cushion (heart)."""
    n = outline.shape[0]
    best = FAR
    if abs(oz) > 1.0 and oz * dz < 0.0:
        side = 1.0 if oz > 0.0 else -1.0
        t = (side - oz) / dz
        x, y = ox + t * dx, oy + t * dy
        inside = False
        j = n - 1
        for i in range(n):
            xi, yi, xj, yj = outline[i, 0], outline[i, 1], outline[j, 0], outline[j, 1]
            if (yi > y) != (yj > y) and x < (xj - xi) * (y - yi) / (yj - yi) + xi:
                inside = not inside
            j = i
        if inside:
            best = t
            r = np.sqrt(x * x + y * y) + 1e-9
            lean_x, lean_y = x * r, y * r
            if n == 10:
                turned = np.arctan2(y, x) - 0.5 * np.pi
                i = int(np.floor((turned if turned >= 0.0 else turned + 2.0 * np.pi) * 5.0 / np.pi)) % 10
                ex, ey = outline[(i + 1) % 10, 0] - outline[i, 0], outline[(i + 1) % 10, 1] - outline[i, 1]
                inv = 1.0 / np.sqrt(ex * ex + ey * ey)
                lean_x, lean_y = ey * inv, -ex * inv
            out[0], out[1], out[2] = tilt * lean_x, tilt * lean_y, side
            out[3], out[4], out[5], out[6] = x, y, oz + t * dz, 0.0
    j = n - 1
    for i in range(n):
        ex, ey = outline[i, 0] - outline[j, 0], outline[i, 1] - outline[j, 1]
        nx, ny = ey, -ex
        toward = nx * dx + ny * dy
        if toward < 0.0:
            t = (nx * (outline[j, 0] - ox) + ny * (outline[j, 1] - oy)) / toward
            if 0.0 < t < best:
                x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
                along = (x - outline[j, 0]) * ex + (y - outline[j, 1]) * ey
                if abs(z) <= 1.0 and 0.0 <= along <= ex * ex + ey * ey:
                    best = t
                    inv = 1.0 / np.sqrt(nx * nx + ny * ny)
                    out[0], out[1], out[2] = nx * inv, ny * inv, 0.0
                    out[3], out[4], out[5], out[6] = x, y, z, 1.0
        j = i
    return best


@compiled
def hit_torus(tube, ox, oy, oz, dx, dy, dz, out):
    """Nearest hit with a torus round the z axis, its centre line of radius 1, by sphere tracing."""
    length = np.sqrt(dx * dx + dy * dy + dz * dz)
    dx, dy, dz = dx / length, dy / length, dz / length
    outer = 1.0 + tube
    b = ox * dx + oy * dy + oz * dz
    q = b * b - (ox * ox + oy * oy + oz * oz - outer * outer)
    if q <= 0.0:
        return FAR
    root = np.sqrt(q)
    t, end = max(0.0, -b - root), -b + root
    if abs(dz) > 1e-6:
        t0, t1 = (-tube - oz) / dz, (tube - oz) / dz
        t, end = max(t, min(t0, t1)), min(end, max(t0, t1))
    for _ in range(32):
        if t > end:
            return FAR
        x, y, z = ox + t * dx, oy + t * dy, oz + t * dz
        rho = np.sqrt(x * x + y * y) + 1e-9
        ring = rho - 1.0
        d = np.sqrt(ring * ring + z * z) - tube
        if d < 0.004:
            out[0], out[1], out[2] = x / rho * ring, y / rho * ring, z
            out[3], out[4], out[5], out[6] = x, y, z, 0.0
            return t / length
        t += d
    return FAR


@compiled
def hit_part(solid, p, q, ox, oy, oz, dx, dy, dz, out):
    """Nearest hit of a ray with a unit solid. Returns t or FAR; out[0:3] is the normal (any length), out[3:6] the point,
    out[6] the face. Solids: SPHERE of radius 1; FRUSTUM |y| <= 1, radius 1 below and p above; WEDGE |y| <= 1, half sides
    1 below and p (x), q (z) above; TORUS round z with tube p; STAR and HEART over |z| <= 1."""
    best = FAR
    if solid == SPHERE:
        a = dx * dx + dy * dy + dz * dz
        b = ox * dx + oy * dy + oz * dz
        disc = b * b - a * (ox * ox + oy * oy + oz * oz - 1.0)
        if disc > 0.0:
            t = (-b - np.sqrt(disc)) / a
            if t > 0.0:
                best = t
                out[0], out[1], out[2] = ox + t * dx, oy + t * dy, oz + t * dz
                out[3], out[4], out[5], out[6] = out[0], out[1], out[2], 0.0
    elif solid == FRUSTUM:
        slope = 0.5 * (1.0 - p)
        r0 = 0.5 * (1.0 + p) - slope * oy
        qa = dx * dx + dz * dz - slope * slope * dy * dy
        qb = ox * dx + oz * dz + slope * dy * r0
        qc = ox * ox + oz * oz - r0 * r0
        disc = qb * qb - qa * qc
        if disc > 0.0 and abs(qa) > 1e-12:
            root = np.sqrt(disc)
            for s in range(2):
                t = (-qb - root) / qa if s == 0 else (-qb + root) / qa
                y = oy + t * dy
                if 0.0 < t < best and abs(y) <= 1.0:
                    best = t
                    x, z = ox + t * dx, oz + t * dz
                    r = np.sqrt(x * x + z * z) + 1e-12
                    out[0], out[1], out[2] = x / r, slope, z / r
                    out[3], out[4], out[5], out[6] = x, y, z, 0.0
        if abs(dy) > 1e-9:
            cap = 1.0 if dy < 0.0 else -1.0
            t = (cap - oy) / dy
            x, z = ox + t * dx, oz + t * dz
            edge = p if cap > 0.0 else 1.0
            if 0.0 < t < best and x * x + z * z <= edge * edge:
                best = t
                out[0], out[1], out[2] = 0.0, cap, 0.0
                out[3], out[4], out[5], out[6] = x, cap, z, 1.0
    elif solid == WEDGE:
        enter, leave = -FAR, FAR
        face = 0
        for k in range(6):
            if k < 2:
                s = 1.0 if k == 0 else -1.0
                slope = 0.5 * (1.0 - p)
                f, g = s * ox + slope * oy - 0.5 * (1.0 + p), s * dx + slope * dy
            elif k < 4:
                s = 1.0 if k == 2 else -1.0
                slope = 0.5 * (1.0 - q)
                f, g = s * oz + slope * oy - 0.5 * (1.0 + q), s * dz + slope * dy
            else:
                s = 1.0 if k == 4 else -1.0
                f, g = s * oy - 1.0, s * dy
            if g < 0.0:
                t = -f / g
                if t > enter:
                    enter, face = t, k
            elif g > 0.0:
                leave = min(leave, -f / g)
            elif f > 0.0:
                return FAR
        if enter < leave and enter > 0.0:
            best = enter
            s = 1.0 if face % 2 == 0 else -1.0
            out[0] = s if face < 2 else 0.0
            out[1] = 0.5 * (1.0 - p) if face < 2 else (0.5 * (1.0 - q) if face < 4 else s)
            out[2] = s if 2 <= face < 4 else 0.0
            out[3], out[4], out[5], out[6] = ox + best * dx, oy + best * dy, oz + best * dz, face
    elif solid == TORUS:
        best = hit_torus(p, ox, oy, oz, dx, dy, dz, out)
    elif solid == STAR:
        best = hit_outline(STAR_OUTLINE, 0.45, ox, oy, oz, dx, dy, dz, out)
    else:
        best = hit_outline(HEART_OUTLINE, 0.55, ox, oy, oz, dx, dy, dz, out)
    return best


@compiled
def second_tone(texture, x, y, z, face):
    """In [0, 1]: how much of its second colour a part shows at a point of its unit solid."""
    if texture == BAND:
        return 1.0 - smoothstep(0.22, 0.36, abs(x))
    if texture == SECTORS:
        return smoothstep(-0.15, 0.35, np.cos(3.0 * np.arctan2(y, x)) - 0.35)
    if texture == STRIPE:
        r = np.sqrt(x * x + z * z) + 1e-9
        return smoothstep(0.25, 0.55, x / r) * smoothstep(0.1, 0.35, r)
    if texture == PANEL:
        a = max(abs(y), abs(z)) if face < 2 else (max(abs(x), abs(y)) if face < 4 else max(abs(x), abs(z)))
        return 1.0 - smoothstep(0.56, 0.72, a)
    if texture == WINDOWS:
        return 1.0 - smoothstep(0.66, 0.80, max(abs(y), abs(z) if face < 2 else abs(x))) if face < 4 else 0.0
    if texture == BELT:
        return smoothstep(-0.62, -0.5, y) * (1.0 - smoothstep(-0.22, -0.1, y)) if face < 4 else 0.0
    if texture == GORES:
        return 0.7 * smoothstep(-0.3, 0.5, np.cos(3.0 * np.arctan2(z, x)) - 0.2) * (1.0 - y * y)
    if texture == GUNWALE:
        return smoothstep(0.52, 0.66, y) if face < 4 else 0.0
    if texture == SPOKES:
        r = np.sqrt(x * x + z * z)
        return (1.0 - smoothstep(0.5, 0.68, r)) * (0.35 + 0.65 * smoothstep(-0.4, 0.4, np.cos(2.0 * np.arctan2(z, x))))
    if texture == LEAVES:
        return 0.6 * smoothstep(-0.1, 0.9, 0.8 * y + 0.25 * np.sin(5.0 * x) - 0.2 * np.sin(6.0 * z))
    if texture == BOARD:
        inner = max(abs(x) / 0.36, abs(y + 0.4) / 0.36)
        line = smoothstep(0.8, 0.9, inner) * (1.0 - smoothstep(1.05, 1.15, inner))
        return 1.0 - max(line, smoothstep(0.86, 0.92, max(abs(x), abs(y))))
    return 0.0


@compiled
def shadow_at(x, y, z, skip, casters, env):
    """Fraction of direct light in [0, 1] and, second, of ambient light that reaches a point."""
    lx, ly, lz = env[0], env[1], env[2]
    light, ambient = 1.0, 1.0
    for k in range(casters.shape[0]):
        if casters[k, 4] == skip:
            continue
        cx, cy, cz = casters[k, 0] - x, casters[k, 1] - y, casters[k, 2] - z
        r = casters[k, 3]
        along = cx * lx + cy * ly + cz * lz
        if along > 0.0:
            d2 = cx * cx + cy * cy + cz * cz - along * along
            if d2 < 1.6 * r * r:
                d = np.sqrt(max(0.0, d2))
                soft = min(0.6, 0.14 + 0.10 * along)
                light = min(light, 1.0 - 0.80 * (1.0 - smoothstep(r * (0.95 - soft), r * (0.95 + soft), d)))
        flat = cx * cx + cz * cz
        if flat < 2.9 * r * r and cy > -0.2:
            near = 1.0 - np.sqrt(flat) / (1.7 * r)
            ambient *= 1.0 - 0.55 * max(0.0, near) * np.exp(-1.6 * max(0.0, cy - 0.75 * r) / r)
    return light, ambient


@compiled
def add_lights(x, y, z, nx, ny, nz, lights, out):
    """Adds the light [3] of lamps and candles that falls on a point with a normal."""
    for k in range(lights.shape[0]):
        lx, ly, lz = lights[k, 0] - x, lights[k, 1] - y, lights[k, 2] - z
        d2 = lx * lx + ly * ly + lz * lz + 1e-6
        h2 = lights[k, 6] * lights[k, 6]
        facing = (nx * lx + ny * ly + nz * lz) / np.sqrt(d2)
        amount = (0.35 + 0.65 * max(0.0, facing)) * h2 / (h2 + d2)
        for c in range(3):
            out[c] += lights[k, 3 + c] * amount


@compiled
def sky_colour(dx, dy, dz, env, out):
    """Colour of the sky, and of the hills that stand before it; returns the surface number."""
    azimuth = dx / max(0.3, dz)
    slope = dy / (np.sqrt(dx * dx + dz * dz) + 1e-9)
    if env[27] > 0.0 and slope < env[27]:
        hill = env[27] * (0.55 + 0.28 * wave(3.1 * azimuth + env[30]) + 0.17 * wave(7.3 * azimuth + env[31]))
        if slope < hill:
            shade = 0.82 + 0.18 * min(1.0, max(0.0, slope / (hill + 1e-6)))
            for c in range(3):
                out[c] = env[24 + c] * shade
            return 2
    up = min(1.0, max(0.0, slope / 0.75))
    up = 1.0 - (1.0 - up) * (1.0 - up)
    for c in range(3):
        out[c] = env[9 + c] + (env[12 + c] - env[9 + c]) * up
    if env[28] > 0.0 and slope > 0.0:
        cloud = 0.5 + 0.3 * wave(4.0 * azimuth + env[32]) + 0.3 * wave(9.0 * slope + 2.3 * azimuth + env[33])
        cloud = env[28] * smoothstep(0.45, 1.05, cloud) * smoothstep(0.02, 0.15, slope)
        for c in range(3):
            out[c] += (env[34 + c] - out[c]) * cloud
    glow = dx * env[37] + dy * env[38] + dz * env[39]
    if env[29] > 0.0 and glow > 0.8:
        disc = smoothstep(0.9976, 0.9988, glow)
        halo = env[29] * glow ** 24
        for c in range(3):
            out[c] += (env[42 + c] - out[c]) * min(1.0, 0.95 * disc + 0.55 * halo)
    return 0


@compiled
def water_tone(x, z, env):
    """In [0, 1]: how light the waves are at a place; they wander with env[40], in radians."""
    p, q, w = env[30], env[31], env[40]
    return (0.5 + 0.3 * wave(2.0 * z + 0.8 * wave(0.9 * x + p + 0.3 * w) + env[33] + w)
            + 0.2 * wave(1.2 * x - 1.1 * z + q - 0.7 * w))


@compiled
def ground_albedo(place, x, z, dist, env, out):
    """Albedo of the ground: two tones mixed by slow waves that fade with distance. Returns how much it is water."""
    fade = 1.0 / (1.0 + 0.012 * dist * dist)
    p, q = env[30], env[31]
    wet = 0.0
    if place == DESERT:
        w = 0.5 + 0.5 * wave(1.5 * z + 0.9 * wave(0.6 * x + p) + q)
    elif place == SEA:
        w, wet = water_tone(x, z, env), 1.0
    elif place == ROOM:
        w = smoothstep(-0.25, 0.25, wave(1.7 * x + 0.3 * p)) * 0.9
    else:
        w = 0.5 + 0.27 * wave(1.3 * x + 0.7 * z + p) + 0.23 * wave(1.1 * z - 0.8 * x + q)
    w = 0.5 + (w - 0.5) * fade
    for c in range(3):
        out[c] = env[18 + c] + (env[21 + c] - env[18 + c]) * w
    if place == ROAD:
        blur = 0.05 + 0.006 * dist
        asphalt = smoothstep(-2.6 - blur, -2.6 + blur, z) * (1.0 - smoothstep(3.0 - blur, 3.0 + blur, z))
        dash = smoothstep(-0.15, 0.15, wave(1.75 * x + p)) * (1.0 - smoothstep(0.07, 0.07 + blur, abs(z - 0.9)))
        side = 1.0 - smoothstep(0.06, 0.06 + blur, min(abs(z - 2.75), abs(z + 2.35)))
        line = 0.8 * max(dash, side)
        for c in range(3):
            tar = 0.27 + 0.02 * c + 0.05 * (w - 0.5)
            out[c] += (tar + (0.86 - tar) * line - out[c]) * asphalt
    elif place == BEACH:
        shore = z - 3.3 - 0.28 * wave(0.55 * x + p) - 0.16 * wave(1.3 * env[40])
        wet = smoothstep(-0.05, 0.35, shore)
        damp = 0.30 * smoothstep(-1.1, 0.0, shore)
        foam = 0.85 * smoothstep(-0.15, 0.15, shore) * (1.0 - smoothstep(0.35, 0.85, shore))
        tone = 0.5 + (water_tone(x, z, env) - 0.5) * fade
        for c in range(3):
            water = env[45 + c] * (0.75 + 0.5 * tone)
            out[c] = out[c] * (1.0 - damp) + (water - out[c] * (1.0 - damp)) * wet
            out[c] += (0.95 - out[c]) * foam
        wet *= 1.0 - foam
    return wet


@compiled
def room_colour(px, py, pz, dx, dy, dz, env, out):
    """Nearest wall or ceiling of the room along a ray that starts inside; returns t and the surface number."""
    best, surface = FAR, 3
    if dz > 1e-6:
        best, surface = (4.4 - pz) / dz, 3
    if dx > 1e-6:
        t = (9.0 - px) / dx
        if t < best:
            best, surface = t, 4
    elif dx < -1e-6:
        t = (-9.0 - px) / dx
        if t < best:
            best, surface = t, 5
    if dz < -1e-6:
        t = (-9.0 - pz) / dz
        if t < best:
            best, surface = t, 7
    if dy > 1e-6:
        t = (5.2 - py) / dy
        if t < best:
            best, surface = t, 6
    x, y, z = px + best * dx, py + best * dy, pz + best * dz
    dim = 1.0 if surface == 3 else (0.86 if surface == 4 else (0.92 if surface == 5 else 1.08))
    dim *= 0.84 + 0.16 * min(1.0, max(0.0, y / 3.0))
    for c in range(3):
        out[c] = env[24 + c] * dim
    if surface == 3:
        off = x + env[27]
        frame = (1.0 - smoothstep(0.96, 1.08, abs(off))) * (1.0 - smoothstep(0.82, 0.94, abs(y - 2.75)))
        bars = max(1.0 - smoothstep(0.03, 0.09, abs(off)), 1.0 - smoothstep(0.03, 0.09, abs(y - 2.75)))
        pane = (1.0 - smoothstep(0.80, 0.90, abs(off))) * (1.0 - smoothstep(0.66, 0.76, abs(y - 2.75))) * (1.0 - bars)
        up = min(1.0, max(0.0, (y - 2.0) / 1.5))
        for c in range(3):
            out[c] += (0.72 * env[3 + c] + 0.25 * env[6 + c] * env[17] + 0.05 - out[c]) * frame
            out[c] += (env[9 + c] + (env[12 + c] - env[9 + c]) * up - out[c]) * pane
    if y < 0.28 and surface != 6:
        for c in range(3):
            out[c] *= 1.0 - 0.35 * (1.0 - smoothstep(0.18, 0.24, y))
    return best, surface


@compiled
def mesh_opacity(x, y, z):
    """Opacity in [0, 1] of a knotted net at a point of its unit frustum."""
    turn = 3.5 * np.arctan2(z, x)
    a = min(abs(np.sin(turn + 2.6 * y)), abs(np.sin(turn - 2.6 * y)))
    return 0.10 + 0.75 * (1.0 - smoothstep(0.05, 0.42, a))


@compiled
def prepare(camera, parts, things, seen, origins):
    """Fills, for rays from the camera: seen [n, 4], camera minus bounding centre and the sphere's constant; origins
    [m, 7], the camera in unit space, camera minus centre, and the bound's constant."""
    for k in range(things.shape[0]):
        for c in range(3):
            seen[k, c] = camera[c] - things[k, c]
        seen[k, 3] = seen[k, 0] ** 2 + seen[k, 1] ** 2 + seen[k, 2] ** 2 - things[k, 3] ** 2
    for k in range(parts.shape[0]):
        ex, ey, ez = camera[0] - parts[k, 1], camera[1] - parts[k, 2], camera[2] - parts[k, 3]
        for c in range(3):
            origins[k, c] = parts[k, 4 + 3 * c] * ex + parts[k, 5 + 3 * c] * ey + parts[k, 6 + 3 * c] * ez
        origins[k, 3], origins[k, 4], origins[k, 5] = ex, ey, ez
        origins[k, 6] = ex * ex + ey * ey + ez * ez - parts[k, 13] ** 2


@compiled
def shade_part(k, x, y, z, dx, dy, dz, nx, ny, nz, tone, parts, casters, lights, env, colour, scratch):
    """Colour [3] of part k at a point with a unit normal, seen along a ray."""
    light, _ = shadow_at(x, y, z, parts[k, 24], casters, env)
    lambert = max(0.0, (nx * env[0] + ny * env[1] + nz * env[2] + 0.25) / 1.25) * light
    hx, hy, hz = env[0] - dx, env[1] - dy, env[2] - dz
    hn = 1.0 / (np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
    half = max(0.0, (nx * hx + ny * hy + nz * hz) * hn)
    half *= half * half
    half *= half
    half *= half
    spec = half * half * 0.22 * light
    sky = (0.725 + 0.275 * ny) * (0.78 + 0.22 * smoothstep(0.0, 0.5, y))
    extra = scratch
    extra[0], extra[1], extra[2] = 0.0, 0.0, 0.0
    add_lights(x, y, z, nx, ny, nz, lights, extra)
    glow = parts[k, 23]
    for c in range(3):
        albedo = parts[k, 16 + c] + tone * (parts[k, 19 + c] - parts[k, 16 + c])
        lit = albedo * (env[6 + c] * lambert * env[17] + env[3 + c] * sky + extra[c]) + env[6 + c] * env[17] * spec
        colour[c] = lit + (albedo - lit) * glow


@compiled
def add_puffs(px, py, pz, dx, dy, dz, depth, puffs, colour):
    """Lays the soft glows and smoke that stand before `depth` over a colour [3]."""
    for k in range(puffs.shape[0]):
        ex, ey, ez = puffs[k, 0] - px, puffs[k, 1] - py, puffs[k, 2] - pz
        along = ex * dx + ey * dy + ez * dz
        if along <= 0.0 or along > depth + puffs[k, 3]:
            continue
        d2 = (ex * ex + ey * ey + ez * ez - along * along) / (puffs[k, 3] * puffs[k, 3])
        if d2 < 4.0:
            a = puffs[k, 7] * np.exp(-2.0 * d2) * smoothstep(-puffs[k, 3], puffs[k, 3], depth - along)
            for c in range(3):
                colour[c] += (puffs[k, 4 + c] - colour[c]) * a


@compiled
def background(px, py, pz, dx, dy, dz, env, out):
    """What a ray meets apart from things: fills out [3] with the ground's albedo or, elsewhere, the colour; returns the
    surface number, the distance, how much of it is water, and whether it stays as it is while the camera does."""
    place = int(env[15])
    ground = -py / dy if dy < -1e-6 else FAR
    if place == ROOM:
        far, surface = room_colour(px, py, pz, dx, dy, dz, env, out)
        if far < ground:
            return surface, far, 0.0, True
    elif ground >= FAR:
        return sky_colour(dx, dy, dz, env, out), FAR, 0.0, True
    z = pz + ground * dz
    wet = ground_albedo(place, px + ground * dx, z, ground, env, out)
    return 1, ground, wet, not (place == SEA or (place == BEACH and z > 1.5))


@compiled
def lay_net(k, dx, dy, dz, far, parts, origins, env, colour):
    """Lays the net, part k, over a colour [3] where it stands before distance `far`."""
    lx = parts[k, 4] * dx + parts[k, 5] * dy + parts[k, 6] * dz
    ly = parts[k, 7] * dx + parts[k, 8] * dy + parts[k, 9] * dz
    lz = parts[k, 10] * dx + parts[k, 11] * dy + parts[k, 12] * dz
    ox, oy, oz = origins[k, 0], origins[k, 1], origins[k, 2]
    slope = 0.5 * (1.0 - parts[k, 14])
    r0 = 0.5 * (1.0 + parts[k, 14]) - slope * oy
    qa = lx * lx + lz * lz - slope * slope * ly * ly
    qb = ox * lx + oz * lz + slope * ly * r0
    disc = qb * qb - qa * (ox * ox + oz * oz - r0 * r0)
    if disc <= 0.0 or abs(qa) < 1e-12:
        return
    root = np.sqrt(disc)
    for s in range(2):
        t = (-qb + root) / qa if s == 0 else (-qb - root) / qa
        y = oy + t * ly
        if 0.0 < t < far and abs(y) <= 1.0:
            a = mesh_opacity(ox + t * lx, y, oz + t * lz) * (0.55 if s == 0 else 1.0)
            for c in range(3):
                white = parts[k, 16 + c] * (env[3 + c] + 0.8 * env[6 + c] * env[17])
                colour[c] += (white - colour[c]) * a


@compiled
def trace(count, rays, camera, parts, things, casters, lights, puffs, env, seen, origins, kept, keeps, out):
    """What the first `count` of rays [n, 4] see: 0 the place in the picture plane, (x, y) in [-1, 1], 2 the pixel (i, j).
    Fills out [n, 5]: colour, surface number, distance along the camera's axis. Where `keeps`, kept[i, j] remembers
    the background behind the pixel: 0 colour, 3 surface (-1: not known), 4 distance, 5 water."""
    colour, scratch = np.zeros(3), np.zeros(8)
    for ray in range(count):
        sx, sy, i, j = rays[ray, 0], rays[ray, 1], int(rays[ray, 2]), int(rays[ray, 3])
        hx, hy = camera[12] * sx, camera[13] * sy
        dx = camera[9] + hx * camera[3] + hy * camera[6]
        dy = camera[10] + hx * camera[4] + hy * camera[7]
        dz = camera[11] + hx * camera[5] + hy * camera[8]
        inv = 1.0 / np.sqrt(dx * dx + dy * dy + dz * dz)
        dx, dy, dz = dx * inv, dy * inv, dz * inv
        px, py, pz = camera[0], camera[1], camera[2]
        best, which, net = FAR, -1, -1
        ux, uy, uz, vx, vy, vz, face = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0
        for n in range(things.shape[0]):
            ed = seen[n, 0] * dx + seen[n, 1] * dy + seen[n, 2] * dz
            if ed * ed <= seen[n, 3]:
                continue
            for k in range(int(things[n, 4]), int(things[n, 5])):
                ed = origins[k, 3] * dx + origins[k, 4] * dy + origins[k, 5] * dz
                if ed * ed <= origins[k, 6] or ed >= 0.0:
                    continue
                if parts[k, 0] == NET:
                    net = k
                    continue
                lx = parts[k, 4] * dx + parts[k, 5] * dy + parts[k, 6] * dz
                ly = parts[k, 7] * dx + parts[k, 8] * dy + parts[k, 9] * dz
                lz = parts[k, 10] * dx + parts[k, 11] * dy + parts[k, 12] * dz
                t = hit_part(int(parts[k, 0]), parts[k, 14], parts[k, 15], origins[k, 0], origins[k, 1], origins[k, 2],
                             lx, ly, lz, scratch)
                if t < best:
                    best, which = t, k
                    ux, uy, uz = scratch[0], scratch[1], scratch[2]
                    vx, vy, vz, face = scratch[3], scratch[4], scratch[5], int(scratch[6])
        if which >= 0 and py + best * dy > 0.0:
            k, far = which, best
            surface = 16 + 8 * k + face
            nx = parts[k, 4] * ux + parts[k, 7] * uy + parts[k, 10] * uz
            ny = parts[k, 5] * ux + parts[k, 8] * uy + parts[k, 11] * uz
            nz = parts[k, 6] * ux + parts[k, 9] * uy + parts[k, 12] * uz
            norm = 1.0 / (np.sqrt(nx * nx + ny * ny + nz * nz) + 1e-12)
            tone = second_tone(int(parts[k, 22]), vx, vy, vz, face)
            shade_part(k, px + far * dx, py + far * dy, pz + far * dz, dx, dy, dz, nx * norm, ny * norm, nz * norm,
                       tone, parts, casters, lights, env, colour, scratch)
        else:
            if keeps and kept[i, j, 3] >= 0.0:
                surface, far, wet = int(kept[i, j, 3]), kept[i, j, 4], kept[i, j, 5]
                colour[0], colour[1], colour[2] = kept[i, j, 0], kept[i, j, 1], kept[i, j, 2]
            else:
                surface, far, wet, lasting = background(px, py, pz, dx, dy, dz, env, colour)
                if keeps and lasting:
                    kept[i, j, 0], kept[i, j, 1], kept[i, j, 2] = colour[0], colour[1], colour[2]
                    kept[i, j, 3], kept[i, j, 4], kept[i, j, 5] = surface, far, wet
            x, y, z = px + far * dx, py + far * dy, pz + far * dz
            extra = scratch
            extra[0], extra[1], extra[2] = 0.0, 0.0, 0.0
            if surface == 1:
                light, ambient = shadow_at(x, 0.0, z, -1.0, casters, env)
                light, ambient = light + wet * 0.55 * (1.0 - light), ambient + wet * 0.5 * (1.0 - ambient)
                add_lights(x, 0.0, z, 0.0, 1.0, 0.0, lights, extra)
                mirror = wet * (0.12 + 0.55 * (1.0 + dy) ** 6)
                for c in range(3):
                    colour[c] *= (env[6 + c] * env[1] * light * env[17] + env[3 + c] * ambient) * env[48 + c] + extra[c]
                    colour[c] += (env[9 + c] * 0.9 - colour[c]) * mirror
            elif surface >= 3 and lights.shape[0] > 0:
                add_lights(x, y, z, 0.0, 0.0, -1.0, lights, extra)
                for c in range(3):
                    colour[c] += env[24 + c] * 1.2 * extra[c]
        if far > 7.0 and int(env[15]) != ROOM and (surface == 1 or surface >= 16):
            fog = 1.0 - np.exp((7.0 - far) * env[16])
            for c in range(3):
                haze = env[24 + c] if env[27] > 0.0 else env[9 + c]
                colour[c] += (0.5 * (env[9 + c] + haze) - colour[c]) * fog
        if net >= 0:
            lay_net(net, dx, dy, dz, far, parts, origins, env, colour)
        if puffs.shape[0] > 0:
            add_puffs(px, py, pz, dx, dy, dz, far, puffs, colour)
        for c in range(3):
            if colour[c] > 0.8:
                over = 5.0 * (colour[c] - 0.8)
                colour[c] = 1.0 - 0.2 / (1.0 + over + over * over)
        out[ray, 0], out[ray, 1], out[ray, 2], out[ray, 3] = colour[0], colour[1], colour[2], surface
        out[ray, 4] = far * (dx * camera[9] + dy * camera[10] + dz * camera[11])


@compiled
def differ(memory, i, j, k, l):
    """Whether pixels (i, j) and (k, l) see different surfaces in colours that one can tell apart."""
    if memory[i, j, 9] == memory[k, l, 9]:
        return False
    return (abs(memory[i, j, 6] - memory[k, l, 6]) + abs(memory[i, j, 7] - memory[k, l, 7])
            + abs(memory[i, j, 8] - memory[k, l, 8]) > 0.06)


@compiled
def mark_rectangle(x0, x1, y0, y1, stale):
    """Marks the pixels of a rectangle of picture coordinates, and two pixels round it, in stale [H, W]."""
    height, width = stale.shape
    j0, j1 = max(0, int((x0 + 1.0) * 0.5 * width) - 2), min(width, int((x1 + 1.0) * 0.5 * width) + 3)
    i0, i1 = max(0, int((1.0 - y1) * 0.5 * height) - 2), min(height, int((1.0 - y0) * 0.5 * height) + 3)
    for i in range(i0, i1):
        for j in range(j0, j1):
            stale[i, j] = 1


@compiled
def mark_box(camera, x, y, z, half, tall, stale):
    """Marks the pixels that may see an upright box round (x, y, z): half its width and depth, half its height."""
    x0, x1, y0, y1 = FAR, -FAR, FAR, -FAR
    for corner in range(8):
        ex = x - camera[0] + (half if corner & 1 else -half)
        ey = y - camera[1] + (tall if corner & 2 else -tall)
        ez = z - camera[2] + (half if corner & 4 else -half)
        ahead = camera[9] * ex + camera[10] * ey + camera[11] * ez
        if ahead < 0.1:
            x0, x1, y0, y1 = -1.0, 1.0, -1.0, 1.0
            break
        px = (camera[3] * ex + camera[4] * ey + camera[5] * ez) / (ahead * camera[12])
        py = (camera[6] * ex + camera[7] * ey + camera[8] * ez) / (ahead * camera[13])
        x0, x1, y0, y1 = min(x0, px), max(x1, px), min(y0, py), max(y1, py)
    mark_rectangle(x0, x1, y0, y1, stale)


@compiled
def mark_stale(camera, things, casters, env, stale):
    """Marks in stale [H, W] the pixels that things and their shadows may touch."""
    for k in range(things.shape[0]):
        mark_box(camera, things[k, 0], things[k, 1], things[k, 2], things[k, 3], things[k, 3], stale)
    for k in range(casters.shape[0]):
        x, y, z, r = casters[k, 0], casters[k, 1], casters[k, 2], casters[k, 3]
        mark_box(camera, x - env[0] / env[1] * y, 0.0, z - env[2] / env[1] * y, 1.27 * r / env[1], 0.0, stale)
        if y < 4.0 * r:
            mark_box(camera, x, 0.0, z, 1.71 * r, 0.0, stale)


@compiled
def render_frame(camera, parts, things, casters, lights, puffs, env, memory, still, picture, identity, depth):
    """Renders one frame: picture [H, W, 3] uint8, identity [H, W] int8 (`things[:, 6]`, or -1), depth [H, W] float32
    in metres along the camera's axis.

    memory [H, W, 12] float32 carries what lasts from frame to frame, where the camera stands `still`: 0 the background
    (see `trace`), 6 the colour of the pixel's middle, 9 its surface, 10 whether things touched it; a clip begins with -1.
    The three outputs must then hold the frame before."""
    height, width = identity.shape
    stale = np.zeros((height, width), np.int8)
    seen, origins = np.empty((things.shape[0], 4)), np.empty((parts.shape[0], 7))
    prepare(camera, parts, things, seen, origins)
    if still and lights.shape[0] == 0 and puffs.shape[0] == 0:
        mark_stale(camera, things, casters, env, stale)
    else:
        stale[:] = 1
    rays, out = np.empty((4 * width, 4)), np.empty((4 * width, 5), np.float32)
    for i in range(height):
        count = 0
        for j in range(width):
            touched = stale[i, j]
            if memory[i, j, 3] < 0.0 or memory[i, j, 10] != 0.0:
                stale[i, j] = 1
            memory[i, j, 10] = touched
            if stale[i, j]:
                rays[count, 0], rays[count, 1] = (2 * j + 1) / width - 1.0, 1.0 - (2 * i + 1) / height
                rays[count, 2], rays[count, 3] = i, j
                count += 1
        trace(count, rays, camera, parts, things, casters, lights, puffs, env, seen, origins, memory, still, out)
        for ray in range(count):
            j, surface = int(rays[ray, 3]), int(out[ray, 3])
            for c in range(4):
                memory[i, j, 6 + c] = out[ray, c]
            depth[i, j] = min(out[ray, 4], 1000.0)
            identity[i, j] = -1 if surface < 16 else np.int8(things[int(parts[(surface - 16) // 8, 24]), 6])
    for i in range(height):
        count = 0
        for j in range(width):
            if stale[i, j] == 0:
                continue
            if ((j > 0 and differ(memory, i, j, i, j - 1)) or (j + 1 < width and differ(memory, i, j, i, j + 1))
                    or (i > 0 and differ(memory, i, j, i - 1, j)) or (i + 1 < height and differ(memory, i, j, i + 1, j))):
                for s in range(4):
                    down = -0.25 if s == 0 else (0.75 if s == 1 else (-0.75 if s == 2 else 0.25))
                    rays[count, 0] = (2 * j + 1 + (-0.75 + 0.5 * s)) / width - 1.0
                    rays[count, 1] = 1.0 - (2 * i + 1 + down) / height
                    rays[count, 2], rays[count, 3] = i, j
                    count += 1
            else:
                for c in range(3):
                    picture[i, j, c] = np.uint8(min(1.0, max(0.0, memory[i, j, 6 + c])) * 255.0 + 0.5)
        trace(count, rays, camera, parts, things, casters, lights, puffs, env, seen, origins, memory, False, out)
        for ray in range(0, count, 4):
            j = int(rays[ray, 3])
            for c in range(3):
                v = 0.25 * (out[ray, c] + out[ray + 1, c] + out[ray + 2, c] + out[ray + 3, c])
                picture[i, j, c] = np.uint8(min(1.0, max(0.0, v)) * 255.0 + 0.5)
