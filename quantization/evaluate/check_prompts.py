"""Validates prompts/*.jsonl and prints a table of what they hold.

    cd quantization && python -m evaluate.check_prompts

Exit status 1 and one line per fault if a file breaks a rule.
"""

import json
import re
import sys
from collections import Counter
from pathlib import Path

from .vocabulary import EVENTS, GROUP_FIELDS, RELATIONS, SCENE_FIELDS

PROMPTS = Path(__file__).resolve().parent / "prompts"
LEAST = {"candle": 100, "chair": 100, "hoop": 100, "dogs": 100, "outside": 500}   # 300 for every other group
GROUPS = ("one_object", "everyday", "capitals_typos", "long", "two_objects", "three_objects", "directions_sides", "camera",
          "counts", "then", "chinese", "candle", "chair", "hoop", "dogs", "held_out", "outside")
MOST_CHARACTERS = 4000   # docs/HTTP_API.md
LONG_WORDS = range(30, 81)
EVENT_KINDS = {"candle_out": "candle", "chair_down": "chair", "dogs_run": "dog", "through_hoop": "ball"}


def expect_faults(expect: dict) -> list[str]:
    """What is wrong with one strict reading; empty if nothing is."""
    faults = [f"unknown member {m!r}" for m in expect if m not in ("groups", "relation", *SCENE_FIELDS)]
    faults += [f"{f} cannot be {expect[f]!r}" for f, names in SCENE_FIELDS.items() if f in expect and expect[f] not in names]
    groups = expect.get("groups", [])
    if "groups" in expect and not 1 <= len(groups) <= 3:
        faults.append(f"{len(groups)} groups; a scene has one to three")
    for number, group in enumerate(groups):
        faults += [f"group {number} has the unknown member {m!r}" for m in group if m not in GROUP_FIELDS]
        faults += [f"group {number}: {f} cannot be {group[f]!r}" for f in GROUP_FIELDS if f in group and group[f] not in GROUP_FIELDS[f]]
        if "kind" not in group:
            faults.append(f"group {number} has no kind")
        if "then" in group and group["then"] == group.get("motion", group["then"]):
            faults.append(f"group {number}: then needs another motion before it")
    relation = expect.get("relation")
    if relation is not None:
        name, *ends = relation
        if name not in RELATIONS or len(ends) != 2 or ends[0] == ends[1] or not all(e in range(len(groups)) for e in ends):
            faults.append(f"relation {relation!r} is not [name, a, b] with indices of two groups")
    kind = EVENT_KINDS.get(expect.get("event"))
    if kind and groups and all(g.get("kind") != kind for g in groups):
        faults.append(f"{expect['event']} without a {kind}")
    return faults


def prompt_faults(prompt: str) -> list[str]:
    faults = []
    if not any(c.isprintable() and not c.isspace() for c in prompt):
        faults.append("prompt is blank; the API refuses it")
    if "\0" in prompt:
        faults.append("prompt has a NUL character; the API refuses it")
    if len(prompt) > MOST_CHARACTERS:
        faults.append(f"prompt has {len(prompt)} characters; the API takes {MOST_CHARACTERS}")
    return faults


def _group_faults(group: str, prompt: str, expect: dict) -> list[str]:
    """Rules of single groups."""
    count = len(expect.get("groups", []))
    if group == "outside":
        return ["outside expects {}"] if expect else []
    if not expect:
        return ["label states nothing"]
    if group == "long" and len(prompt.split()) not in LONG_WORDS:
        return [f"{len(prompt.split())} words; long prompts have 30 to 80"]
    wanted = {"one_object": count == 1, "everyday": count == 1, "two_objects": count == 2, "three_objects": count == 3,
              "camera": "camera" in expect, "then": any("then" in g for g in expect.get("groups", [])),
              "counts": any("count" in g for g in expect.get("groups", []))}
    return [] if wanted.get(group, True) else [f"does not belong to {group}"]


def _held_out_faults(expect: dict) -> list[str]:
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "training"))
    from sorad_mini.world import is_held_out

    first = expect["groups"][0]
    known = is_held_out(first["colour"], first["kind"], expect["place"])
    return [] if known else ["training shows this colour, kind and place together"]


def read_lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]


def normal_form(prompt: str) -> str:
    return re.sub(r"\s+", " ", prompt.casefold()).strip()


def group_file_faults(group: str, lines: list[dict]) -> list[str]:
    faults, seen = [], {}
    for number, line in enumerate(lines, 1):
        if set(line) != {"prompt", "expect"}:
            faults.append(f"{group}:{number}: members are {sorted(line)}, not prompt and expect")
            continue
        prompt, expect = line["prompt"], line["expect"]
        found = prompt_faults(prompt) + expect_faults(expect) + _group_faults(group, prompt, expect)
        if group == "held_out":
            found += _held_out_faults(expect)
        key = prompt if group in ("outside", "capitals_typos") else normal_form(prompt)
        if key in seen:
            found.append(f"the same prompt as line {seen[key]}")
        seen[key] = number
        faults += [f"{group}:{number}: {fault}" for fault in found]
    if len(lines) < LEAST.get(group, 300):
        faults.append(f"{group}: {len(lines)} prompts; {LEAST.get(group, 300)} are asked for")
    return faults


def swap_faults(lines: list[dict]) -> list[str]:
    faults, seen = [], set()
    for number, line in enumerate(lines, 1):
        if set(line) != {"a", "b", "expect_a", "expect_b"}:
            faults.append(f"swaps:{number}: members are {sorted(line)}, not a, b, expect_a, expect_b")
            continue
        found = [f for x in "ab" for f in prompt_faults(line[x]) + expect_faults(line[f"expect_{x}"])]
        if line["a"] == line["b"] or line["expect_a"] == line["expect_b"]:
            found.append("a and b say the same")
        pair = (normal_form(line["a"]), normal_form(line["b"]))
        if pair in seen or pair[::-1] in seen:
            found.append("this pair is there before")
        seen.add(pair)
        faults += [f"swaps:{number}: {fault}" for fault in found]
    if len(lines) < 300:
        faults.append(f"swaps: {len(lines)} pairs; 300 are asked for")
    return faults


def check(folder: Path) -> tuple[list[str], list[tuple]]:
    """Faults of all files, and rows (group, prompts, words at the median, facts per label, ...) for the table."""
    faults, rows, owner = [], [], {}
    for path in sorted(folder.glob("*.jsonl")):
        if path.stem not in (*GROUPS, "swaps"):
            faults.append(f"{path.name}: not a group")
    for group in GROUPS:
        lines = read_lines(folder / f"{group}.jsonl")
        faults += group_file_faults(group, lines)
        for line in lines:
            if owner.setdefault(line["prompt"], group) != group:
                faults.append(f"{group}: {line['prompt'][:60]!r} is also in {owner[line['prompt']]}")
        rows.append(_row(group, lines))
    pairs = read_lines(folder / "swaps.jsonl")
    faults += swap_faults(pairs)
    rows.append(_row("swaps", [{"prompt": p[x], "expect": p[f"expect_{x}"]} for p in pairs for x in "ab"]))
    return faults, rows


def _row(group: str, lines: list[dict]) -> tuple:
    words = sorted(len(line["prompt"].split()) for line in lines)
    facts: Counter = Counter()
    for line in lines:
        for one in line["expect"].get("groups", []):
            facts.update(one.keys())
        facts.update(f for f in line["expect"] if f != "groups")
    kinds = {g["kind"] for line in lines for g in line["expect"].get("groups", [])}
    return (group, len(lines), words[len(words) // 2], len(kinds),
            *(facts[f] for f in (*GROUP_FIELDS, "place", "time", "camera", "relation", "event")))


def main() -> int:
    faults, rows = check(PROMPTS)
    heads = ("group", "prompts", "words", "kinds", *(f"{f}:" if f == "kind" else f for f in GROUP_FIELDS),
             "place", "time", "camera", "relation", "event")
    print("  ".join(f"{h:>8}" if i else f"{h:<16}" for i, h in enumerate(heads)))
    for row in rows:
        print("  ".join(f"{v:>8}" if i else f"{v:<16}" for i, v in enumerate(row)))
    events = Counter(line["expect"].get("event") for g in GROUPS for line in read_lines(PROMPTS / f"{g}.jsonl"))
    print("events:", ", ".join(f"{e} {events[e]}" for e in EVENTS))
    for fault in faults:
        print(fault, file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
