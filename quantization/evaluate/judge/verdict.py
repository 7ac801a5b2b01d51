"""Whether what is seen is what a prompt states: a list of single statements, each right or wrong.

A prompt is followed strictly when all of them are right. What it does not state is free (see evaluate/README.md).
"""
from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np

from .sight import SIDE, Seen, Thing

OFTEN = 0.3         # share of frames in which so many things must be seen at once, to count so many
ORDERED = 0.75      # share of frames in which a thing must be left of another
MIDDLE = (0.36, 0.64)   # of the picture's width, for a side that is stated of a thing alone
ON_TOP = 0.45       # of the lower thing's height: how far the upper thing's foot may be from its top


@dataclass
class Verdict:
    statements: dict[str, bool]     # "0.colour", "place", ...
    extras: int                     # steady things that no group of the prompt asks for

    @property
    def strict(self) -> bool:
        return all(self.statements.values())


def candidates(seen: Seen, group: dict) -> list[Thing]:
    return [t for t in seen.things if t.steady and t.kind == group.get("kind", t.kind)
            and ("colour" not in group or t.says("colour") == group["colour"])]


def counted(things: list[Thing]) -> int:
    """The most things that are seen at once in OFTEN of the frames that show any."""
    at_once = Counter(s.frame for t in things for s in t.sights)
    return max((n for n in range(1, 9) if sum(c >= n for c in at_once.values()) >= OFTEN * len(at_once)), default=0)


def agreed(things: list[Thing], head: str) -> str:
    votes = Counter()
    for thing in things:
        votes[thing.says(head)] += len(thing.sights)
    return votes.most_common(1)[0][0]


def _x(things: list[Thing]) -> float:
    return float(np.mean([s.x for t in things for s in t.sights]) / SIDE)


def on_side(side: str, things: list[Thing], others: list[list[Thing]]) -> bool:
    x, rest = _x(things), [_x(o) for o in others if o]
    if not rest:
        return {"left": x < MIDDLE[1] - 0.1, "right": x > MIDDLE[0] + 0.1, "middle": MIDDLE[0] < x < MIDDLE[1]}[side]
    return {"left": x < min(rest), "right": x > max(rest),
            "middle": min(rest) < x < max(rest) if len(rest) > 1 else MIDDLE[0] < x < MIDDLE[1]}[side]


def related(name: str, a: list[Thing], b: list[Thing]) -> bool:
    """Whether things a are so to things b, by their places in common frames."""
    pairs = [(s, o) for t in a for s in t.sights for u in b for o in u.sights if s.frame == o.frame]
    if not pairs:
        return False
    if name in ("left_of", "right_of"):
        sign = 1 if name == "left_of" else -1
        return np.mean([sign * (o.x - s.x) > 0 for s, o in pairs]) >= ORDERED
    if name in ("in_front_of", "behind"):
        sign = 1 if name == "in_front_of" else -1
        return bool(np.mean([sign * (o.distance - s.distance) for s, o in pairs]) > 0)
    gap = np.mean([abs((s.y + s.height / 2) - (o.y - o.height / 2)) / o.height for s, o in pairs])
    beside = np.mean([abs(s.x - o.x) / max(o.width, s.width) for s, o in pairs])
    above = np.mean([o.y - s.y > 0.25 * o.height for s, o in pairs])
    return bool(gap < ON_TOP and beside < 0.5 and above >= ORDERED)


def judge(expect: dict, seen: Seen) -> Verdict:
    groups = expect.get("groups", [])
    found = [candidates(seen, group) for group in groups]
    right: dict[str, bool] = {}
    for k, (group, things) in enumerate(zip(groups, found)):
        same_kind = [t for t in seen.things if t.steady and t.kind == group.get("kind", t.kind)]
        if "kind" in group:
            right[f"{k}.kind"] = bool(same_kind)
        if "colour" in group:
            right[f"{k}.colour"] = bool(things)
        if "count" in group:
            right[f"{k}.count"] = counted(things) == group["count"]
        for field in ("motion", "then", "speed", "size"):
            if field in group:
                right[f"{k}.{field}"] = bool(things) and agreed(things, field) == group[field]
        if "side" in group:
            right[f"{k}.side"] = bool(things) and on_side(group["side"], things, found[:k] + found[k + 1:])
    for name in ("place", "time", "camera", "event"):
        if name in expect:
            right[name] = seen.scene[name] == expect[name]
    if "relation" in expect:
        name, a, b = expect["relation"]
        right["relation"] = bool(found[a]) and bool(found[b]) and related(name, found[a], found[b])
    wanted = {id(t) for things in found for t in things}
    extras = sum(t.steady and id(t) not in wanted for t in seen.things)
    return Verdict(right, extras)
