"""Does a clip show what its prompt says? Adherence per attribute on held-out prompts, as JSON.

    python -m sorad_mini.evaluate --work DIR --prompts 64 [--model FOLDER]

Prompts name one object of a combination that training never showed, its motion, the place and the time; the judge
looks at the decoded clips. Writes WORK/adherence.json and WORK/adherence.png. Invariant: an attribute counts only
where the prompt names it, and the judge's own accuracy on true clips stands beside each figure.
"""
from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from . import checkpoint, text_encoder
from .autoencoder import load_autoencoder
from .captions import COLOUR_EN, PLACE_EN, SHAPE_EN, TIME_EN, motion_en
from .export import FLOW_SHIFT, GUIDANCE_SCALE, STEPS
from .judge import CLASSES, load_judge, truth, view
from .render import contact_sheet
from .sampler import sample
from .tokenizer import Tokenizer
from .transformer import Transformer, TransformerConfig
from .world import Scene, sample_scene


def plain_prompt(scene: Scene) -> str:
    """A full, plain sentence: 'a red ball bounces on grass at night'."""
    rng = np.random.default_rng(0)
    thing = scene.things[0]
    words = [COLOUR_EN[thing.colour][0], SHAPE_EN[thing.shape][0]]
    noun = ("an " if words[0][0] in "aeiou" else "a ") + " ".join(words)
    return f"{noun} {motion_en(thing, scene.place, rng)[0]} {PLACE_EN[scene.place][0]} {TIME_EN[scene.time][0]}"


def held_out_scenes(count: int) -> list[tuple[int, Scene]]:
    """The first `count` held-out scenes whose camera is still."""
    found, i = [], 0
    while len(found) < count:
        scene = sample_scene("heldout", i)
        if scene.camera == "still":
            found.append((i, scene))
        i += 1
    return found


def load_exported(folder: Path) -> tuple:
    from transformers import UMT5EncoderModel
    said = json.loads((folder / "transformer" / "config.json").read_text())
    fields = TransformerConfig.__dataclass_fields__
    transformer = Transformer(TransformerConfig(**{k: v for k, v in said.items() if k in fields})).eval()
    transformer.load_state_dict(load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors"))
    encoder = UMT5EncoderModel.from_pretrained(folder / "text_encoder").eval()
    return transformer, encoder, Tokenizer(folder / "tokenizer"), *load_autoencoder(folder / "vae")


@torch.no_grad()
def evaluate(work: Path, folder: Path, count: int, steps: int, guidance: float, shift: float) -> dict:
    transformer, encoder, tokenizer, autoencoder, mean, std = load_exported(folder)
    judge = load_judge(work)
    scenes = held_out_scenes(count)
    prompts = [plain_prompt(scene) for _, scene in scenes]
    empty = text_encoder.encode_texts(encoder, tokenizer, [""])
    hits = {name: 0 for name in CLASSES if name != "camera"}
    whole, clips = 0, []
    for start in range(0, count, 16):
        batch = scenes[start:start + 16]
        context = text_encoder.encode_texts(encoder, tokenizer, prompts[start:start + 16])
        noise = torch.randn(len(batch), 48, 5, 8, 8, generator=torch.Generator().manual_seed(100 + start))
        made = sample(transformer, context, empty, noise, steps, shift, guidance)
        raw = (made * std.view(-1, 1, 1, 1) + mean.view(-1, 1, 1, 1)).transpose(1, 2)
        pictures = torch.cat([autoencoder.decode(z[None]).clamp(0, 1) for z in raw])
        clips += [p.permute(0, 2, 3, 1).mul(255).byte().numpy() for p in pictures]
        said = [out.argmax(1).tolist() for out in judge(view(pictures))]
        for row, (_, scene) in enumerate(batch):
            wanted = truth(scene)
            right = {name: said[k][row] == wanted[k] for k, name in enumerate(CLASSES)}
            for name in hits:
                hits[name] += right[name]
            whole += right["shape"] and right["colour"] and right["motion"]
    contact_sheet(clips[:24], str(work / "adherence.png"))
    (work / "adherence.txt").write_text("\n".join(prompts), encoding="utf-8")
    accuracy = checkpoint.load(work / "judge.pt")["accuracy"]
    return dict(prompts=count, steps=steps, guidance_scale=guidance, flow_shift=shift,
                adherence={name: round(n / count, 4) for name, n in hits.items()},
                shape_colour_and_motion=round(whole / count, 4), judge_accuracy=accuracy)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--model", type=Path, help="an exported folder; WORK/export/sorad-mini by default")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE_SCALE)
    parser.add_argument("--shift", type=float, default=FLOW_SHIFT)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    folder = args.model or args.work / "export" / "sorad-mini"
    report = evaluate(args.work, folder, args.prompts, args.steps, args.guidance, args.shift)
    (args.work / "adherence.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
