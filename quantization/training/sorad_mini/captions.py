"""Sentences that describe a scene as people type them to a text-to-video tool, in English (3 in 4) and Chinese.

First what is said is chosen (`Facts`), then it is worded, so a caption and its facts cannot disagree.
Invariants: a caption says nothing that the scene does not show (it may leave things out); it takes one number from the
caller's generator; its length does not tell how many things there are, because the wanted length is drawn first.
"""
from __future__ import annotations

import re

import numpy as np

from . import wordings as w
from .chinese import Chinese
from .english import SENTENCE_END, English
from .facts import BINDING, EXCHANGES, Draw, Facts, GroupFacts, choose_facts, exchanged, sides, wanted_length
from .world import Scene

__all__ = ("FORMS", "Facts", "GroupFacts", "caption", "caption_with_facts", "swapped")

FORMS = ("short", "sentence", "front", "there", "polite", "question", "when", "list", "style")
FORM_WEIGHTS = (20, 24, 10, 10, 9, 7, 5, 7, 8)


# --- Dress and slips -------------------------------------------------------------------------------------------------

QUESTIONS = ("can ", "could ", "would ", "may ", "what ", "how ")
CONTRACTIONS = (("does not ", "doesn't "), ("do not ", "don't "), ("it is ", "it's "), ("there is ", "there's "), ("i would ", "i'd "))
SENTENCE_START = re.compile(r"(^|[.!?] )([a-z])")


def dressed(text: str, form: str, d: Draw) -> str:
    """Capitals, stops and contractions, as people type them or leave them out."""
    style, stop, short = d.unit(), d.unit(), d.unit()
    if short < 0.35:
        for long, contracted in CONTRACTIONS:
            text = text.replace(long, contracted if short > 0.05 else contracted.replace("'", ""))
    question = text.startswith(QUESTIONS)
    if question and stop < 0.7 and ". " not in text:
        text += "?"
    if style < 0.06:
        return text.upper()
    if style < 0.11:
        return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))
    if style < (0.65 if form in ("short", "list", "style") else 0.30):
        bare = stop < 0.25 and not question
        return re.sub(r"[.,;!:]", "", text) if bare else text
    text = SENTENCE_START.sub(lambda m: m[1] + m[2].upper(), text)
    text = re.sub(r"\bi\b(?=[ '])", "I", text)
    if not text.endswith(SENTENCE_END) and (form not in ("short", "list", "style") or stop < 0.3) and not question and stop < 0.8:
        text += "." if stop > 0.03 else "!"
    return text


NEIGHBOURS = dict(zip("qwertyuiopasdfghjklzxcvbnm", "wertyuiopqsdfghjklaxcvbnmz"))


def slipped(text: str, d: Draw, words: int) -> str:
    """One or two typing slips in words of four letters or more; never a slip that makes another known word."""
    known = w.known_words()
    for _ in range(words):
        spans = [m.span() for m in re.finditer(r"[A-Za-z]{4,}", text)]
        if not spans:
            return text
        start, end = d.one(spans)
        word = text[start:end]
        at, how = 1 + int(d.unit() * (len(word) - 2)), d.unit()
        if how < 0.35:
            new = word[:at] + word[at + 1] + word[at] + word[at + 2:]
        elif how < 0.65:
            new = word[:at] + word[at + 1:]
        elif how < 0.85:
            new = word[:at] + word[at] + word[at:]
        else:
            near = NEIGHBOURS[word[at].lower()]
            new = word[:at] + (near.upper() if word[at].isupper() else near) + word[at + 1:]
        if new.lower() not in known and new.lower() not in NOT_A_SLIP:
            text = text[:start] + new + text[end:]
    return text


NOT_A_SLIP = ("gay", "bal", "hor", "tar", "lam", "rad", "dump")


# --- Captions --------------------------------------------------------------------------------------------------------

def worded(facts: Facts, seed: int, language: str, form: str, length: int, outdoors: bool, judge: bool = False,
           slips: bool = True) -> str:
    """The wording of `facts` that `seed` stands for. Equal seeds give equal wordings of facts that differ in one value."""
    draw = Draw(seed, judge)
    if language == "zh":
        text = Chinese(facts, draw.fork(1), form, length, outdoors).text()
        return text + "。" if draw.chance(0.35) and not text.endswith("？") else text.rstrip("？") if draw.chance(0.1) else text
    text = English(facts, draw.fork(1), form, length, outdoors).text()
    text = dressed(text, form, draw.fork(2))
    d = draw.fork(3)
    if d.chance(0.08) and slips:
        text = slipped(text, d, 1 if d.chance(0.7) else 2)
    return text


def caption_with_facts(scene: Scene, rng: np.random.Generator, form: str | None = None, split: str = "train",
                       language: str | None = None, slips: bool = True) -> tuple[str, Facts]:
    """A caption and what it states.

    `form` is one of FORMS, by default any; `language` is en or zh, by default three to one; `split="judge"` draws the
    wordings that training never sees, where there are any; without `slips` nothing is mistyped. Takes one number from `rng`.
    """
    draw = Draw(int(rng.integers(1 << 62)))
    length = wanted_length(draw)
    usual, any_form = "en" if draw.chance(0.75) else "zh", usual_form(draw, scene, length)
    facts = choose_facts(scene, draw.fork(1), length)
    text = worded(facts, draw.fork(2).state, language or usual, form or any_form, length, scene.place != "room", split == "judge", slips)
    return text, facts


def usual_form(draw: Draw, scene: Scene, length: int) -> str:
    """A form by weight; where many things must go into few words, mostly the short one."""
    form, brief = draw.weighted(FORMS, FORM_WEIGHTS), draw.chance(0.75)
    return "short" if brief and length < 5 * len(scene.groups) + 1 else form


def caption(scene: Scene, rng: np.random.Generator, form: str | None = None, split: str = "train",
            language: str | None = None) -> str:
    """A caption alone; see `caption_with_facts`."""
    return caption_with_facts(scene, rng, form, split, language)[0]


def swapped(scene: Scene, rng: np.random.Generator, split: str = "train") -> tuple[tuple[str, Facts], tuple[str, Facts]]:
    """A minimal pair: the scene's caption, and the same wording with one meaningful thing exchanged, each with its facts.

    The second describes another scene, perhaps one that the world does not sample. Takes one number from `rng`.
    """
    seed = int(rng.integers(1 << 62))
    outdoors = scene.place != "room"
    can_be_said = (("relation", scene.relation), ("sides", sides(scene)[0]), ("order", any(g.then for g in scene.groups)))
    rare = [what for what, there in can_be_said if there]
    wish = Draw(seed + 1)
    wished = wish.one(rare) if rare and wish.chance(0.5) else None
    for attempt in range(256):
        draw = Draw(seed + attempt)
        length = wanted_length(draw)
        language, form = "en" if draw.chance(0.75) else "zh", usual_form(draw, scene, length)
        facts = choose_facts(scene, draw.fork(1), length)
        if wished and attempt < 24 and exchanged(facts, wished, draw.fork(3)) is None:
            continue
        binding = [wished] if wished else draw.shuffled(BINDING) if draw.chance(0.6) else []
        order = binding + draw.shuffled(EXCHANGES)
        other = next((found for found in (exchanged(facts, what, draw.fork(3)) for what in order) if found), None)
        if other is None:
            continue
        wording = draw.fork(2).state
        pair = [worded(f, wording, language, form, length, outdoors, split == "judge", slips=False) for f in (facts, other)]
        if pair[0].lower() != pair[1].lower():
            other.filler = facts.filler
            return (pair[0], facts), (pair[1], other)
    raise ValueError("the scene states nothing that can be exchanged")
