"""The shorthand in which labels are written beside prompts, and its meaning.

    red ball small left fast >stay ^left ; 2 box @ grass sunset pan_left left_of:0:1

Groups are separated by `;`. Inside a group a bare word is a kind, colour, size, motion or speed, a number is the
count, `>m` is the second motion and `^s` the side. After `@` stand the facts of the scene: place, time, camera
(`camera_rise` and `camera_still` with prefix), event, and a relation as name:a:b with group indices.
`-` alone means that nothing is stated.
"""

from .vocabulary import CAMERAS, COLOURS, EVENTS, GROUP_FIELDS, KINDS, MOTIONS, PLACES, RELATIONS, SIDES, SIZES, SPEEDS, TIMES

_GROUP_WORDS = {**{w: "kind" for w in KINDS}, **{w: "colour" for w in COLOURS}, **{w: "size" for w in SIZES},
                **{w: "motion" for w in MOTIONS}, **{w: "speed" for w in SPEEDS}}
_SCENE_WORDS = {**{w: ("place", w) for w in PLACES}, **{w: ("time", w) for w in TIMES},
                **{w: ("event", w) for w in EVENTS}, **{w: ("camera", w) for w in CAMERAS if "_" in w or w == "orbit"},
                "camera_rise": ("camera", "rise"), "camera_still": ("camera", "still")}


def _set(facts: dict, field: str, value, word: str) -> None:
    if field in facts:
        raise ValueError(f"label says {field} twice, the second time by {word!r}; remove one")
    facts[field] = value


def _parse_group(text: str) -> dict:
    facts: dict = {}
    for word in text.split():
        if word.isdigit():
            _set(facts, "count", int(word), word)
        elif word[0] == ">" and word[1:] in MOTIONS:
            _set(facts, "then", word[1:], word)
        elif word[0] == "^" and word[1:] in SIDES:
            _set(facts, "side", word[1:], word)
        elif word in _GROUP_WORDS:
            _set(facts, _GROUP_WORDS[word], word, word)
        else:
            raise ValueError(f"label has the unknown word {word!r}; take one from vocabulary.py")
    return {field: facts[field] for field in GROUP_FIELDS if field in facts}


def parse_label(text: str) -> dict:
    """The strict reading (`expect`) that a label in shorthand says. Raises ValueError."""
    if text.strip() == "-":
        return {}
    groups, _, scene = text.partition("@")
    expect: dict = {}
    found = [_parse_group(part) for part in groups.split(";")] if groups.strip() else []
    if found:
        expect["groups"] = found
    facts: dict = {}
    for word in scene.split():
        if word in _SCENE_WORDS:
            _set(facts, *_SCENE_WORDS[word], word)
        elif word.count(":") == 2 and word.split(":")[0] in RELATIONS:
            name, a, b = word.split(":")
            _set(facts, "relation", [name, int(a), int(b)], word)
        else:
            raise ValueError(f"label has the unknown word {word!r} after @; take one from vocabulary.py")
    for field in ("place", "time", "camera", "relation", "event"):
        if field in facts:
            expect[field] = facts[field]
    return expect
