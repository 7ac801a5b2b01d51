"""Writes prompts/*.jsonl from what is written by hand (written/) and from patterns (patterns/). Same bytes every time.

    cd quantization && python -m evaluate.write_prompts            # held_out needs training/sorad_mini/world.py

Every prompt that is written by hand is taken; patterns fill the group up to WANTED.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from pathlib import Path

from .chinese import ChineseFilling
from .labels import parse_label
from .patterns import Filling, fill, is_plausible
from .phrases import THEN
from .vocabulary import COLOURS, KINDS, PLACES

HERE = Path(__file__).resolve().parent
WANTED = 320
SWAPS = 320
PATTERN_GROUPS = ("one_object", "everyday", "two_objects", "three_objects", "directions_sides", "camera", "counts", "then",
                  "long", "chinese")
SCENE_GROUPS = ("candle", "chair", "hoop", "dogs")
Line = tuple[str, dict]


def lines_of(folder: str, group: str) -> list[str]:
    text = (HERE / folder / f"{group}.txt").read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("# ")]


def by_hand(group: str) -> list[Line]:
    found = []
    for line in lines_of("written", group):
        prompt, _, label = line.rpartition(" || ")
        found.append((prompt, parse_label(label)))
    return found


def _fill_up(lines: list[Line], more: Iterator[Line], wanted: int = WANTED) -> list[Line]:
    """Adds from `more` until there are `wanted`; no prompt twice, whatever its case and marks."""
    seen = {_key(prompt) for prompt, _ in lines}
    lines = list(lines)
    for prompt, expect in more:
        if len(lines) >= wanted:
            break
        if _key(prompt) not in seen:
            seen.add(_key(prompt))
            lines.append((prompt, expect))
    return lines


def _key(prompt: str) -> str:
    return re.sub(r"\W+", " ", prompt.casefold()).strip() or prompt


def from_patterns(group: str) -> Iterator[Line]:
    rng, patterns = random.Random(f"sorad {group}"), lines_of("patterns", group)
    make = {"everyday": lambda r: Filling(r, everyday=True), "chinese": ChineseFilling}.get(group, Filling)
    while True:
        for pattern in patterns:
            yield fill(pattern, rng, make)


def _mistype(word: str, rng: random.Random) -> str:
    """One slip of the fingers inside a word of four letters or more; the first letter stays."""
    if len(word) < 4 or not word.isalpha():
        return word
    at = rng.randrange(1, len(word) - 1)
    slips = [word[:at] + word[at + 1] + word[at] + word[at + 2:], word[:at] + word[at] + word[at:]]
    if len(word) > 4:
        slips.append(word[:at] + word[at + 1:])
    return rng.choice(slips)


def _shout_or_slip(prompt: str, rng: random.Random) -> str:
    way = rng.randrange(6)
    if way == 0:
        return prompt.upper()
    if way == 1:
        return prompt.title().replace("'S", "'s").replace("'T", "'t")
    if way == 2:
        return "".join(c.upper() if rng.random() < 0.5 else c.lower() for c in prompt)
    if way == 3:
        return re.sub(r"[^\w\s]", "", prompt.lower())
    slipped = " ".join(_mistype(w, rng) if rng.random() < 0.45 else w for w in prompt.split(" "))
    return slipped.lower() if way == 4 else slipped


def capitals_typos() -> Iterator[Line]:
    """Sentences of other groups, shouted or mistyped. A slip never makes another word of the vocabulary."""
    rng = random.Random("sorad capitals_typos")
    source = [line for g in ("one_object", "two_objects", "then", "directions_sides", "counts") for line in by_hand(g)]
    rng.shuffle(source)
    known = {w for prompt, _ in source for w in re.findall(r"[a-z]+", prompt.lower())}
    for prompt, expect in source:
        changed = _shout_or_slip(prompt, rng)
        new = set(re.findall(r"[a-z]+", changed.lower())) - set(re.findall(r"[a-z]+", prompt.lower()))
        if changed != prompt and len(prompt) < 110 and not new & known:
            yield changed, expect


def held_out() -> Iterator[Line]:
    """Prompts about things whose colour, kind and place training never shows together.

    First the sentences of written/held_out.txt, each with such a colour, then patterns.
    """
    sys.path.insert(0, str(HERE.parent / "training"))
    from sorad_mini.world import is_held_out

    rng = random.Random("sorad held_out")
    for line in lines_of("written", "held_out"):
        prompt, _, label = line.rpartition(" || ")
        probe = parse_label(label.replace("*", ""))
        kind, place = probe["groups"][0]["kind"], probe["place"]
        c = rng.choice([c for c in COLOURS if is_held_out(c, kind, place)])
        text = prompt.replace("{colour}", c).replace("{COLOUR}", c.upper()).replace("{Colour}", c.capitalize())
        yield re.sub(r"\b([Aa]) (?=orange)", r"\1n ", text), parse_label(label.replace("*", c))
    combinations = [(k, c, p) for k in KINDS for c in COLOURS for p in PLACES if is_held_out(c, k, p)]
    patterns = lines_of("patterns", "held_out")
    while True:
        rng.shuffle(combinations)
        for i, (kind, colour, place) in enumerate(combinations):
            try:
                text, expect = fill(patterns[i % len(patterns)], rng, lambda r: Filling(r, forced=[(kind, colour)], place=place))
            except ValueError:
                continue   # nobody asks for a boat in a room
            if "colour" in expect["groups"][0]:
                yield text, expect


def _made_outside() -> Iterator[str]:
    """Single characters, long prompts up to the API's 4000 characters, and noise."""
    rng = random.Random("sorad outside")
    yield from (chr(c) for c in (0x24, 0x2603 + 1, 0x1F9E0, 0x10FFFD, 0x0E01, 0x4E00, 0x7B, 0x5E, 0x1D11E, 0x2A6D6))
    sentences = ["The committee met on Thursday and decided nothing. ", "la ", "9", "ha", "🙂", "word, ", "深", "<div>", "\\n",
                 "All work and no play makes a dull afternoon. ", "a+b=c; ", "Hmm... "]
    yield from ((s * 4000)[:4000] for s in sentences)
    pools = ["abcdefghijklmnopqrstuvwxyz ", "0123456789abcdef", "!#$%&()*+,-./:;<=>?@[]^_{|}~", "αβγδεζηθικλμνξοπρστυφχψω ",
             "абвгдежзиклмнопрстуфхцчшщыэюя ", "あいうえおかきくけこさしすせそ", "的一是不了人我在有他这为之来以", "\u0001\u0002\u0007\u001bq ",
             "ABCDEFGHIJKLMNOPQRSTUVWXYZ", "😀😎🤯👻🐙🍕🚀🎻", "01", "𝔞𝔟𝔠𝔡𝔢𝔣𝔤 ", "אבגדהוזחטיכלמנסעפצקרשת ", "ابتثجحخدذرزسشصضطظعغ "]
    for length in (3, 12, 60, 400):
        yield from ("".join(rng.choice(pool) for _ in range(length)) for pool in pools)
    yield "".join(rng.choice(pools[0]) for _ in range(4000))
    yield "x" * 3999


def outside() -> list[Line]:
    seen: dict[str, None] = {}
    for line in (HERE / "written" / "outside.txt").read_text(encoding="utf-8").split("\n"):
        if line:
            seen[json.loads(line) if line.startswith('"') else line] = None
    for prompt in _made_outside():
        seen[prompt] = None
    return [(prompt, {}) for prompt in seen if any(c.isprintable() and not c.isspace() for c in prompt)]


def _exchange(kind: str, pattern: str, seed: int) -> tuple[Line, Line] | None:
    """Two prompts of one pattern that differ in one exchange, or None where this seed gives no such pair."""
    makings: list[Filling] = []

    def make(rng: random.Random, forced: list | None = None) -> Filling:
        makings.append(Filling(rng, forced=forced))
        return makings[-1]

    seed_text = f"sorad swaps {seed}"
    a = fill(pattern, random.Random(seed_text), make)
    if len(makings) > 1 or any("colour" not in g for g in a[1]["groups"]):
        return None   # The second filling repeats the first one's chances, so the first has to be plausible at once.
    things = [(g["kind"], g["colour"]) for g in a[1]["groups"]]
    if kind in ("colours", "things"):
        (kind_a, colour_a), (kind_b, colour_b) = things
        if kind == "colours" and (colour_a == colour_b or kind_a == kind_b) or any("size" in g for g in a[1]["groups"]):
            return None
        forced = [(kind_a, colour_b), (kind_b, colour_a)] if kind == "colours" else [things[1], things[0]]
        b = fill(pattern, random.Random(seed_text), lambda rng: make(rng, forced))
    elif kind in ("kind", "colour"):
        other = random.Random(f"{seed_text} other")
        forced = Filling(other)
        forced.new_group("a", None)
        group = forced.groups[0]
        swap = [(group["kind"], things[0][1])] if kind == "kind" else [(things[0][0], group.get("colour", things[0][1]))]
        if swap == things:
            return None
        b = fill(pattern, random.Random(seed_text), lambda rng: make(rng, swap))
    elif kind in ("motion", "side"):
        text, label = pattern.replace("left", "right"), None
        b = fill(text, random.Random(seed_text), make)
    else:
        first, second = makings[0].said
        group = a[1]["groups"][0]
        if "speed" in group or (group["then"], group["motion"]) not in THEN:
            return None
        marks = a[0].replace(first, "\0", 1).replace(second, first, 1).replace("\0", second)
        b = marks, {**a[1], "groups": [{**group, "motion": group["then"], "then": group["motion"]}]}
    return None if a[0] == b[0] or len(makings) > 2 or not is_plausible(b[1]) else (a, b)


def swaps() -> list[tuple[Line, Line]]:
    pairs = []
    for line in lines_of("written", "swaps"):
        texts, label_a, label_b = line.split(" || ")
        a, b = texts.split(" | ")
        pairs.append(((a, parse_label(label_a)), (b, parse_label(label_b))))
    seen, patterns, seed = {a[0] for a, _ in pairs}, lines_of("patterns", "swaps"), 0
    while len(pairs) < SWAPS:
        kind, _, pattern = patterns[seed % len(patterns)].partition(" || ")
        pair = _exchange(kind, pattern, seed)
        seed += 1
        if pair and pair[0][0] not in seen:
            seen.add(pair[0][0])
            pairs.append(pair)
    return pairs


def all_groups() -> dict[str, list[Line]]:
    groups = {group: _fill_up(by_hand(group), from_patterns(group)) for group in PATTERN_GROUPS}
    groups["capitals_typos"] = _fill_up(by_hand("capitals_typos"), capitals_typos())
    groups.update({group: by_hand(group) for group in SCENE_GROUPS})
    groups["held_out"] = _fill_up([], held_out())
    groups["outside"] = outside()
    return groups


def contents() -> dict[str, str]:
    """File name to text, for every file of prompts/."""
    files = {}
    for group, lines in all_groups().items():
        files[f"{group}.jsonl"] = "".join(
            json.dumps({"prompt": prompt, "expect": expect}, ensure_ascii=group == "outside") + "\n" for prompt, expect in lines)
    files["swaps.jsonl"] = "".join(
        json.dumps({"a": a[0], "b": b[0], "expect_a": a[1], "expect_b": b[1]}, ensure_ascii=False) + "\n" for a, b in swaps())
    return files


def main() -> None:
    (HERE / "prompts").mkdir(exist_ok=True)
    for name, text in contents().items():
        (HERE / "prompts" / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
