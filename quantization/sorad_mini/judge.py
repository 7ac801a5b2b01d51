"""An automatic judge: a small classifier that says what a clip shows.

    python -m sorad_mini.judge --work DIR --minutes 8

Trained on rendered clips of one object, one in four passed through the autoencoder, so that blur does not mislead
it; validated on clips it never saw. Writes WORK/judge.pt. Invariant: it sees pixels only, never latents or captions.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import checkpoint
from .cache import load_trained
from .optimizer import Muon, schedule, split_parameters
from .pool import SHARD, shard_path
from .train_autoencoder import to_float
from .world import CAMERAS, COLOURS, MOTIONS, PLACES, SHAPES, TIMES, Scene, sample_scene

CLASSES = {"shape": SHAPES, "colour": COLOURS, "motion": MOTIONS, "place": PLACES, "time": TIMES, "camera": CAMERAS}


def truth(scene: Scene) -> list[int]:
    """Class numbers in CLASSES' order, of the first object."""
    thing = scene.things[0]
    values = (thing.shape, thing.colour, thing.motion, scene.place, scene.time, scene.camera)
    return [names.index(value) for names, value in zip(CLASSES.values(), values)]


def view(clip: Tensor) -> Tensor:
    """[N, 17, 3, H, W] to what the judge looks at: every other frame at 64 x 64, [N, 3, 9, 64, 64]."""
    small = F.interpolate(clip[:, ::2].flatten(0, 1), size=(64, 64), mode="area")
    return small.unflatten(0, (clip.shape[0], -1)).transpose(1, 2) - 0.5


class Judge(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        layers: list[nn.Module] = []
        for k, (a, b) in enumerate(zip(widths, widths[1:])):
            layers += [nn.Conv3d(a, b, 3, stride=(2 if k >= 2 else 1, 2, 2), padding=1), nn.GroupNorm(8, b), nn.GELU()]
        self.body = nn.Sequential(*layers)
        self.mix = nn.Sequential(nn.Linear(128 * 3 * 16, 256), nn.GELU(), nn.Dropout(0.2))
        self.heads = nn.ModuleList([nn.Linear(256, len(names)) for names in CLASSES.values()])

    def forward(self, seen: Tensor) -> list[Tensor]:
        """seen [N, 3, 9, 64, 64] to one row of logits per attribute."""
        x = self.body(seen)
        x = self.mix(x.flatten(1))
        return [head(x) for head in self.heads]


def examples(work: Path, limit: int) -> list[tuple[int, int]]:
    """(shard, row) of pool clips with one object."""
    found = []
    for shard in range(limit):
        if shard_path(work, shard).exists():
            found += [(shard, i) for i in range(SHARD)
                      if len(sample_scene("train", shard * SHARD + i).things) == 1]
    return found


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(6)
    judge, autoencoder = Judge(), load_trained(args.work)
    clips = examples(args.work, args.shards)
    seen, labels = prepare(args.work, clips, autoencoder)
    held = len(seen) // 20
    optimizer = Muon(split_parameters(judge), lr=args.lr, weight_decay=0.05)
    rng, began, step = np.random.default_rng(6), time.monotonic(), 0
    while (progress := (time.monotonic() - began) / (args.minutes * 60)) < 1:
        picks = torch.from_numpy(rng.integers(held, len(seen), args.batch))
        x = seen[picks].float().div(255) - 0.5
        x = x + 0.03 * torch.randn_like(x)
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            outs = judge(x)
        loss = sum(F.cross_entropy(out.float(), labels[picks, k], label_smoothing=0.05) for k, out in enumerate(outs))
        for group in optimizer.param_groups:
            group["lr"] = args.lr * schedule(progress, step)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        step += 1
        if step % 100 == 0:
            print(f"step {step} loss {loss.item():.3f}", flush=True)
    judge.eval()
    accuracy = {}
    with torch.no_grad():
        outs = judge(seen[:held].float().div(255) - 0.5)
        for k, name in enumerate(CLASSES):
            accuracy[name] = round(float((outs[k].argmax(1) == labels[:held, k]).float().mean()), 4)
    print("on clips never seen", accuracy, flush=True)
    checkpoint.save(args.work / "judge.pt", dict(model=judge.state_dict(), accuracy=accuracy))


@torch.no_grad()
def prepare(work: Path, clips: list[tuple[int, int]], autoencoder: nn.Module) -> tuple[Tensor, Tensor]:
    """All views, uint8 [M, 3, 9, 64, 64], and labels [M, 6]; every fourth clip as the autoencoder renders it."""
    views = torch.empty(len(clips), 3, 9, 64, 64, dtype=torch.uint8)
    labels = torch.empty(len(clips), len(CLASSES), dtype=torch.long)
    for k, (shard, row) in enumerate(clips):
        clip = to_float(np.array(np.load(shard_path(work, shard), mmap_mode="r")[row])[None])
        if k % 4 == 0:
            clip = autoencoder.decode(autoencoder.encode(clip)).clamp(0, 1)
        views[k] = ((view(clip)[0] + 0.5) * 255).round().byte()
        labels[k] = torch.tensor(truth(sample_scene("train", shard * SHARD + row)))
    return views, labels


def load_judge(work: Path) -> Judge:
    stored = checkpoint.load(work / "judge.pt")
    if stored is None:
        raise SystemExit(f"{work}/judge.pt is missing: run sorad_mini.judge first.")
    judge = Judge()
    judge.load_state_dict(stored["model"])
    return judge.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=8)
    parser.add_argument("--shards", type=int, default=40)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--bf16", action="store_true", help="bf16 products, where the CPU has them")
    parser.add_argument("--threads", type=int, default=1)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
