"""Judges the clips that `evaluate.client` made.

    cd quantization && PYTHONPATH=training python -m evaluate.judge.report CLIPS [--json FILE] [--sheet FILE --worst 24]

Reads CLIPS/manifest.jsonl and its videos. Prints for each group of prompts the share that is followed strictly with its
95 % interval and the share that is wanted, and the share of each kind of statement. Prompts that state nothing are judged
for being clean: a thing or a place is seen and nothing is noise. Pairs of `swaps` are compared with each other: below
20 dB they differ plainly. --json writes all of it, with what was seen in every clip, for `pictures` and `evaluate.card`.
"""
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from .measures import border_ratio, psnr, roughness, wilson
from .network import Judge
from .prove import WEIGHTS
from .sight import Seen, frames_of, load, read_clip, see
from .verdict import judge

ROUGHEST = 30.0         # of 2,000 rendered clips none has more
SAME = 20.0             # dB
# The share of a group's prompts that must be followed strictly, percent.
WANTED = {"one_object": 92, "everyday": 85, "capitals_typos": 85, "long": 75, "two_objects": 70, "three_objects": 45,
          "directions_sides": 95, "camera": 80, "counts": 70, "then": 50, "candle": 60, "chair": 60, "hoop": 60, "dogs": 60,
          "outside": 100, "swaps": None}
# These may lie so many points below plain prompts with as many things.
NEAR = {"chinese": 5, "held_out": 8}
PLAIN = ("one_object", "two_objects", "three_objects")


def last_lines(folder: Path) -> list[dict]:
    """The last line of every key of the manifest that is completed."""
    lines: dict[str, dict] = {}
    for text in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        lines[line["key"]] = line
    return [line for line in lines.values() if line["status"] == "completed"]


def describe(seen: Seen) -> str:
    things = ", ".join(f"{t.says('colour')} {t.kind} {t.says('motion')}" for t in seen.things if t.steady)
    return f"{things or 'nothing'} | {' '.join(seen.scene.values())}"


def judged(line: dict, clip: np.ndarray, model: Judge) -> dict:
    """What the report says of one clip: a line of the manifest and its frames."""
    seen = see(model, [frames_of(clip)])[0]
    found = {name: line[name] for name in ("file", "group", "prompt", "seed")}
    found |= {"things": len(line["expect"].get("groups", [])), "border": border_ratio(clip), "roughness": roughness(clip)}
    if line["expect"]:
        verdict = judge(line["expect"], seen)
        statements, found["extras"] = verdict.statements, verdict.extras
    else:
        statements, found["extras"] = {"clean": found["roughness"] < ROUGHEST and any(t.steady for t in seen.things)}, 0
    return found | {"strict": all(statements.values()), "statements": statements, "seen": describe(seen)}


def share(right: list[bool]) -> dict:
    return {"share": sum(right) / len(right), "interval": wilson(sum(right), len(right)), "count": len(right)}


def plain_share(clips: list[dict], group: str) -> float | None:
    """The share of plain prompts that are followed, as if they had as many things as the group's; None where some are missing."""
    strict = defaultdict(list)
    for clip in clips:
        if clip["group"] in PLAIN:
            strict[PLAIN.index(clip["group"]) + 1].append(clip["strict"])
    things = [min(max(clip["things"], 1), 3) for clip in clips if clip["group"] == group]
    return float(np.mean([np.mean(strict[n]) for n in things])) if all(n in strict for n in things) else None


def examine(folder: Path, model: Judge) -> dict:
    """The whole report, as --json writes it."""
    clips, pairs, about = [], defaultdict(dict), {}
    for line in last_lines(folder):
        frames = read_clip(folder / line["file"])
        if line.get("side"):
            pairs[(line["line"], line["seed"])][line["side"]] = frames
        clips.append(judged(line, frames, model))
        video = line.get("video", {})
        about = {name: video[name] for name in ("model", "size", "num_frames", "num_inference_steps", "guidance_scale") if name in video}
    groups, single = defaultdict(list), defaultdict(list)
    for clip in clips:
        groups[clip["group"]].append(clip["strict"])
        for name, one in clip["statements"].items():
            single[name.split(".")[-1]].append(one)
    strict = {name: share(right) for name, right in groups.items()}
    for name, row in strict.items():
        plain = plain_share(clips, name) if name in NEAR else None
        wanted = WANTED.get(name) if plain is None else max(0.0, 100 * plain - NEAR[name])
        row |= {"wanted": None if wanted is None else wanted / 100,
                "extras": float(np.mean([clip["extras"] for clip in clips if clip["group"] == name]))}
    both = [psnr(p["a"], p["b"]) for p in pairs.values() if len(p) == 2]
    swaps = share([value < SAME for value in both]) | {"median": float(min(np.median(both), 99))} if both else None
    return {"about": about, "strict": strict, "statements": {name: share(right) for name, right in single.items()}, "swaps": swaps,
            "border_ratio": float(np.mean([clip["border"] for clip in clips])), "clips": clips}


def row(name: str, found: dict) -> str:
    low, high = found["interval"]
    text = f"{name:18} {100 * found['share']:6.1f} %   {100 * low:5.1f} to {100 * high:5.1f}   of {found['count']:4}"
    wanted = found.get("wanted")
    if wanted is None:
        return text
    holds = "holds" if low >= wanted else "fails" if high < wanted else "holds, but for chance" if found["share"] >= wanted else "fails, but for chance"
    return f"{text}   wanted {100 * wanted:5.1f}: {holds}"


def table(report: dict) -> str:
    """The report for a reader."""
    order = [*WANTED, *NEAR]
    names = sorted(report["strict"], key=lambda name: order.index(name) if name in order else len(order))
    lines = ["group               strict    95 % interval"]
    lines += [row(name, report["strict"][name]) for name in names]
    lines += ["", "statement"] + [row(name, found) for name, found in report["statements"].items()] + [""]
    if report["swaps"]:
        lines.append(row(f"swaps below {SAME:.0f} dB", report["swaps"] | {"wanted": 0.95}) + f"; median {report['swaps']['median']:.1f} dB")
    lines.append(f"border ratio {report['border_ratio']:.3f}, wanted 1.15 at most")
    return "\n".join(lines)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="a contact sheet of clips that fail")
    parser.add_argument("--worst", type=int, default=24, help="how many that fail are printed, and are in the sheet")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args(given)
    torch.set_num_threads(args.threads)
    report = examine(args.clips, load(args.weights))
    print(table(report))
    failed = [clip for clip in report["clips"] if not clip["strict"]][:args.worst]
    for clip in failed:
        wrong = [name for name, right in clip["statements"].items() if not right]
        print(f"- {clip['prompt'][:150]!r}: {', '.join(wrong)}; seen {clip['seen']}")
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if args.sheet and failed:
        from sorad_mini.render import contact_sheet
        contact_sheet([read_clip(args.clips / clip["file"]) for clip in failed], str(args.sheet))


if __name__ == "__main__":
    main()
