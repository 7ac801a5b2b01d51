"""Does a clip show what its prompt says? Adherence per attribute on held-out prompts, as JSON.

    python -m sorad_mini.evaluate --work DIR --prompts 64 [--model FOLDER | --socket PATH --ctl PROGRAM]

Prompts name one object of a combination that training never showed, its motion, the place and the time; the judge
looks at the decoded clips. Writes WORK/adherence.json and WORK/adherence.png. Invariant: an attribute counts only
where the prompt names it, and the judge's own accuracy on true clips stands beside each figure.
"""
from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch import Tensor

from . import checkpoint, text_encoder
from .autoencoder import load_autoencoder
from .captions import COLOUR_EN, PLACE_EN, SHAPE_EN, TIME_EN, motion_en
from .export import FLOW_SHIFT, GUIDANCE_SCALE, STEPS
from .judge import CLASSES, load_judge, truth, view
from .render import contact_sheet
from .sampler import sample
from .tokenizer import Tokenizer
from .transformer import Transformer, TransformerConfig
from .train_autoencoder import to_float
from .world import FRAMES, HEIGHT, WIDTH, Scene, sample_scene


def plain_prompt(scene: Scene) -> str:
    """A full, plain sentence: 'a red ball bounces on grass at night'."""
    rng = np.random.default_rng(0)
    thing = scene.things[0]
    words = [COLOUR_EN[thing.colour][0], SHAPE_EN[thing.shape][0]]
    noun = ("an " if words[0][0] in "aeiou" else "a ") + " ".join(words)
    return f"{noun} {motion_en(thing, scene.place, rng)[0]} {PLACE_EN[scene.place][0]} {TIME_EN[scene.time][0]}"


def held_out_scenes(count: int) -> list[Scene]:
    """The first `count` held-out scenes whose camera is still."""
    found, i = [], 0
    while len(found) < count:
        scene = sample_scene("heldout", i)
        if scene.camera == "still":
            found.append(scene)
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
def sampled(folder: Path, prompts: list[str], steps: int, guidance: float, shift: float) -> Iterator[Tensor]:
    """Clips [17, 3, H, W] in [0, 1] of an exported folder, in float, with PyTorch."""
    transformer, encoder, tokenizer, autoencoder, mean, std = load_exported(folder)
    empty = text_encoder.encode_texts(encoder, tokenizer, [""])
    for start in range(0, len(prompts), 16):
        batch = prompts[start:start + 16]
        context = text_encoder.encode_texts(encoder, tokenizer, batch)
        noise = torch.randn(len(batch), 48, 5, 8, 8, generator=torch.Generator().manual_seed(100 + start))
        made = sample(transformer, context, empty, noise, steps, shift, guidance)
        for z in (made * std.view(-1, 1, 1, 1) + mean.view(-1, 1, 1, 1)).transpose(1, 2):
            yield autoencoder.decode(z[None])[0].clamp(0, 1)


def served(program: str, socket: Path, prompts: list[str], steps: int, guidance: float,
           shift: float) -> Iterator[Tensor]:
    """The same from a running daemon: int8 inference, MP4 and all, as a user gets it."""
    for k, prompt in enumerate(prompts):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "clip.mp4"
            subprocess.run([program, "generate", prompt, "-o", file, "--socket", socket, "--quiet", "--seed",
                            str(100 + k), "--steps", str(steps), "--guidance", str(guidance), "--flow-shift",
                            str(shift)],
                           check=True, stdout=subprocess.DEVNULL)
            raw = subprocess.run(["ffmpeg", "-v", "error", "-i", file, "-f", "rawvideo", "-pix_fmt", "rgb24", "-"],
                                 check=True, capture_output=True).stdout
        yield to_float(np.frombuffer(raw, np.uint8).reshape(1, FRAMES, HEIGHT, WIDTH, 3).copy())[0]


@torch.no_grad()
def evaluate(work: Path, clips: Iterable[Tensor], scenes: list[Scene]) -> dict:
    """Share of the clips that show what their scene's plain prompt names, by attribute; `motions`: what was seen by
    what was asked for."""
    judge, hits, whole, seen = load_judge(work), {name: 0 for name in CLASSES if name != "camera"}, 0, []
    motions: dict[str, Counter] = {}
    for clip, scene in zip(clips, scenes):
        said = [int(out.argmax()) for out in judge(view(clip[None]))]
        right = {name: said[k] == truth(scene)[k] for k, name in enumerate(CLASSES)}
        for name in hits:
            hits[name] += right[name]
        motions.setdefault(scene.things[0].motion, Counter())[CLASSES["motion"][said[list(CLASSES).index("motion")]]] += 1
        whole += right["shape"] and right["colour"] and right["motion"]
        seen.append(clip.permute(0, 2, 3, 1).mul(255).byte().numpy())
    contact_sheet(seen[:24], str(work / "adherence.png"))
    return dict(prompts=len(seen), adherence={name: round(n / len(seen), 4) for name, n in hits.items()},
                shape_colour_and_motion=round(whole / len(seen), 4),
                motions={asked: dict(shown.most_common()) for asked, shown in sorted(motions.items())},
                judge_accuracy=checkpoint.load(work / "judge.pt")["accuracy"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--model", type=Path, help="an exported folder; WORK/export/sorad-mini by default")
    parser.add_argument("--socket", type=Path, help="of a daemon that shall make the clips")
    parser.add_argument("--ctl", default="sorad-ctl", help="the sorad-ctl program")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--guidance", type=float, default=GUIDANCE_SCALE)
    parser.add_argument("--shift", type=float, default=FLOW_SHIFT)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    scenes = held_out_scenes(args.prompts)
    prompts = [plain_prompt(scene) for scene in scenes]
    how = (args.steps, args.guidance, args.shift)
    if args.socket:
        clips = served(args.ctl, args.socket, prompts, *how)
    else:
        clips = sampled(args.model or args.work / "export" / "sorad-mini", prompts, *how)
    report = dict(engine="sorad" if args.socket else "float", steps=args.steps, guidance_scale=args.guidance,
                  flow_shift=args.shift, **evaluate(args.work, clips, scenes))
    (args.work / "adherence.txt").write_text("\n".join(prompts), encoding="utf-8")
    (args.work / "adherence.json").write_text(json.dumps(report, indent=2) + "\n")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
