"""The world: determinism, physics, and pictures that show what the scene says."""
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from sorad_mini import motion, raycast, render, world

SCENES = [world.sample_scene("train", i) for i in range(1500)]


def scenes(wanted, count):
    """The first `count` training scenes that satisfy `wanted`."""
    found = list(itertools.islice((s for s in SCENES if wanted(s)), count))
    assert len(found) == count
    return found


def solo(wanted, count):
    """Scenes of one thing without an event."""
    return scenes(lambda s: len(s.things) == 1 and s.event is None and wanted(s.things[0]), count)


def centres(scene, times):
    """Centres [times, things, 3]."""
    return np.array([[motion.thing_pose(thing, scene, t)[0] for thing in scene.things] for t in times])


def test_a_clip_depends_on_split_and_index_alone():
    first = render.render_clip(world.sample_scene("train", 12))
    again = render.render_clip(world.sample_scene("train", 12))
    other = render.render_clip(world.sample_scene("train", 13))
    assert first.shape == (17, 128, 128, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)
    assert world.sample_scene("train", 12) == world.sample_scene("train", 12)


def test_truth_holds_identity_and_depth_of_every_pixel():
    scene = scenes(lambda s: len(s.things) == 3 and s.camera == "still" and all(t.motion == "stay" for t in s.things), 1)[0]
    clip, identity, depth = render.render_clip(scene, 96, 64, 5, truth=True)
    assert clip.shape == (5, 64, 96, 3) and identity.shape == depth.shape == (5, 64, 96)
    assert identity.dtype == np.int8 and depth.dtype == np.float16
    assert set(np.unique(identity)) == {-1, 0, 1, 2}
    for k, thing in enumerate(scene.things):
        seen = depth[2][identity[2] == k].astype(float)
        assert abs(np.median(seen) - (world.CAMERA_DISTANCE + thing.z)) < 1.5 * thing.reach + 0.4


@pytest.mark.parametrize("index", [i for i, s in enumerate(SCENES[:200]) if s.camera == "still"][:12])
def test_what_a_still_camera_remembers_changes_no_pixel(index):
    scene = SCENES[index]
    clip = render.render_clip(scene, 48, 48)
    stage, env = render.Stage(scene), render.environment(scene)
    camera = render.camera_row(scene, scene.start, 48, 48)
    for f in (1, 8, 16):
        t = scene.start + f / world.FPS
        frame, env[40] = stage.frame(t), 1.6 * t
        picture, identity = np.empty((48, 48, 3), np.uint8), np.empty((48, 48), np.int8)
        raycast.render_frame(camera, frame.parts, frame.things, frame.casters, frame.lights, frame.puffs, env,
                             np.full((48, 48, 12), -1.0, np.float32), False, picture, identity,
                             np.empty((48, 48), np.float32))
        assert np.abs(picture.astype(int) - clip[f]).max() <= 1


def test_held_out_combinations_are_never_trained_and_always_tested():
    for scene in SCENES:
        assert not any(world.is_held_out(t.colour, t.kind, scene.place) for t in scene.things)
    for i in range(200):
        scene = world.sample_scene("heldout", i)
        assert len(scene.things) == 1
        assert world.is_held_out(scene.things[0].colour, scene.things[0].kind, scene.place)


def test_one_combination_in_ten_is_held_out_of_every_colour_kind_and_place():
    held = [c for c in itertools.product(world.COLOURS, world.KINDS, world.PLACES) if world.is_held_out(*c)]
    assert len(held) == pytest.approx(0.1 * 11 * 17 * 7, rel=0.05)
    for axis, names in enumerate((world.COLOURS, world.KINDS, world.PLACES)):
        assert {c[axis] for c in held} == set(names)


def test_the_mix_of_scenes_is_the_specified_one():
    n = len(SCENES)
    events = Counter(s.event for s in SCENES)
    assert set(events) == {None, *world.EVENTS}
    assert 1 - events[None] / n == pytest.approx(0.15, abs=0.03)
    assert sum(s.camera == "still" for s in SCENES) / n == pytest.approx(0.60, abs=0.04)
    assert sum(len(s.groups) == 3 for s in SCENES) / n == pytest.approx(0.10, abs=0.03)
    assert {s.relation[0] for s in SCENES if s.relation} == set(world.RELATIONS)
    assert {t.kind for s in SCENES for t in s.things} == set(world.KINDS)
    for scene in SCENES:
        assert sorted(i for g in scene.groups for i in g.members) == list(range(len(scene.things)))
        for g, group in enumerate(scene.groups):
            assert group.count == len(group.members) <= 4
            for thing in (scene.things[i] for i in group.members):
                assert thing.group == g
                assert (thing.kind, thing.colour, thing.size, thing.motion, thing.then, thing.speed) == (
                    group.kind, group.colour, group.size, group.motion, group.then, group.speed)


@pytest.mark.parametrize("kind", world.KINDS)
def test_every_kind_is_seen_and_mostly_has_the_named_colour(kind):
    base = solo(lambda t: True, 1)[0]
    names = [c for c in world.COLOURS if c not in ("pink", "orange")]       # neighbours of red, white and brown
    if kind == "boat":
        names = [c for c in names if c not in ("black", "gray", "brown")]   # its sail is a lighter tone
    group, things = world._make_group(np.random.default_rng(3), 0, kind, "red", "grass", 1, 1, "stay", None, "normal",
                                      "normal")
    for colour in names:
        thing = replace(things[0], colour=colour)
        scene = replace(base, things=[thing], groups=[group], place="grass", time="day", camera="still", start=0.0)
        clip, identity, _ = render.render_clip(scene, 64, 64, 1, truth=True)
        seen = clip[0][identity[0] == 0] / 255.0
        assert len(seen) > 60
        palette = np.array([world.COLOUR_RGB[c] for c in names])
        shades = np.concatenate([palette * 0.55, palette * 0.8, palette * 1.05])
        nearest = np.abs(seen[:, None] - shades[None]).sum(2).argmin(1) % len(names)
        assert Counter(nearest.tolist()).most_common(1)[0][0] == names.index(colour), colour


@pytest.mark.parametrize("kind,axis,sign", [("left", 0, -1), ("right", 0, 1), ("nearer", 2, -1), ("away", 2, 1),
                                            ("rise", 1, 1), ("fall", 1, -1)])
def test_motion_goes_where_its_name_says(kind, axis, sign):
    for scene in solo(lambda t: t.motion == kind and t.then is None, 8):
        way = centres(scene, (scene.start + 0.25, scene.start + 1.75))[:, 0, axis]
        assert sign * (way[1] - way[0]) > 0.5


def test_left_and_right_are_as_the_viewer_sees_them():
    for scene in scenes(lambda s: s.event is None and any(g.motion in ("left", "right") for g in s.groups), 40):
        speeds = motion.picture_velocities(scene, scene.start + 0.9)
        for thing, speed in zip(scene.things, speeds):
            if thing.motion in ("left", "right"):
                assert speed[0] * (1 if thing.motion == "right" else -1) > 0.1


def test_the_second_motion_begins_near_the_middle():
    for scene in solo(lambda t: t.then == "stay" and t.motion in ("left", "right", "nearer", "away", "circle"), 6):
        a, b, c, d = centres(scene, (0.0, 0.9, 1.4, 2.0))[:, 0]
        assert np.linalg.norm(b - a) > 0.35 and np.linalg.norm((d - c)[[0, 2]]) < 0.03
    for scene in solo(lambda t: t.motion == "stay" and t.then in ("left", "right", "nearer", "away", "rise"), 6):
        a, b, c = centres(scene, (0.0, 0.95, 2.0))[:, 0]
        assert np.linalg.norm(b - a) < 0.15 < 0.5 < np.linalg.norm(c - b)


@pytest.mark.parametrize("kind", ["ball", "ring", "cylinder"])
def test_what_rolls_turns_by_the_distance_it_travels(kind):
    scene = solo(lambda t: t.kind == kind and t.motion in ("left", "right") and t.rolls and t.then is None, 1)[0]
    thing, t = scene.things[0], scene.start + 0.5
    (a, turn_a), (b, turn_b) = (motion.thing_pose(thing, scene, t + dt) for dt in (0.0, 0.0625))
    angle = np.arccos((np.trace(turn_b @ turn_a.T) - 1) / 2)
    outer = thing.radius * (1.32 if kind == "ring" else 1.0)
    assert angle * outer == pytest.approx(np.linalg.norm(b - a), rel=1e-6)
    assert a[1] == pytest.approx(outer)


def test_bounces_lose_height_until_the_next_kick_and_obey_gravity():
    for scene in solo(lambda t: t.motion == "bounce" and t.then is None, 5):
        thing = scene.things[0]
        times = np.linspace(0.0, 10.0, 20001)
        height = np.array([motion.thing_pose(thing, scene, t)[0][1] for t in times]) - motion.rest_height(thing, scene.place)
        assert height.min() > -1e-9
        bend = np.diff(height, 2) / (times[1] - times[0]) ** 2
        assert np.median(bend[height[1:-1] > 0.05]) == pytest.approx(-motion.GRAVITY, rel=1e-3)
        top = (np.diff(np.sign(np.diff(height))) < 0).nonzero()[0] + 1
        peaks = [(times[i], height[i]) for i in top if height[i] > 0.02]
        kick = world.BOUNCE_PERIOD - motion.bounce_offset(thing)
        first = [h for t, h in peaks if t < kick]
        later = [h for t, h in peaks if kick < t < kick + world.BOUNCE_PERIOD]
        assert len(first) >= 4 and all(b < 0.7 * a for a, b in itertools.pairwise(first))
        assert later[0] > 2 * first[-1] and later[0] == pytest.approx(first[0], rel=0.01)


def test_everything_stays_continuous_for_a_minute_but_where_it_is_out_of_every_picture():
    for scene in SCENES[:60]:
        if scene.camera != "still":
            continue
        for begin in (0.0, 4.0, 30.0, 57.0):
            times = begin + np.arange(0, 3, 1 / 64)
            way = centres(scene, times)
            for k, thing in enumerate(scene.things):
                for t, step in zip(times, np.linalg.norm(np.diff(way[:, k], axis=0), axis=1)):
                    if step * 64 > 12.0:
                        lap = motion.lap_half_width(thing, scene.camera)
                        assert step == pytest.approx(2 * lap, rel=0.2)
                        edge = abs(motion.project(scene, way[0, k] * (0, 1, 1) + (lap - thing.reach, 0, 0), t, 1.5)[0])
                        assert edge > 1.0


def test_no_thing_enters_another_and_slots_are_in_order():
    for scene in SCENES[:700]:
        middle = scene.start + motion.MIDDLE
        if scene.event != "passes_behind" and not (scene.relation and scene.relation[0] == "on_top_of"):
            across = [motion.project(scene, c, middle)[0] for c in centres(scene, [middle])[0]]
            order = sorted(range(len(across)), key=lambda k: across[k])
            assert [scene.things[k].slot for k in order] == list(range(len(order)))
        for row in centres(scene, np.linspace(scene.start, scene.start + 2, 9)):
            for (a, p), (b, q) in itertools.combinations(zip(scene.things, row), 2):
                apart = np.hypot(p[0] - q[0], p[2] - q[2]) > a.reach + b.reach - 0.02
                assert apart or abs(p[1] - q[1]) > a.half_height + b.half_height - 0.02


def test_as_many_things_as_said_are_seen_at_the_middle():
    for scene in scenes(lambda s: s.event in (None, "dogs_run") and len(s.things) > 1, 60):
        moment = replace(scene, start=scene.start + 1.0) if scene.camera == "still" else scene
        _, identity, _ = render.render_clip(moment, 64, 64, 1 if scene.camera == "still" else 9, truth=True)
        area = [(identity[-1] == k).sum() for k in range(len(scene.things))]
        assert min(area) >= 8, render.describe(scene)


@pytest.mark.parametrize("name", world.RELATIONS)
def test_relations_are_true_in_the_picture(name):
    for scene in scenes(lambda s: s.relation is not None and s.relation[0] == name, 6):
        _, a, b = scene.relation
        _, identity, depth = render.render_clip(scene, 64, 64, 9, truth=True)
        rows, columns = np.mgrid[0:64, 0:64]
        for f in (4, 8):
            seen = [np.isin(identity[f], scene.groups[g].members) for g in (a, b)]
            if min(s.sum() for s in seen) == 0:
                continue        # one of the two still falls into the picture
            (xa, xb), (za, zb) = ([v[s].astype(float).mean() for s in seen] for v in (columns, depth[f]))
            feet = [rows[s].max() for s in seen]
            if name in ("left_of", "right_of"):
                assert (xa < xb) == (name == "left_of")
            elif name in ("in_front_of", "behind"):
                assert (za < zb) == (name == "in_front_of")
            else:
                assert abs(xa - xb) < 6 and feet[0] < feet[1]
        assert min(s.sum() for s in seen) >= 12


@pytest.mark.parametrize("event", world.EVENTS)
def test_events_show_what_they_say(event):
    for scene in scenes(lambda s: s.event == event, 4):
        clip, identity, _ = render.render_clip(scene, 96, 64, truth=True)
        area = (identity == 0).sum((1, 2))
        thing = scene.things[0]
        times = np.linspace(0, 2, 401)
        if event == "candle_out":
            assert clip[-1].mean() < 0.93 * clip[0].mean()
            assert render.flame_life(scene, 0.9) == 1.0 and render.flame_life(scene, 1.2) == 0.0
        elif event == "chair_down":
            way = centres(scene, times)[:, 0]
            assert way[0, 1] - way[-1, 1] > 1.5 and np.all(np.diff(way[:, 1]) <= 1e-9)
            assert np.ptp(way[times > 1.4], axis=0).max() == 0.0 and way[-1, 1] == pytest.approx(thing.half_height)
        elif event == "through_hoop":
            hoop = motion.hoop_of(scene)
            way = centres(scene, times)[:, 0] - hoop.centre
            rim = np.hypot(np.hypot(way[:, 0], way[:, 2]) - hoop.rim, way[:, 1])
            assert rim.min() > thing.radius + hoop.tube
            crossing = (way[:-1, 1] > 0) & (way[1:, 1] <= 0)
            assert crossing.sum() == 1 and np.abs(way[:-1][crossing, 0]).max() < hoop.rim - thing.radius
            assert way[:, 1].min() + hoop.centre[1] == pytest.approx(thing.radius, abs=0.01)
            assert abs(motion.net_swing(scene, 1.15)[0]) > 0.01 and motion.net_swing(scene, 0.5) == (0.0, 0.0)
        elif event == "dogs_run":
            seen = [sum((frame == k).sum() > 3 for k in range(len(scene.things))) for frame in identity]
            assert min(seen) >= len(scene.things) - 1 and np.median(seen) == len(scene.things)
        elif event == "leaves_returns":
            assert area[0] > 30 and area[8] == 0 and area[-1] > 30
        else:
            assert area[8] < 0.3 * area.max() and min(area[:3].max(), area[-3:].max()) > 12
