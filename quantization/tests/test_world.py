"""The world: determinism, physics, and captions that say only what the scene shows."""
import numpy as np
import pytest

from sorad_mini import captions, motion, render, world


def test_a_clip_depends_on_split_and_index_alone():
    first = render.render_clip(world.sample_scene("train", 12))
    again = render.render_clip(world.sample_scene("train", 12))
    other = render.render_clip(world.sample_scene("train", 13))
    assert first.shape == (17, 128, 128, 3) and first.dtype == np.uint8
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_held_out_combinations_are_never_trained_and_always_tested():
    for i in range(400):
        scene = world.sample_scene("train", i)
        assert not any(world.is_held_out(t.colour, t.shape, scene.place) for t in scene.things)
        scene = world.sample_scene("heldout", i)
        assert len(scene.things) == 1 and world.is_held_out(scene.things[0].colour, scene.things[0].shape, scene.place)


def test_one_combination_in_ten_is_held_out():
    held = [world.is_held_out(c, s, p) for c in world.COLOURS for s in world.SHAPES for p in world.PLACES]
    assert sum(held) == len(held) // 10


def scene_with(kind: str, place: str | None = None) -> tuple[world.Scene, world.Thing]:
    for i in range(5000):
        scene = world.sample_scene("train", i)
        if len(scene.things) == 1 and scene.things[0].motion == kind and place in (None, scene.place):
            return scene, scene.things[0]
    raise AssertionError(kind)


@pytest.mark.parametrize("kind,axis,sign", [("left", 0, -1), ("right", 0, 1), ("nearer", 2, -1), ("away", 2, 1),
                                            ("rise", 1, 1), ("fall", 1, -1)])
def test_motion_goes_where_its_name_says(kind, axis, sign):
    scene, thing = scene_with(kind)
    start, _ = motion.thing_pose(thing, scene, 0.0)
    end, _ = motion.thing_pose(thing, scene, motion.CLIP_SECONDS)
    assert sign * (end[axis] - start[axis]) > 1.0


def test_a_rolling_ball_turns_by_the_distance_it_travels():
    scene, thing = next((s, s.things[0]) for s in (world.sample_scene("train", i) for i in range(5000))
                        if s.things[0].shape == "ball" and s.things[0].motion == "right" and s.things[0].rolls)
    (a, turn_a), (b, turn_b) = (motion.thing_pose(thing, scene, t) for t in (0.5, 0.625))
    angle = np.arccos((np.trace(turn_b @ turn_a.T) - 1) / 2)
    assert angle * thing.radius == pytest.approx(b[0] - a[0], rel=1e-6)


def test_bouncing_falls_under_gravity_and_never_sinks():
    scene, thing = scene_with("bounce")
    rest = motion.rest_height(thing, scene.place)
    times = np.linspace(0, 2, 2001)
    heights = np.array([motion.thing_pose(thing, scene, t)[0][1] for t in times]) - rest
    assert heights.min() > -1e-9
    bend = np.diff(heights, 2) / (times[1] - times[0]) ** 2
    assert np.median(bend) == pytest.approx(-motion.GRAVITY, rel=1e-3)


def test_captions_name_colour_shape_and_motion_of_a_single_object():
    checked = 0
    for i in range(600):
        scene = world.sample_scene("train", i)
        if len(scene.things) > 1:
            continue
        thing = scene.things[0]
        text = captions.caption_en(scene, np.random.default_rng(i)).lower()
        assert any(shape in text for shape in captions.SHAPE_EN[thing.shape])
        for colour in world.COLOURS:
            if colour not in thing.colour and colour in text.split():
                assert any(colour in words for words in captions.PLACE_EN[scene.place]) \
                    or any(colour in words for words in captions.COLOUR_EN[thing.colour]), text
        for name, phrases in captions.CAMERA_EN.items():
            if name != scene.camera:
                assert not any(text.endswith(p) for p in phrases), text
        checked += 1
    assert checked > 300


def test_chinese_captions_name_the_shape():
    for i in range(200):
        scene = world.sample_scene("train", i)
        text = captions.caption_zh(scene, np.random.default_rng(i))
        for thing in scene.things:
            assert any(word in text for word in captions.SHAPE_ZH[thing.shape]), text
