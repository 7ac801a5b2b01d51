"""Fills sentence patterns. A pattern is a line of text with slots, and the label that the words themselves state:

    On the left there is {a}, on the right {a}.          || ^left ; ^right
    {A:car,boat} that {v:left}, {in}

A slot that makes a new group may name the kinds it takes: {a} "a red ball", {n} "red ball", {k} "three red balls",
{m} "one red ball" or more. Others speak of a group, the newest or the one numbered: {v} verb phrase ("rolls left"),
{ing} "rolling left", {inf} "roll left"; {w}, {wing}, {winf} the same for the second motion. {in} place, {at} time,
{cam} camera. Names after the colon limit what may be said. A capital first letter makes one in the text.
"""

import random
import re
from collections.abc import Callable

from . import phrases
from .labels import parse_label
from .vocabulary import CAMERAS, COLOURS, GROUP_FIELDS, KINDS, MOTIONS, PLACES, SIZES, SPEEDS, TIMES

SLOT = re.compile(r"\{([A-Za-z]+)(\d?)(?::([a-z_,]+))?\}")
_NEW = {"a", "n", "k", "m"}
_LAND_ONLY = ("dog", "car", "tree", "house", "chair", "lamp", "candle")


def inflect(verb: str, form: str) -> str:
    """`form` is "s" (rolls), "ing" (rolling) or "" (roll)."""
    if form == "" or (verb, form) in phrases.IRREGULAR:
        return phrases.IRREGULAR.get((verb, form), verb)
    if form == "ing":
        return (verb[:-1] if verb.endswith("e") else verb) + "ing"
    return verb + "s"


def plural(noun: str) -> str:
    if noun.endswith(("y",)) and noun[-2] not in "aeiou":
        return noun[:-1] + "ies"
    return noun + ("es" if noun.endswith(("x", "s", "sh", "ch")) else "s")


class Filling:
    """One pattern being filled: text so far is in the caller, facts are here."""

    def __init__(self, rng: random.Random, everyday: bool = False, forced: list[tuple[str, str]] | None = None,
                 place: str | None = None) -> None:
        self.rng, self.groups, self.nouns = rng, [], []
        self.forced = forced or []   # (kind, colour) of groups that are not left to chance
        self.place = place           # likewise
        self.said: list[str] = []    # verb phrases in their order
        self.scene: dict = {}
        names = ("KINDS", "COLOURS", "PLACES", "TIMES")
        self.words = {n: getattr(phrases, f"EVERYDAY_{n}") for n in names} if everyday else {
            "KINDS": {k: [k] for k in KINDS}, "COLOURS": {c: [c] for c in COLOURS},
            "PLACES": phrases.PLACES, "TIMES": phrases.TIMES}

    def new_group(self, slot: str, kinds: str | None) -> str:
        rng = self.rng
        kind, colour = rng.choice(kinds.split(",") if kinds else KINDS), rng.choice(COLOURS)
        if len(self.groups) < len(self.forced):
            kind, colour = self.forced[len(self.groups)]
        group: dict = {"kind": kind}
        noun, colour_word = rng.choice(self.words["KINDS"][kind]), rng.choice(self.words["COLOURS"][colour])
        words = []
        if rng.random() < 0.2:
            group["size"] = rng.choice(SIZES)
            words.append(rng.choice(phrases.SIZES[group["size"]]))
        if rng.random() < 0.92:
            group["colour"] = colour
            words.append(colour_word)
        if slot in "km":
            group["count"] = rng.randint(2 if slot == "k" else 1, 4)
            words.insert(0, rng.choice(phrases.NUMBERS[group["count"]]))
        self.groups.append(group)
        self.nouns.append(plural(noun) if group.get("count", 1) > 1 else noun)
        words.append(self.nouns[-1])
        if slot == "a":
            words.insert(0, "an" if words[0][0] in "aeiou" else "a")
        return " ".join(words)

    def motion_phrase(self, index: int, form: str, second: bool, names: str | None) -> str:
        group, rng = self.groups[index], self.rng
        allowed = [m for m in phrases.KIND_MOTIONS.get(group["kind"], MOTIONS) if not names or m in names.split(",")]
        if second:
            allowed = [m for m in allowed if (group["motion"], m) in phrases.THEN]
        if not allowed:
            raise LookupError("no motion fits")
        motion = rng.choice(allowed)
        group["then" if second else "motion"] = motion
        many = group.get("count", 1) > 1
        text = rng.choice(phrases.MOTIONS[motion])
        if form != "s" and text == "[do] not move":
            text = "[stand] still"
        form = "" if form == "s" and many else form
        own = phrases.KIND_VERBS.get(group["kind"], phrases.OTHER_VERB)
        text = re.sub(r"\[(\w+)\]", lambda m: inflect({"go": own, "go_": "go"}.get(m[1], m[1]), form), text)
        if not second and motion in phrases.MOTIONS_WITH_SPEED and rng.random() < 0.2:
            group["speed"] = rng.choice(SPEEDS)
            text += " " + rng.choice(phrases.SPEEDS[group["speed"]])
        self.said.append(text)
        return text

    def slot(self, match: re.Match) -> str:
        name, number, names = match[1], match[2], match[3]
        lower = name[0].lower() + name[1:]
        index = int(number) if number else len(self.groups) - 1
        if lower in _NEW:
            text = self.new_group(lower, names)
        elif lower in ("v", "ing", "inf"):
            text = self.motion_phrase(index, {"v": "s", "inf": ""}.get(lower, lower), False, names)
        elif lower in ("w", "wing", "winf"):
            text = self.motion_phrase(index, {"w": "s", "wing": "ing", "winf": ""}[lower], True, names)
        elif lower in ("in", "at"):
            field, table, all_names = ("place", "PLACES", PLACES) if lower == "in" else ("time", "TIMES", TIMES)
            self.scene[field] = self.rng.choice(names.split(",") if names else all_names)
            if lower == "in" and self.place:
                self.scene[field] = self.place
            text = self.rng.choice(self.words[table][self.scene[field]])
        elif lower == "cam":
            self.scene["camera"] = self.rng.choice(names.split(",") if names else CAMERAS)
            text = self.rng.choice(phrases.CAMERAS[self.scene["camera"]])
        else:
            raise ValueError(f"pattern has the unknown slot {match[0]}; see patterns.py")
        return text[:1].upper() + text[1:] if name != lower else text

    def expect(self, label: str) -> dict:
        said = parse_label(label) if label else {}
        for group, more in zip(self.groups, said.pop("groups", []), strict=False):
            group.update(more)
        groups = [{f: g[f] for f in GROUP_FIELDS if f in g} for g in self.groups]
        facts = {**self.scene, **said}
        return {"groups": groups, **{f: facts[f] for f in ("place", "time", "camera", "relation", "event") if f in facts}}


def is_plausible(expect: dict) -> bool:
    """False for what nobody would ask, so that hard prompts are hard for another reason."""
    groups, place = expect["groups"], expect.get("place")
    names = [(g["kind"], g.get("colour")) for g in groups]
    if len(set(names)) < len(names) or len({g["kind"] for g in groups}) < len(groups) and any(c is None for _, c in names):
        return False
    for group in groups:
        kind, motion = group["kind"], group.get("motion")
        if kind == "boat" and place not in (None, "sea", "beach") or kind in ("tree", "house") and place == "room":
            return False
        if place == "sea" and (kind in _LAND_ONLY or "bounce" in (motion, group.get("then")) or motion == "circle"):
            return False
        if group.get("then") and motion == "stay" and kind in phrases.STILL_KINDS:
            return False
    if place == "room" and expect.get("time") == "sunset":
        return False
    relation = expect.get("relation")
    if relation and relation[0] == "on_top_of":
        return groups[relation[1]]["kind"] in phrases.TOP_KINDS and groups[relation[2]]["kind"] in phrases.BASE_KINDS
    return True


def fill(pattern: str, rng: random.Random, make: Callable[[random.Random], Filling] = Filling) -> tuple[str, dict]:
    """A prompt and its strict reading, made from one line of a pattern file."""
    text, _, label = pattern.partition(" || ")
    for _ in range(200):
        filling = make(rng)
        try:
            prompt = SLOT.sub(filling.slot, text)
        except LookupError:
            continue
        expect = filling.expect(label)
        if is_plausible(expect):
            return prompt, expect
    raise ValueError(f"pattern has no plausible filling: {pattern!r}")
