"""The judge's rules on things made up here, and its targets on rendered scenes. The network's own proof is `judge.prove`."""
from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("numba")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "training"))

from sorad_mini.render import render_clip  # noqa: E402
from sorad_mini.world import sample_scene  # noqa: E402

from evaluate.judge import measures, prove  # noqa: E402
from evaluate.judge.examples import truth_of  # noqa: E402
from evaluate.judge.names import CLIP_HEADS, KINDS, THING_HEADS  # noqa: E402
from evaluate.judge.network import GRID, SEEN, Judge  # noqa: E402
from evaluate.judge.sight import Seen, Sight, Thing, follow, sights_of  # noqa: E402
from evaluate.judge.targets import FIELDS, flip, loss_of, target_of  # noqa: E402
from evaluate.judge.verdict import judge  # noqa: E402

SCENE = {"place": "grass", "time": "day", "camera": "still", "event": "none"}


def certain(choices: tuple[str, ...], value: str) -> np.ndarray:
    return np.array([0.9 if c == value else 0.1 / len(choices) for c in choices])


def thing(kind: str = "ball", colour: str = "red", motion: str = "stay", x: float = 64.0, y: float = 64.0,
          frames=range(SEEN), distance: float = 0.0, size: str = "normal") -> Thing:
    values = {"colour": colour, "motion": motion, "then": "none", "speed": "normal", "size": size}
    return Thing([Sight(f, x, y, 30, 30, distance, 0.9, KINDS.index(kind),
                        [certain(choices, values[name]) for name, choices in THING_HEADS.items()]) for f in frames])


def test_a_prompt_is_followed_when_all_it_states_is_seen() -> None:
    seen = Seen([thing(motion="left"), thing("box", "blue", x=20)], SCENE)
    right = {"groups": [{"kind": "ball", "colour": "red", "motion": "left", "side": "right"}], "place": "grass"}
    assert judge(right, seen).strict and judge(right, seen).extras == 1
    for wrong in ({"groups": [{"kind": "ball", "colour": "blue"}]}, {"groups": [{"kind": "cone"}]}, {"place": "snow"},
                  {"groups": [{"kind": "ball", "motion": "right"}]}, {"event": "dogs_run"},
                  {"groups": [{"kind": "ball"}, {"kind": "box"}], "relation": ["left_of", 0, 1]},
                  {"groups": [{"kind": "ball", "side": "left"}, {"kind": "box"}]}):
        assert not judge(wrong, seen).strict, wrong


@pytest.mark.parametrize("count", [1, 2, 3, 4])
def test_counts_what_is_seen_at_once(count: int) -> None:
    seen = Seen([thing("dog", "brown", x=20 + 25 * k) for k in range(count)], SCENE)
    assert [n for n in range(1, 6) if judge({"groups": [{"kind": "dog", "count": n}]}, seen).strict] == [count]


def test_one_thing_that_comes_back_is_one() -> None:
    seen = Seen([thing(frames=range(4)), thing(frames=range(5, SEEN))], SCENE)
    assert judge({"groups": [{"kind": "ball", "count": 1}]}, seen).strict


def test_a_thing_that_changes_is_nothing() -> None:
    changing = thing(frames=range(5))
    changing.sights += thing("box", frames=range(5, SEEN)).sights
    assert not judge({"groups": [{"kind": "ball"}]}, Seen([changing], SCENE)).strict
    assert not judge({"groups": [{"kind": "ball"}]}, Seen([thing(frames=range(2))], SCENE)).strict


def test_relations_in_depth_and_height() -> None:
    near, far = thing(x=60, distance=-0.2), thing("box", "blue", x=70, distance=0.3)
    groups = [{"kind": "ball"}, {"kind": "box"}]
    assert judge({"groups": groups, "relation": ["in_front_of", 0, 1]}, Seen([near, far], SCENE)).strict
    assert not judge({"groups": groups, "relation": ["behind", 0, 1]}, Seen([near, far], SCENE)).strict
    top, under = thing(y=40), thing("box", "blue", y=70)
    assert judge({"groups": groups, "relation": ["on_top_of", 0, 1]}, Seen([top, under], SCENE)).strict
    assert not judge({"groups": groups, "relation": ["on_top_of", 1, 0]}, Seen([top, under], SCENE)).strict


def test_sights_become_things() -> None:
    """Two balls that cross the picture in opposite directions, and one frame in which nothing is seen."""
    frames = []
    for f in range(SEEN):
        left, right = thing(x=10 + 12 * f, y=30, frames=[f]).sights, thing("box", x=118 - 12 * f, y=90, frames=[f]).sights
        frames.append([] if f == 4 else left + right)
    assert sorted((t.kind, len(t.sights)) for t in follow(frames)) == [("ball", 8), ("box", 8)]


def perfect_cells(target) -> list:
    """What a network would say that is right everywhere, for one clip."""
    from torch.nn.functional import one_hot
    cells = [torch.logit(torch.from_numpy(target.heat).clamp(1e-4, 1 - 1e-4))]
    for wanted, choices in zip(target.thing, THING_HEADS.values()):
        cells.append(20.0 * one_hot(torch.from_numpy(wanted).clamp(min=0), len(choices)).movedim(-1, 1).float())
    return cells + [torch.from_numpy(target.numbers)]


@pytest.mark.parametrize("index", range(12))
def test_perfect_sight_gives_the_scene_back(index: int) -> None:
    scene = sample_scene("judge", index)
    _, identity, depth = render_clip(scene, 128, 128, 17, truth=True)
    target = target_of(scene, *truth_of(identity[::2], depth[::2].astype(np.float32), len(scene.things)))
    cells = perfect_cells(target)
    seen = follow(sights_of(cells))
    often = [k for k in range(len(scene.things)) if (target.thing.shape and (identity[::2] == k).sum((1, 2)).astype(bool).sum() >= 8)]
    for k in often:
        what = scene.things[k]
        assert any(t.kind == what.kind and t.says("colour") == what.colour and t.says("motion") == what.motion for t in seen)
    batch = {name: torch.from_numpy(getattr(target, name))[None] for name in FIELDS}
    batch["clip"] = torch.from_numpy(target.clip)[None]
    clip = [torch.nn.functional.one_hot(batch["clip"][:, k], len(c)).float() * 20 for k, c in enumerate(CLIP_HEADS.values())]
    losses = loss_of([c[None] for c in cells], clip, batch)
    assert all(value < 0.05 for name, value in losses.items() if name != "heat"), losses
    assert losses["heat"] < 1.0


def test_a_mirrored_clip_goes_the_other_way() -> None:
    index = next(i for i in range(500) if sample_scene("judge", i).things[0].motion == "left" and len(sample_scene("judge", i).things) == 1)
    scene = sample_scene("judge", index)
    _, identity, depth = render_clip(scene, 128, 128, 17, truth=True)
    target = target_of(scene, *truth_of(identity[::2], depth[::2].astype(np.float32), 1))
    batch = {name: torch.from_numpy(getattr(target, name))[None] for name in (*FIELDS, "clip")}
    _, flipped = flip(torch.zeros(1, SEEN, 3, 128, 128), batch)
    motion = flipped["thing"][0, list(THING_HEADS).index("motion")]
    assert set(motion[motion >= 0].tolist()) == {THING_HEADS["motion"].index("right")}
    assert torch.equal(flipped["heat"].flip(-1), batch["heat"])


def test_the_network_has_an_output_for_everything() -> None:
    cells, clip = Judge().eval()(torch.rand(2, SEEN, 3, 128, 128))
    assert [c.shape[2] for c in cells] == [len(KINDS)] + [len(c) for c in THING_HEADS.values()] + [5]
    assert all(c.shape[:2] == (2, SEEN) and c.shape[-2:] == (GRID, GRID) for c in cells)
    assert [c.shape for c in clip] == [(2, len(c)) for c in CLIP_HEADS.values()]


def test_exchanged_labels_differ_in_one_statement() -> None:
    expect = {"groups": [{"kind": "ball", "colour": "red"}, {"kind": "box"}], "place": "snow", "relation": ["left_of", 0, 1]}
    other = prove.exchanged(expect, np.random.default_rng(0))
    assert set(other) == {"0.kind", "0.colour", "1.kind", "place", "relation"}
    assert all(o != expect for o in other.values()) and other["relation"]["relation"] == ["left_of", 1, 0]


def test_measures() -> None:
    low, high = measures.wilson(92, 100)
    assert 0.84 < low < 0.92 < high < 0.96
    rng = np.random.default_rng(0)
    flat = np.full((17, 128, 128, 3), 128, np.uint8)
    grid = flat.copy()
    grid[:, 16:32] = 140
    assert measures.border_ratio(grid) > 3 and measures.psnr(flat, flat) == math.inf
    noise = rng.integers(0, 255, flat.shape).astype(np.uint8)
    clean = render_clip(sample_scene("judge", 3), 128, 128, 17)
    assert measures.roughness(noise) > 30 > measures.roughness(clean)
    joined = np.concatenate([clean, noise[:4]])
    assert measures.jump(joined, 17) > 3
