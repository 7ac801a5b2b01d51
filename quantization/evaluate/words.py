"""What people may say to the model, from the lists of words of its captions: for documents and for the page.

    cd quantization && PYTHONPATH=training python -m evaluate.words          # the table, in Markdown

Imports nothing but the standard library and `sorad_mini.wordings`.
"""
from __future__ import annotations

import re

from sorad_mini import wordings as w

from .vocabulary import COLOURS, EVENTS, KINDS, PLACES

OTHERS = 3      # further words for a thing, at most
ACTORS = {"candle_out": "a candle", "chair_down": "a chair", "through_hoop": "a ball", "dogs_run": "a dog", "leaves_returns": "a car",
          "passes_behind": "a boat"}


def plain(entry: str) -> str:
    """An entry as a person reads it: verbs in the third person as they stand, slots filled."""
    for slot, word in (("{travel}", "moves"), ("{other}", "something"), ("{its}", "its")):
        entry = entry.replace(slot, word)
    return re.sub(r"/(\w+)", lambda match: "does not" if match[1] == "not" else w.third_person(match[1]), entry)


def some(words: w.Words, others: int = OTHERS) -> str:
    """The usual word, and in brackets what else means the same."""
    first, *rest = dict.fromkeys(plain(entry) for entry in words.train)
    return f"{first} ({', '.join(rest[:others])})" if rest and others else first


def rows() -> list[tuple[str, str]]:
    """(of, words) of the vocabulary's table."""
    def all_of(table: dict, names=None, others: int = OTHERS) -> str:
        return "; ".join(some(table[name], others) for name in names or table)

    return [
        ("things", all_of(w.KIND_EN, KINDS)),
        ("colors", all_of(w.COLOUR_EN, COLOURS, 2)),
        ("sizes", all_of(w.SIZE_EN)),
        ("numbers", "one; " + all_of(w.NUMBER_EN, others=2) + ", of one kind; one to three kinds in a clip"),
        ("places", all_of(w.PLACE_EN, PLACES)),
        ("times", all_of(w.TIME_EN)),
        ("directions", all_of(w.DIRECTION_EN)),
        ("other motions", all_of(w.MOTION_EN)),
        ("speeds", all_of(w.SPEED_EN)),
        ("one after the other", "bounces and then stops; first moves left, then right; falls, then stays still"),
        ("sides", all_of(w.SIDE_EN, others=2)),
        ("relations", all_of(w.RELATION_EN, others=2)),
        ("camera", all_of(w.CAMERA_CLAUSE_EN, others=2)),
        ("events", "; ".join(f"{ACTORS[name]} {some(w.EVENT_EN[name], 1)}" for name in EVENTS)),
        ("Chinese", "the same: " + "、".join(words.train[0] for words in w.KIND_ZH.values())
         + "；" + "、".join(words.train[0] for words in w.COLOUR_ZH.values())),
    ]


def table() -> str:
    """The vocabulary in Markdown."""
    return "\n".join(["| of | words |", "|---|---|", *(f"| {of} | {words} |" for of, words in rows())])


def page() -> dict:
    """What the page says of the model: a sentence, and words to begin with."""
    firsts = [plain(w.KIND_EN[kind].train[0]) for kind in KINDS]
    return {
        "text": f"A small rendered world: one to three kinds of things, {len(KINDS)} in all, in {len(COLOURS)} colors. "
                "Words that it does not know change nothing.",
        "words": {
            "Color": list(COLOURS),
            "Thing": firsts,
            "Motion": ["rolls from left to right", "slides to the left", "comes closer", "bounces", "falls", "rises", "spins and then stops"],
            "Place": [plain(w.PLACE_EN[place].train[0]) for place in PLACES],
            "Light": [plain(w.TIME_EN[time].train[0]) for time in ("day", "sunset", "night")],
            "Camera": ["the camera pans left", "the camera zooms in", "the camera orbits around"],
            "Event": ["a candle is blown out", "a chair is set down", "a ball flies through a hoop", "two dogs run around"],
        },
    }


if __name__ == "__main__":
    print(table())
