"""Clips of pictures from outside the world: what they show, and how they are trained on."""
from __future__ import annotations

import json

import numpy as np
import pytest

from sorad_mini.cache import SHARD, shown_things
from sorad_mini.foreign import foreign_camera, foreign_clip, foreign_scene
from sorad_mini.tokenizer import PAD
from sorad_mini.train_transformer import FOREIGN_SHARE, Pool, known_frames


def first(camera: str) -> int:
    return next(k for k in range(1000) if foreign_camera(k) == camera)


def movement(a: np.ndarray, b: np.ndarray) -> tuple[int, int]:
    """Pixels (to the right, downwards) by which the content of `a` must move to lie on `b`."""
    def error(dx: int, dy: int) -> float:
        moved = np.roll(a.astype(float), (dy, dx), (0, 1))[6:-6, 6:-6]
        return float(np.square(moved - b[6:-6, 6:-6]).mean())
    return min(((dx, dy) for dx in range(-5, 6) for dy in range(-5, 6)), key=lambda d: error(*d))


@pytest.mark.parametrize("camera, across, down", [("still", 0, 0), ("pan_left", 1, 0), ("pan_right", -1, 0), ("rise", 0, 1)])
def test_the_camera_moves_the_picture(camera, across, down):
    clip = foreign_clip(first(camera), 64, 64)
    moves = [movement(clip[f], clip[f + 2]) for f in range(0, 14, 2)]
    assert np.sign(np.median([dx for dx, _ in moves])) == across
    assert np.sign(np.median([dy for _, dy in moves])) == down


def test_a_clip_depends_on_its_number_alone_and_fills_any_shape():
    assert np.array_equal(foreign_clip(5, 64, 96), foreign_clip(5, 64, 96))
    assert foreign_clip(5, 64, 96).shape == (17, 96, 64, 3)
    assert not np.array_equal(foreign_clip(5, 64, 64), foreign_clip(6, 64, 64))
    assert foreign_clip(first("zoom_out"), 96, 64).std() > 5


def test_captions_speak_of_the_camera_that_is_seen():
    for number in range(12):
        assert foreign_scene(number).camera == foreign_camera(number)


def test_nothing_of_the_world_is_shown():
    assert (shown_things(np.full((17, 32, 32), -1, np.int8), 0) == -1).all()


def test_the_first_frame_is_always_known():
    rng = np.random.default_rng(1)
    assert all(known_frames(4, 5, rng, foreign=True)[:, 0].all() for _ in range(50))


def test_foreign_batches_come_at_their_share(tmp_path):
    class Words:
        def batch(self, texts, sample):
            return np.full((len(texts), 3), PAD + 1)

    for name, value in (("latents-64x64", 0), ("latents-foreign-64x64", 1)):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "000000.npy", np.full((SHARD, 4, 2, 8, 8), value, np.float16))
        np.save(tmp_path / name / "000000.tokens.npy", np.full((SHARD, 2, 4, 4), -1, np.int8))
    (tmp_path / "statistics.json").write_text(json.dumps({"mean": [0.0] * 4, "std": [1.0] * 4}))
    batches = Pool(tmp_path, [((64, 64), 1.0)], 2).batches(Words(), np.random.default_rng(0), 0)
    found = []
    for _ in range(1600):
        batch = next(batches)
        assert (batch.clean == float(batch.foreign)).all()
        found.append(batch.foreign)
    assert 0.4 * FOREIGN_SHARE < np.mean(found) < 1.8 * FOREIGN_SHARE
