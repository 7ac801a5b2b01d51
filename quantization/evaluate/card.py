"""The model card, docs/SORAD_MINI.md, from what was measured. Nothing in it is written by hand but the sentences below.

    cd quantization && PYTHONPATH=training python -m evaluate.card --model models/sorad-mini.gguf --worker ../.build/release/sorad-worker \\
        --clips DIR [--proof proof.json] [--state training/state] --images ../docs/images -o ../docs/SORAD_MINI.md

DIR is what `evaluate.measure` and `evaluate.pictures` wrote (report.json, pictures.json); proof.json is what
`evaluate.judge.prove --json` wrote. The report must be of this model file: a clip's `model` and default steps are compared.
"""
from __future__ import annotations

import argparse
import json
import os
import subprocess
import textwrap
from pathlib import Path

from .words import table as vocabulary

NAMES = {
    "one_object": "one thing", "everyday": "everyday words", "capitals_typos": "capitals and typing slips", "long": "sentences of 30 to 80 words",
    "two_objects": "two things", "three_objects": "three things", "directions_sides": "directions and sides", "camera": "camera",
    "counts": "counts to four", "then": "one motion, then another", "chinese": "Chinese", "candle": "a candle is blown out",
    "chair": "a chair is set down", "hoop": "a ball through a hoop", "dogs": "dogs that run about", "held_out": "combinations never trained",
    "outside": "not about the world: a clean clip", "swaps": "both of two that differ in one exchange",
}
NEVER = [
    "people, animals other than dogs, things of a house other than lamps, chairs and candles; anything that the table of words does not name",
    "text in the picture, a likeness of anything that exists, photorealism, sound",
    "more than four things, or more than three kinds of them, in one clip",
    "languages other than English and Chinese",
    "a story: what is remembered from one window of a long clip to the next are its last frames",
]
WEAK = 0.5      # of a group's prompts: below it the card says that it cannot do that


def percent(value: float) -> str:
    return f"{100 * value:.0f}"


def marks(report: dict) -> list[str]:
    lines = ["| prompts | right in every statement | 95 % interval | how many | aim |", "|---|---|---|---|---|"]
    for name, words in NAMES.items():
        if name in report["strict"]:
            found = report["strict"][name]
            low, high = found["interval"]
            aim = f"{percent(found['wanted'])} %" if found.get("wanted") is not None else ""
            lines.append(f"| {words} | {percent(found['share'])} % | {percent(low)}–{percent(high)} % | {found['count']} | {aim} |")
    return lines


def statements(report: dict) -> str:
    return ", ".join(f"{name} {percent(found['share'])} %" for name, found in report["statements"].items() if name != "clean")


def cannot(report: dict) -> list[str]:
    weak = [f"{NAMES[name]}: right in {percent(found['share'])} %" for name, found in report["strict"].items()
            if name in NAMES and name not in ("outside", "swaps") and found["share"] < WEAK]
    return NEVER + weak


def prompt_list(clips: list[dict]) -> list[str]:
    """Each prompt with what was wrong, in the order of the picture's rows."""
    lines = []
    for clip in clips:
        wrong = [name.split(".")[-1] for name, right in clip["statements"].items() if not right]
        lines.append(f"- “{shortened(clip['prompt'])}”" + (f" (wrong: {', '.join(wrong)})" if wrong else ""))
    return lines


def shortened(prompt: str, most: int = 160) -> str:
    prompt = " ".join(prompt.split()).replace("|", "\\|").replace("<", "&lt;")
    return prompt if len(prompt) <= most else prompt[:most - 1] + "…"


def trained(state: Path) -> list[str]:
    """What the parts were trained for, by the state's own record."""
    facts = json.loads((state / "facts.json").read_text())
    lines = ["| part | steps | hours of two cores |", "|---|---|---|"]
    for file, known in facts.items():
        if isinstance(known, dict) and "state" in known:
            name, spent = file.removesuffix(".pt").replace("_", " "), known["state"].get("spent", 0) / 3600
            lines.append(f"| {name} | {known['state']['step']:,} | {spent:.1f} |")
    return lines


def wrapped(text: str, first: str = "", rest: str = "") -> str:
    return textwrap.fill(text, 100, initial_indent=first, subsequent_indent=rest, break_long_words=False, break_on_hyphens=False)


def matching(report: dict, info: dict) -> None:
    """Refuses a report of another model, or one at other steps than the model's own."""
    about = report["about"]
    for name, own in (("model", info["id"]), ("num_inference_steps", info["defaultNumInferenceSteps"]),
                      ("size", f"{info['defaultWidth']}x{info['defaultHeight']}")):
        if about.get(name) != own:
            raise SystemExit(f"the report is of clips with {name} {about.get(name)}, the model's is {own}: measure again, with no --field")


def card(info: dict, size: int, report: dict, pictures: dict, images: str, proof: dict | None, state: Path | None) -> str:
    clip = f"{info['defaultWidth']}×{info['defaultHeight']}, {info['defaultNumFrames']} frames at {info['fps']} a second"
    most = info["maxNumFrames"] // info["fps"]
    parts = [
        "# sorad-mini: model card",
        "<!-- Written by quantization/evaluate/card.py from measurements; do not edit. -->",
        "\n".join(["| | |", "|---|---|", f"| file | {size / 1e6:.1f} MB, checksum `{info['sha256']}`, {info['license']} |",
                   f"| clip | {clip}; up to {most} s in one request |",
                   f"| defaults | {info['defaultNumInferenceSteps']} steps, guidance {info['defaultGuidanceScale']:g} |",
                   f"| prompt | English and Chinese, {info.get('textLength', '?')} tokens |"]),
        "## Data and training",
        wrapped("No data set and no download: the model learned from clips that the recipe renders, with captions that the recipe writes. "
                "Nothing of a person or a work is in it. [quantization/README.md](../quantization/README.md) has the recipe and its commands.")]
    if state:
        parts.append("\n".join(trained(state)))
    parts += ["## Marks", wrapped(
        f"{len(report['clips'])} clips of the shipped file, made by the daemon with its defaults, one seed a prompt. A prompt counts as right when "
        "everything that it states is right in the whole clip, by the judge of `quantization/evaluate`; intervals are Wilson's. “Aim” is what "
        "was set before the training.")]
    if proof:
        parts.append(wrapped(
            f"The judge was tested on {proof['clips']} rendered clips that nothing learned from: {percent(proof['strict'])} % of their captions "
            "come out as right in everything; of single statements "
            + ", ".join(f"{name} {100 * found['true']:.1f} %" for name, found in proof.items() if isinstance(found, dict)) + "."))
    parts += ["\n".join(marks(report)), wrapped(f"By statement: {statements(report)}.")]
    if report["swaps"]:
        parts.append(wrapped(f"Of {report['swaps']['count']} pairs of prompts that differ in one exchange, {percent(report['swaps']['share'])} % give "
                             f"clips that differ plainly (below 20 dB). Steps at the borders of tokens: {report['border_ratio']:.2f} of those elsewhere."))
    parts += ["## Words", wrapped("The usual word, and in brackets some that mean the same. Case does not matter; other words change little or "
                                  "nothing, and sorad says which they are (`unknown_words`)."), vocabulary(),
              "## What it cannot do", "\n".join(wrapped(line, "- ", "  ") for line in cannot(report))]
    if pictures.get("best") or pictures.get("worst"):
        parts += ["## Best and worst", wrapped(
            "Drawn by a rule and not by eye: of each group one; the best follow most statements, of the worst the fewest are right.")]
        for name in ("best", "worst"):
            if pictures.get(name):
                parts += [f"![the {name} clips, frames 1, 5, 9, 13 and 17]({images}/mini-{name}.webp)", "\n".join(prompt_list(pictures[name]))]
    if pictures.get("editions"):
        parts += ["## The first edition and this one", wrapped("The same prompts and seeds, the first edition to the left, this one to the right; "
                                                               "the first prompt of each group."),
                  f"![clips of both editions side by side]({images}/mini-editions.webp)",
                  "\n".join(f"- “{shortened(pair['prompt'])}”" for pair in pictures["editions"])]
    return "\n\n".join(parts) + "\n"


def describe(worker: Path, model: Path) -> dict:
    run = subprocess.run([worker, "--model", model, "--describe"], capture_output=True, text=True)
    if run.returncode != 0:
        raise SystemExit(f"{model} cannot be described: {run.stderr.strip()}")
    return json.loads(run.stdout)


def main(given: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--worker", type=Path, required=True, help="the built sorad-worker")
    parser.add_argument("--clips", type=Path, required=True)
    parser.add_argument("--proof", type=Path)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args(given)
    info = describe(args.worker.resolve(), args.model)
    report = json.loads((args.clips / "report.json").read_text())
    matching(report, info)
    pictures = json.loads((args.clips / "pictures.json").read_text()) if (args.clips / "pictures.json").exists() else {}
    images = os.path.relpath(args.images, args.output.parent)
    proof = json.loads(args.proof.read_text()) if args.proof else None
    args.output.write_text(card(info, args.model.stat().st_size, report, pictures, images, proof, args.state), encoding="utf-8")


if __name__ == "__main__":
    main()
