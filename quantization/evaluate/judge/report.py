"""Judges the clips that `evaluate.client` made.

    cd quantization && PYTHONPATH=training python -m evaluate.judge.report CLIPS [--json FILE] [--sheet FILE --worst 24]

Reads CLIPS/manifest.jsonl and its videos. Prints for each group of prompts the share that is followed strictly with its
95 % interval, and the share of each kind of statement. Prompts that state nothing are judged for being clean: a thing or
a place is seen and nothing is noise. Pairs of `swaps` are compared with each other: below 20 dB they differ plainly.
"""
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from .measures import border_ratio, psnr, roughness, wilson
from .prove import WEIGHTS
from .sight import Seen, frames_of, load, read_clip, see
from .verdict import judge

ROUGHEST = 30.0         # of 2,000 rendered clips none has more
SAME = 20.0             # dB


def last_lines(folder: Path) -> list[dict]:
    """The last line of every key of the manifest that is completed."""
    lines: dict[str, dict] = {}
    for text in (folder / "manifest.jsonl").read_text(encoding="utf-8").splitlines():
        line = json.loads(text)
        lines[line["key"]] = line
    return [line for line in lines.values() if line["status"] == "completed"]


def row(name: str, right: list[bool]) -> str:
    low, high = wilson(sum(right), len(right))
    return f"{name:24} {100 * np.mean(right):6.1f} %   {100 * low:5.1f} to {100 * high:5.1f}   of {len(right)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--sheet", type=Path, help="a contact sheet of clips that fail")
    parser.add_argument("--worst", type=int, default=24)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model = load(args.weights)
    strict, single, failed = defaultdict(list), defaultdict(list), []
    extras, borders, pairs = defaultdict(list), [], defaultdict(dict)
    for line in last_lines(args.clips):
        clip = read_clip(args.clips / line["file"])
        seen = see(model, [frames_of(clip)])[0]
        borders.append(border_ratio(clip))
        if line.get("side"):
            pairs[(line["line"], line["seed"])][line["side"]] = clip
        if line["expect"]:
            verdict = judge(line["expect"], seen)
            right = verdict.strict
            extras[line["group"]].append(verdict.extras)
            for name, one in verdict.statements.items():
                single[name.split(".")[-1]].append(one)
            wrong = [name for name, one in verdict.statements.items() if not one]
        else:
            right = roughness(clip) < ROUGHEST and any(t.steady for t in seen.things)
            wrong = ["clean"]
        strict[line["group"]].append(right)
        if not right:
            failed.append((line["prompt"], wrong, describe(seen), clip))
    print("group                    strict     95 % interval")
    for name, right in strict.items():
        print(row(name, right), f"  things nobody asked for {np.mean(extras[name] or [0]):.2f}")
    print("\nstatement")
    for name, right in single.items():
        print(row(name, right))
    both = [psnr(p["a"], p["b"]) for p in pairs.values() if len(p) == 2]
    if both:
        print(f"\nswaps below {SAME:.0f} dB: {100 * np.mean(np.array(both) < SAME):.1f} % of {len(both)}, median {np.median(both):.1f} dB")
    print(f"border ratio {np.mean(borders):.3f}")
    for prompt, wrong, saw, _ in failed[:args.worst]:
        print(f"- {prompt[:150]!r}: {', '.join(wrong)}; seen {saw}")
    if args.json:
        args.json.write_text(json.dumps({
            "strict": {n: {"share": float(np.mean(r)), "interval": wilson(sum(r), len(r)), "count": len(r)} for n, r in strict.items()},
            "statements": {n: {"share": float(np.mean(r)), "count": len(r)} for n, r in single.items()},
            "swaps_below": float(np.mean(np.array(both) < SAME)) if both else None, "border_ratio": float(np.mean(borders))},
            indent=1) + "\n")
    if args.sheet and failed:
        from sorad_mini.render import contact_sheet
        contact_sheet([f[3] for f in failed[:args.worst]], str(args.sheet))


def describe(seen: Seen) -> str:
    things = ", ".join(f"{t.says('colour')} {t.kind} {t.says('motion')}" for t in seen.things if t.steady)
    return f"{things or 'nothing'} | {' '.join(seen.scene.values())}"


if __name__ == "__main__":
    main()
