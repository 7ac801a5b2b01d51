"""The whole table from a running server: makes a clip for every prompt, and judges them.

    cd quantization && PYTHONPATH=training python -m evaluate.measure --socket /run/sorad/sorad.sock --out DIR [--limit 5] [--field NAME=VALUE]

Clips and manifest.jsonl go to DIR, the report to DIR/report.json (`judge.report` says what is in it). Takes the options of
`evaluate.client` and --weights, the judge's; --prompts is by default all of prompts/. A second run makes only what is
missing. Each job is deleted on the server once its clip is here.
"""
from __future__ import annotations

import argparse
import sys
from pathlib import Path

from . import client

PROMPTS = Path(__file__).with_name("prompts")


def main(given: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--out", type=Path, required=True, metavar="DIR")
    parser.add_argument("--prompts", nargs="+", metavar="FILE")
    parser.add_argument("--weights", type=Path, metavar="FILE")
    parser.add_argument("--threads", default="1", help="of the judge")
    args, others = parser.parse_known_args(given)
    prompts = args.prompts or [str(path) for path in sorted(PROMPTS.glob("*.jsonl"))]
    failed = client.main([*others, "--delete", "--out", str(args.out), "--prompts", *prompts])
    if failed > 1 or not (args.out / "manifest.jsonl").exists():
        return failed
    # Only now: the client alone needs neither PyTorch nor the training's modules.
    from .judge import report
    weights = ["--weights", str(args.weights)] if args.weights else []
    report.main([str(args.out), "--json", str(args.out / "report.json"), "--worst", "0", "--threads", args.threads, *weights])
    return failed


if __name__ == "__main__":
    sys.exit(main())
