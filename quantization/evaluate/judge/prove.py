"""Does the judge see what is there? Measured on the renderer's own clips, whose truth is known.

    cd quantization && PYTHONPATH=training python -m evaluate.judge.prove --clips 500 [--autoencoder DIR] [--shuffled]

Scenes and captions come from the split that prompts are judged with, which nothing learns from. For each statement of a
caption: how often the judge calls it right (it is), and how often it calls right what was exchanged (it is not). With
--autoencoder the clips go through the trained autoencoder of that training folder first. With --shuffled every clip is
judged by another clip's caption, which must come out at chance.
"""
from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch

from sorad_mini.captions import caption_with_facts
from sorad_mini.facts import Facts
from sorad_mini.render import render_clip
from sorad_mini.world import SPLITS, sample_scene

from ..vocabulary import GROUP_FIELDS, SCENE_FIELDS
from .network import SIDE
from .sight import SPAN, frames_of, load, see
from .verdict import judge

WEIGHTS = Path(__file__).with_name("judge.safetensors")


def expect_of(facts: Facts) -> dict:
    """The label of a caption's facts, as evaluate/README.md writes it."""
    groups = []
    for group in facts.groups:
        values = {name: getattr(group, name) for name in GROUP_FIELDS}
        groups.append({name: value for name, value in values.items() if value in GROUP_FIELDS[name]})
    expect: dict = {"groups": groups} if groups else {}
    for name in ("place", "time", "camera", "event"):
        if getattr(facts, name) is not None:
            expect[name] = getattr(facts, name)
    if facts.relation:
        expect["relation"] = list(facts.relation)
    if expect.get("event") in ("dogs_run", "chair_down", "through_hoop"):
        for group in groups:            # the event says how they move
            group.pop("motion", None)
    return expect


def exchanged(expect: dict, rng: np.random.Generator) -> dict[str, dict]:
    """For every statement the label in which it alone is another value."""
    out = {}
    for k, group in enumerate(expect.get("groups", [])):
        for name in group:
            others = [v for v in GROUP_FIELDS[name] if v != group[name]]
            changed = [dict(g) for g in expect["groups"]]
            changed[k][name] = others[rng.integers(len(others))]
            out[f"{k}.{name}"] = dict(expect, groups=changed)
    for name in ("place", "time", "camera", "event"):
        if name in expect:
            others = [v for v in SCENE_FIELDS[name] if v != expect[name]]
            out[name] = dict(expect, **{name: others[rng.integers(len(others))]})
    if "relation" in expect:
        name, a, b = expect["relation"]
        if name in ("left_of", "right_of", "in_front_of", "behind", "on_top_of"):
            out["relation"] = dict(expect, relation=[name, b, a])
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", type=Path, default=WEIGHTS)
    parser.add_argument("--clips", type=int, default=500)
    parser.add_argument("--start", type=int, default=0)
    parser.add_argument("--split", default="judge", choices=SPLITS)
    parser.add_argument("--autoencoder", type=Path, metavar="DIR")
    parser.add_argument("--shuffled", action="store_true")
    parser.add_argument("--misses", type=int, default=0, help="print so many clips that were misjudged")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    model, autoencoder = load(args.weights), None
    if args.autoencoder:
        from sorad_mini.cache import load_trained
        autoencoder = load_trained(args.autoencoder)
    true, false = defaultdict(list), defaultdict(list)
    strict, extras, missed = [], [], 0
    for i in range(args.start, args.start + args.clips):
        scene = sample_scene(args.split, i)
        told = sample_scene(args.split, i + 1) if args.shuffled else scene
        text, facts = caption_with_facts(told, np.random.default_rng(i), split="judge")
        expect = expect_of(facts)
        clip = render_clip(scene, SIDE, SIDE, SPAN)
        if autoencoder is not None:
            with torch.no_grad():
                x = torch.from_numpy(clip).permute(0, 3, 1, 2)[None].float() / 255
                clip = (autoencoder.decode(autoencoder.encode(x))[0].clamp(0, 1) * 255).byte().permute(0, 2, 3, 1).numpy()
        seen = see(model, [frames_of(clip)])[0]
        verdict = judge(expect, seen)
        for name, right in verdict.statements.items():
            true[name.split(".")[-1]].append(right)
        strict.append(verdict.strict)
        extras.append(verdict.extras)
        for name, other in exchanged(expect, np.random.default_rng(i)).items():
            false[name.split(".")[-1]].append(judge(other, seen).statements.get(name, True))
        if not verdict.strict and missed < args.misses:
            missed += 1
            wrong = [name for name, right in verdict.statements.items() if not right]
            print(f"{i}: {text!r}\n   wrong {wrong}; seen {seen.scene}")
            for t in seen.things:
                print(f"   {t.kind} {[t.says(h) for h in ('colour', 'size', 'motion', 'then', 'speed')]} "
                      f"x {t.mean('x'):.0f} y {t.mean('y'):.0f} in {len(t.sights)} frames, steady {t.steady}")
    print(f"{'statement':10} {'true ones called right':>24} {'false ones called right':>26}")
    for name in true:
        print(f"{name:10} {100 * np.mean(true[name]):>17.1f} of {len(true[name]):4} {100 * np.mean(false[name] or [0]):>19.1f} of {len(false[name]):4}")
    print(f"whole captions {100 * np.mean(strict):.1f} % of {len(strict)}")
    if args.json:
        args.json.write_text(json.dumps({"strict": float(np.mean(strict)), "clips": len(strict), **{
            name: {"true": float(np.mean(true[name])), "false": float(np.mean(false[name] or [0])), "count": len(true[name])}
            for name in true}}, indent=1) + "\n")


if __name__ == "__main__":
    main()
