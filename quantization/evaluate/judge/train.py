"""Trains the judge on rendered clips.

    cd quantization && PYTHONPATH=training python -m evaluate.judge.train --work DIR --minutes 60 [--threads 1]

Reads WORK/judge/*.npz (`examples`), all but the last shard, which is held out; writes WORK/judge.pt, resumable, and
with --output the weights alone as float16 safetensors. Clips are mirrored, blurred, made noisy and shifted in colour,
as what a model makes is.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional as F

from sorad_mini import checkpoint
from sorad_mini.optimizer import Muon, schedule, split_parameters
from sorad_mini.world import sample_scene

from .examples import SHARD, scene_number
from .names import CLIP_HEADS, THING_HEADS
from .network import Judge
from .targets import FIELDS, flip, loss_of, target_of

WEIGHTS = {"heat": 0.5, "numbers": 0.3, "then": 0.7}


def spoil(frames: Tensor, rng: np.random.Generator) -> Tensor:
    """frames [B, T, 3, H, W] as they might come from a model: each clip blurred, noisy, shifted in colour, or as it is."""
    out = []
    for clip in frames:
        if rng.random() < 0.5:
            small = F.interpolate(clip, scale_factor=float(rng.uniform(0.45, 0.9)), mode="bilinear", antialias=True)
            soft = F.interpolate(small, size=clip.shape[-2:], mode="bicubic")
            clip = torch.lerp(clip, soft, float(rng.uniform(0.4, 1)))
        if rng.random() < 0.4:
            grain = torch.from_numpy(rng.standard_normal(clip.shape, np.float32))
            if rng.random() < 0.5:
                grain = F.avg_pool2d(grain, 3, 1, 1) * 3
            clip = clip + grain * float(rng.uniform(0, 0.04))
        if rng.random() < 0.5:
            clip = (clip - 0.5) * float(rng.uniform(0.9, 1.1)) + 0.5 + float(rng.uniform(-0.04, 0.04))
            clip = clip + torch.from_numpy(rng.uniform(-0.02, 0.02, (3, 1, 1)).astype(np.float32))
        out.append(clip.clamp(0, 1))
    return torch.stack(out)


class Examples:
    """Batches of shards that are read one after the other, in an order of their own, clips shuffled within two."""

    def __init__(self, paths: list[Path], batch: int, rng: np.random.Generator) -> None:
        self.paths, self.batch, self.rng = paths, batch, rng

    def __iter__(self):
        while True:
            order = self.rng.permutation(len(self.paths))
            for pair in np.array_split(order, max(1, len(order) // 2)):
                shards = [(int(self.paths[k].stem), np.load(self.paths[k])) for k in pair]
                shards = [(number, {name: shard[name] for name in ("frames", "shown", "boxes")}) for number, shard in shards]
                places = self.rng.permutation([(s, i) for s in range(len(shards)) for i in range(SHARD)])
                for at in range(0, len(places) - self.batch + 1, self.batch):
                    yield collate([(shards[s][0], shards[s][1], i) for s, i in places[at:at + self.batch]])


def collate(picked: list) -> tuple[Tensor, dict[str, Tensor], list]:
    """(frames [B, T, 3, H, W], target, scenes) of (shard number, shard, index)."""
    scenes = [sample_scene("train", scene_number(number, int(i))) for number, _, i in picked]
    targets = [target_of(scene, shard["shown"][i], shard["boxes"][i]) for scene, (_, shard, i) in zip(scenes, picked)]
    frames = torch.from_numpy(np.stack([shard["frames"][i] for _, shard, i in picked])).permute(0, 1, 4, 2, 3).float() / 255
    target = {name: torch.from_numpy(np.stack([getattr(x, name) for x in targets])) for name in FIELDS}
    target["thing"] = target["thing"]
    return frames, dict(target, clip=torch.from_numpy(np.stack([x.clip for x in targets]))), scenes


@torch.no_grad()
def examine(model: Judge, path: Path, clips: int = 60) -> str:
    """Share of held-out statements that are right, at the cells of true centres."""
    model.eval()
    shard = np.load(path)
    shard = {name: shard[name] for name in ("frames", "shown", "boxes")}
    right: dict[str, list[float]] = {}
    for at in range(0, clips, 20):
        frames, target, _ = collate([(int(path.stem), shard, i) for i in range(at, at + 20)])
        with torch.autocast("cpu", torch.bfloat16):
            cells, clip = model(frames)
        centre = target["share"] == 1
        kinds = cells[0].argmax(2)[centre] == target["heat"].argmax(2)[centre]
        right.setdefault("kind", []).append(kinds.float().mean().item())
        for k, (name, logits) in enumerate(zip(THING_HEADS, cells[1:-1])):
            right.setdefault(name, []).append((logits.argmax(2) == target["thing"][:, k])[centre].float().mean().item())
        for k, (name, logits) in enumerate(zip(CLIP_HEADS, clip)):
            right.setdefault(name, []).append((logits.argmax(1) == target["clip"][:, k]).float().mean().item())
    model.train()
    return " ".join(f"{name} {100 * np.mean(values):.1f}" for name, values in right.items())


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(1)
    model, ema = Judge(), Judge()
    ema.load_state_dict(model.state_dict())
    optimizer = Muon(split_parameters(model, ("cells.2", "clip_heads", "stem.0", "place")), lr=args.lr, period=2,
                     weight_decay=0.01)
    state = dict(step=0, spent=0.0)
    if stored := checkpoint.load(args.work / "judge.pt"):
        model.load_state_dict(stored["model"])
        ema.load_state_dict(stored["ema"])
        optimizer.load_state_dict(stored["optimizer"])
        state = stored["state"]
    rng = np.random.default_rng([7, state["step"]])
    paths = sorted((args.work / "judge").glob("??????.npz"))
    began, saved, running = time.monotonic() - state["spent"], time.monotonic(), {}
    batches = iter(Examples(paths[:-1], args.batch, rng))
    while state["spent"] < args.minutes * 60:
        frames, target, _ = next(batches)
        if rng.random() < 0.5:
            frames, target = flip(frames, target)
        with torch.autocast("cpu", torch.bfloat16):
            cells, clip = model(spoil(frames, rng))
        losses = loss_of(cells, clip, target)
        loss = sum(WEIGHTS.get(name, 1.0) * value for name, value in losses.items())
        for group in optimizer.param_groups:
            group["lr"] = args.lr * schedule(state["spent"] / (args.minutes * 60), state["step"], decay=0.6)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 5.0)
        optimizer.step()
        state["step"] += 1
        state["spent"] = time.monotonic() - began
        keep = min(0.995, (1 + state["step"]) / (10 + state["step"]))
        with torch.no_grad():
            for a, b in zip(ema.state_dict().values(), model.state_dict().values()):
                a.lerp_(b, 1 - keep) if a.is_floating_point() else a.copy_(b)
        for name, value in losses.items():
            running[name] = 0.95 * running.get(name, value.item()) + 0.05 * value.item()
        if state["step"] % 25 == 0:
            print(f"step {state['step']} {state['spent']:.0f}s", " ".join(f"{k} {v:.3f}" for k, v in running.items()), flush=True)
        if time.monotonic() - saved > 240 or state["spent"] >= args.minutes * 60:
            saved = time.monotonic()
            print("held out:", examine(ema, paths[-1]), flush=True)
            checkpoint.save(args.work / "judge.pt", dict(model=model.state_dict(), ema=ema.state_dict(),
                                                         optimizer=optimizer.state_dict(), state=state))
    if args.output:
        save_file({k: (v.half() if v.is_floating_point() else v).contiguous() for k, v in ema.state_dict().items()
                   if "num_batches" not in k}, args.output)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--output", type=Path)
    train(parser.parse_args())


if __name__ == "__main__":
    main()
