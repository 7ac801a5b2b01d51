"""Trains the autoencoder, encoder and decoder together, from the linear code that `fit_encoder` writes.

    python -m sorad_mini.train_autoencoder --work DIR --minutes 120 --bf16

Reads WORK/clips (grow it with `sorad_mini.pool`), writes WORK/autoencoder.pt; stopped at any moment it continues from
there. The linear path (every layer outside the MemBlocks) learns slowly and in float32: a tenth of a percent of its
strong components is as large as a faint one. `--freeze-encoder` trains the decoder alone and leaves every bit of the
encoder, so that cached latents stay valid; it also takes a decoder of fewer MemBlocks and lets it grow.
"""
from __future__ import annotations

import argparse
import copy
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import checkpoint
from .autoencoder import Autoencoder, AutoencoderConfig, grown
from .losses import evaluate, reconstruction_loss, to_float
from .optimizer import Muon, schedule
from .pool import Pool, parse_share
from .render import render_clip
from .world import sample_scene

LATENT_NOISE = 0.04
LATENT_LIMIT = 2.5


def random_crop(clip: np.ndarray, frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """A crop [frames, size, size, 3] of a clip [F, H, W, 3], three times in four around something that moves."""
    start = int(rng.integers(0, clip.shape[0] - frames + 1))
    clip = clip[start:start + frames]
    height, width = clip.shape[1] - size, clip.shape[2] - size
    if not height and not width:
        return clip
    y, x = int(rng.integers(0, height + 1)), int(rng.integers(0, width + 1))
    if rng.random() < 0.75:
        first, middle, last = (clip[f, ::4, ::4].astype(np.int16) for f in (0, frames // 2, -1))
        moved = np.maximum(np.abs(first - last), np.abs(first - middle)).max(-1)
        rows, columns = np.nonzero(moved > 40)
        if len(rows):
            k = rng.integers(len(rows))
            y = int(np.clip(4 * rows[k] - size // 2 + rng.integers(-16, 17), 0, height))
            x = int(np.clip(4 * columns[k] - size // 2 + rng.integers(-16, 17), 0, width))
    return clip[:, y:y + size, x:x + size]


def groups(model: Autoencoder, linear: float) -> list[dict]:
    """MemBlocks' matrices for Muon, everything else for AdamW at `linear` times the rate."""
    memory, path = [], []
    for half in (model.encoder, model.decoder):
        for name, p in half.named_parameters():
            if p.requires_grad:
                is_memory = ".conv.0." in name or ".conv.2." in name or ".conv.4." in name
                (memory if is_memory and p.ndim == 4 else path).append(p)
    return [dict(params=memory, muon=True, scale=1.0), dict(params=path, muon=False, scale=linear)]


def save(path: Path, model: Autoencoder, ema: Autoencoder, optimizer: Muon, state: dict, frozen: bool) -> None:
    checkpoint.save(path, dict(model=model.state_dict(), ema=ema.state_dict(), config=asdict(model.config),
                               optimizer=optimizer.state_dict(), state=state, frozen=frozen))


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    path = args.work / "autoencoder.pt"
    stored = checkpoint.load(path)
    if stored is None:
        raise SystemExit(f"{path} does not exist: run sorad_mini.fit_encoder first")
    torch.manual_seed(1)
    model, ema = (Autoencoder(AutoencoderConfig(**stored["config"])) for _ in range(2))
    model.load_state_dict(stored["model"])
    ema.load_state_dict(stored.get("ema", stored["model"]))
    grows = args.freeze_encoder and model.config != AutoencoderConfig()
    if grows:
        model.load_state_dict(ema.state_dict())
        model = grown(model, AutoencoderConfig())
        ema = copy.deepcopy(model)
    model, ema = model.to(args.device), ema.to(args.device).requires_grad_(False)
    state = stored["state"]
    if args.freeze_encoder:
        model.encoder.load_state_dict(ema.encoder.state_dict())
        model.encoder.requires_grad_(False)
    optimizer = Muon(groups(model, args.linear), lr=args.lr, period=2)
    if args.restart_schedule:
        state["spent"] = 0.0
    if stored["optimizer"] and stored["frozen"] == args.freeze_encoder and not grows:
        optimizer.load_state_dict(stored["optimizer"])
    pools = [Pool(args.work, size) for size, _ in args.sizes]
    shares = np.array([share for _, share in args.sizes])
    shares = shares / shares.sum()
    held = to_float(np.stack([render_clip(sample_scene("heldout", i)) for i in range(16)])).to(args.device)
    rng = np.random.default_rng(state["step"])
    began, last_save, last_eval, running = time.monotonic() - state["spent"], time.monotonic(), 0.0, None
    while state["spent"] < args.minutes * 60:
        progress = state["spent"] / (args.minutes * 60)
        frames, size, batch = (17, 64, args.batch // 2) if rng.random() < 0.35 else (9, 64, args.batch)
        from_pools = [pools[k] for k in rng.choice(len(pools), size=batch, p=shares)]
        clip = np.stack([random_crop(pool[int(rng.integers(len(pool)))], frames, size, rng) for pool in from_pools])
        clip = to_float(clip[:, :, :, ::-1].copy() if rng.random() < 0.5 else clip).to(args.device)
        factor = schedule(progress, state["step"], decay=args.decay)
        for group, scale in zip(optimizer.param_groups, (1.0, args.linear)):
            group["lr"] = args.lr * factor * scale
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            with torch.set_grad_enabled(not args.freeze_encoder):
                latent = model.encode(clip)
            made = model.decode(latent + LATENT_NOISE * torch.randn_like(latent))
        loss = reconstruction_loss(made, clip) + 1e-2 * F.relu(latent.abs() - LATENT_LIMIT).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state["step"] += 1
        state["clips"] += batch * frames * size * size / (17 * 128 * 128)
        keep = min(0.998, (1 + state["step"]) / (10 + state["step"]))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - keep)
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        now = time.monotonic()
        state["spent"] = now - began
        if state["step"] % 25 == 0:
            print(f"step {state['step']} spent {state['spent']:.0f}s clips {state['clips']:.0f} of {sum(pool.refresh() for pool in pools)} "
                  f"loss {running:.5f} lr {factor:.3f}", flush=True)
        if now - last_save > 150:
            save(path, model, ema, optimizer, state, args.freeze_encoder)
            last_save = time.monotonic()
        if now - last_eval > args.eval_every:
            print("held out", evaluate(ema, held, args.work / f"autoencoder-{state['step']:06d}.png"), flush=True)
            last_eval = time.monotonic()
    save(path, model, ema, optimizer, state, args.freeze_encoder)
    print("held out", evaluate(ema, held, args.work / f"autoencoder-{state['step']:06d}.png"), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--sizes", type=parse_share, nargs="+", default=[((128, 128), 1.0)], metavar="WxH[:SHARE]")
    parser.add_argument("--minutes", type=float, default=120, help="of this schedule, earlier runs counted in")
    parser.add_argument("--lr", type=float, default=1e-3, help="of the MemBlocks")
    parser.add_argument("--linear", type=float, default=0.1, help="rate of the linear path, as a share of --lr")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--decay", type=float, default=0.5, help="last share of the run in which the rate falls")
    parser.add_argument("--freeze-encoder", action="store_true")
    parser.add_argument("--restart-schedule", action="store_true")
    parser.add_argument("--eval-every", type=float, default=900, help="seconds")
    parser.add_argument("--bf16", action="store_true", help="bf16 products: faster where the CPU or GPU has them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
