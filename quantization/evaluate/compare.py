"""What changes between two reports of the same prompts and seeds: int8 and float, few steps and 32, two editions.

    cd quantization && python -m evaluate.compare BASE/report.json OTHER/report.json [--within 1]

Pairs clips by prompt, group and seed. Prints for each group and for all the difference of the strictly followed share in
points with its 95 % interval (normal, of the paired differences). With --within N the status is 1 when all together fall
by more than N points. Standard library only.
"""
from __future__ import annotations

import argparse
import json
import math
import sys
from collections import defaultdict
from pathlib import Path


def key(clip: dict) -> tuple:
    return clip["group"], clip["prompt"], clip["seed"]


def difference(pairs: list[tuple[bool, bool]]) -> tuple[float, float]:
    """Points by which the second is right more often, and half of the 95 % interval's width."""
    values = [int(b) - int(a) for a, b in pairs]
    mean = sum(values) / len(values)
    variance = sum((v - mean) ** 2 for v in values) / max(1, len(values) - 1)
    return 100 * mean, 100 * 1.96 * math.sqrt(variance / len(values))


def paired(base: dict, other: dict) -> dict[str, list[tuple[bool, bool]]]:
    first = {key(clip): clip["strict"] for clip in base["clips"]}
    pairs = defaultdict(list)
    for clip in other["clips"]:
        if key(clip) in first:
            pairs[clip["group"]].append((first[key(clip)], clip["strict"]))
    return dict(pairs)


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("base", type=Path)
    parser.add_argument("other", type=Path)
    parser.add_argument("--within", type=float, metavar="POINTS")
    args = parser.parse_args(given)
    pairs = paired(*(json.loads(path.read_text()) for path in (args.base, args.other)))
    if not pairs:
        raise SystemExit("the reports have no clip in common: make both with the same prompts and seeds")
    together = [pair for group in pairs.values() for pair in group]
    for name, some in [*pairs.items(), ("all", together)]:
        points, half = difference(some)
        print(f"{name:18} {points:+6.1f} points   {points - half:+6.1f} to {points + half:+6.1f}   of {len(some):4}")
    return int(args.within is not None and difference(together)[0] < -args.within)


if __name__ == "__main__":
    sys.exit(main())
