"""Few steps and one pass a step: the student learns to do in one step what the guided teacher does in several.

    python -m sorad_mini.distill --work DIR --sizes 128x128 --steps 8 --minutes 60 --bf16

The teacher is the EMA of `train_transformer`, with classifier-free guidance. From a noised clip at one of the student's
own timesteps, the teacher walks to the student's next timestep in `--substeps` guided Euler steps; the student's target
is the mean velocity of that walk (Salimans and Ho 2022, arXiv 2202.00512; Meng et al. 2023, arXiv 2210.03142, for the
guidance). So the student needs no second pass and no smaller steps. Half of the walks begin at what the student itself
has made of noise, so that it also learns to come back from its own errors. Reads WORK/transformer.pt, writes
WORK/distilled.pt with the schedule that it was taught; resumable.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from . import checkpoint, text_encoder
from .optimizer import Muon, schedule, split_parameters
from .parallel import average_gradients, join
from .pool import parse_share, parse_size
from .sampler import sigmas, token_timesteps
from .tokenizer import Tokenizer
from .train_transformer import PLAIN, Model, Pool, known_frames, write_samples
from .transformer import TransformerConfig


def load_teacher(work: Path, vocabulary: int) -> Model:
    stored = checkpoint.load(work / "transformer.pt")
    if stored is None:
        raise SystemExit(f"{work}/transformer.pt is missing: run sorad_mini.train_transformer first")
    model = Model(vocabulary, TransformerConfig(**stored["config"]))
    model.load_state_dict(stored["ema"])
    return model.eval().requires_grad_(False)


def guided(model: Model, x: Tensor, timestep: Tensor, text: tuple[Tensor, Tensor], empty: tuple[Tensor, Tensor],
           guidance: float) -> Tensor:
    said = model.transformer(x, timestep, *text).float()
    plain = model.transformer(x, timestep, empty[0].expand(len(x), -1, -1), empty[1]).float()
    return plain + guidance * (said - plain)


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    rank, _ = join()
    tokenizer = Tokenizer(args.work / "tokenizer")
    teacher = load_teacher(args.work, len(tokenizer)).to(args.device)
    student = load_teacher(args.work, len(tokenizer)).to(args.device).train()
    student.transformer.requires_grad_(True)
    ema = load_teacher(args.work, len(tokenizer)).to(args.device)
    path, state = args.work / "distilled.pt", dict(step=0, spent=0.0)
    stored = checkpoint.load(path)
    if stored:
        student.load_state_dict(stored["model"])
        ema.load_state_dict(stored["ema"])
        state = stored["state"]
    optimizer = Muon(split_parameters(student.transformer, PLAIN), lr=args.lr, period=4)
    if stored and stored["optimizer"]:
        optimizer.load_state_dict(stored["optimizer"])
    pool, levels = Pool(args.work, args.sizes, args.batch), sigmas(args.steps, args.shift)
    empty_ids = torch.from_numpy(tokenizer.batch([""])).to(args.device)
    torch.manual_seed(1000 * state["step"] + rank)
    rng, running, last = np.random.default_rng([5, rank, state["step"]]), None, time.monotonic()
    parameters = list(student.transformer.parameters())
    began, batches = time.monotonic() - state["spent"], pool.batches(tokenizer, rng, state["step"], drop=0.0)
    while state["spent"] < args.minutes * 60:
        clean, _, _, ids, foreign, _ = next(batches)
        clean, ids = clean.to(args.device), ids.to(args.device)
        b, _, t, h, w = clean.shape
        # the same in all processes, which wait for each other
        common = np.random.default_rng([6, state["step"]])
        known = known_frames(b, t, common, foreign)
        keep = None if known is None else known.to(args.device)[:, None, :, None, None]
        at = int(common.integers(args.steps))

        def timesteps(level: float) -> Tensor:
            full = torch.full((b,), 1000.0 * level, device=args.device)
            return full if known is None else token_timesteps(full, known.to(args.device), (h // 2, w // 2))

        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            with torch.no_grad():
                text, empty = text_encoder.encode_folded(teacher.text, ids), text_encoder.encode_folded(teacher.text, empty_ids)
                noise = torch.randn_like(clean)
                x = clean + levels[at] * (noise - clean)
                if at and common.random() < 0.5:
                    # one step back on the schedule, and the student's own step to here
                    x = clean + levels[at - 1] * (noise - clean)
                    x = x if keep is None else torch.where(keep, clean, x)
                    x = x + (levels[at] - levels[at - 1]) * student.transformer(x, timesteps(float(levels[at - 1])), *text).float()
                x = x if keep is None else torch.where(keep, clean, x)
                walk, y = torch.linspace(float(levels[at]), float(levels[at + 1]), args.substeps + 1), x
                for now, later in zip(walk[:-1], walk[1:]):
                    y = y + (later - now) * guided(teacher, y, timesteps(float(now)), text, empty, args.guidance)
                    y = y if keep is None else torch.where(keep, clean, y)
                target = (y - x) / (levels[at + 1] - levels[at])
            velocity = student.transformer(x, timesteps(float(levels[at])), *text).float()
        error = (velocity - target).square()
        if keep is not None:
            error = error * ~keep
        loss = error.mean()
        factor = schedule(state["spent"] / (args.minutes * 60), state["step"])
        for group in optimizer.param_groups:
            group["lr"] = args.lr * factor
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state["spent"] = average_gradients(parameters, time.monotonic() - began)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        state["step"] += 1
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(student.parameters()), 0.005)
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if rank:
            continue
        if state["step"] % 50 == 0:
            print(f"step {state['step']} spent {state['spent']:.0f}s loss {running:.5f} lr {factor:.3f}", flush=True)
        if time.monotonic() - last > 200 or state["spent"] >= args.minutes * 60:
            last = time.monotonic()
            checkpoint.save(path, dict(model=student.state_dict(), ema=ema.state_dict(), optimizer=optimizer.state_dict(),
                                       config=student.transformer.config.__dict__, state=state,
                                       schedule=dict(steps=args.steps, shift=args.shift, guidance=1.0)))
    if rank:
        return
    write_samples(args.work / "distilled.png", ema, tokenizer, pool.sets[-1], args.work, steps=args.steps,
                  shift=args.shift, guidance=1.0)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--sizes", type=parse_share, nargs="+", default=[(parse_size("128x128"), 1.0)], metavar="WxH[:SHARE]")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--substeps", type=int, default=3, help="guided steps of the teacher in one of the student's")
    parser.add_argument("--guidance", type=float, default=3.0)
    parser.add_argument("--shift", type=float, default=3.0)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--lr", type=float, default=3e-4)
    parser.add_argument("--batch", type=int, default=32, help="clips of 64x64 in a step; fewer of larger ones")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
