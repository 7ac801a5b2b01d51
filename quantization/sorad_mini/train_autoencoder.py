"""Trains the autoencoder on crops that move, then on whole clips.

    python -m sorad_mini.train_autoencoder --work DIR --minutes 50 --freeze-encoder --light-minutes 8

Reads WORK/clips (grow it with `sorad_mini.pool`), writes WORK/autoencoder.pt; stopped at any moment it goes on from
there. Invariant: with `--freeze-encoder` the encoder's bits never change, so that cached latents stay valid.
"""
from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import checkpoint
from .autoencoder import Autoencoder, AutoencoderConfig, MemBlock
from .light import open_blocks, prepare_decoder
from .optimizer import Muon, schedule, split_parameters
from .pool import Pool
from .render import contact_sheet, render_clip
from .world import sample_scene

CROP = 64
LATENT_NOISE = 0.03


def to_float(clips: np.ndarray) -> Tensor:
    """uint8 [N, F, H, W, 3] to float [N, F, 3, H, W] in [0, 1]."""
    return torch.from_numpy(clips).permute(0, 1, 4, 2, 3).float().div_(255)


def random_crop(clip: np.ndarray, frames: int, size: int, rng: np.random.Generator) -> np.ndarray:
    """A crop [frames, size, size, 3] of a clip [F, H, W, 3], three times in four around something that moves."""
    start = 4 * int(rng.integers(0, (clip.shape[0] - frames) // 4 + 1))
    clip = clip[start:start + frames]
    limit = clip.shape[1] - size
    if limit == 0:
        return clip
    y, x = rng.integers(0, limit + 1, 2)
    if rng.random() < 0.75:
        moved = np.abs(clip[0, ::4, ::4].astype(np.int16) - clip[-1, ::4, ::4]).max(-1)
        moved = np.maximum(moved, np.abs(clip[0, ::4, ::4].astype(np.int16) - clip[frames // 2, ::4, ::4]).max(-1))
        rows, columns = np.nonzero(moved > 40)
        if len(rows):
            k = rng.integers(len(rows))
            y = np.clip(4 * rows[k] - size // 2 + rng.integers(-16, 17), 0, limit)
            x = np.clip(4 * columns[k] - size // 2 + rng.integers(-16, 17), 0, limit)
    return clip[:, y:y + size, x:x + size]


def motion_mask(clip: Tensor, threshold: float = 0.04) -> Tensor:
    """[N, F, 3, H, W] to {0, 1} [N, F, 1, H, W]: pixels that changed since the frame before, widened by one."""
    change = (clip[:, 1:] - clip[:, :-1]).abs().amax(2, keepdim=True)
    change = torch.cat([change[:, :1], change], 1).flatten(0, 1)
    return (F.max_pool2d(change, 3, 1, 1) > threshold).float().reshape(clip.shape[0], -1, 1, *clip.shape[-2:])


def reconstruction_loss(made: Tensor, clip: Tensor) -> Tensor:
    """Charbonnier loss that weighs moving pixels six times, plus its spatial gradients."""
    weight = 1 + 5 * motion_mask(clip)
    error = made - clip
    pixel = ((error.square() + 4e-4).sqrt() * weight).mean() / weight.mean()
    dx, dy = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    return pixel + 0.5 * (dx.abs().mean() + dy.abs().mean())


def psnr(error: Tensor, mask: Tensor | None = None) -> float:
    square = error.square().mean(2, keepdim=True)
    mean = square.mean() if mask is None else (square * mask).sum() / mask.sum().clamp_min(1)
    return float(-10 * torch.log10(mean))


@torch.no_grad()
def evaluate(model: Autoencoder, clips: Tensor, sheet: Path | None = None) -> dict[str, float]:
    """PSNR in dB over whole pictures and where things move, and the latents' spread, on clips [N, F, 3, H, W]."""
    latents = [model.encode(c[None]) for c in clips]
    made = torch.cat([model.decode(z).clamp(0, 1) for z in latents])
    if sheet is not None:
        both = torch.cat([clips, made], dim=-1)[:16]
        contact_sheet([c.permute(0, 2, 3, 1).mul(255).byte().numpy() for c in both], str(sheet), columns=1)
    z = torch.cat(latents)
    return dict(psnr=round(psnr(made - clips), 2), moving=round(psnr(made - clips, motion_mask(clips)), 2),
                first=round(psnr(made[:, :1] - clips[:, :1]), 2), latent_std=round(float(z.std()), 3))


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    path = args.work / "autoencoder.pt"
    stored = checkpoint.load(path)
    config = AutoencoderConfig(**stored["config"]) if stored else AutoencoderConfig()
    torch.manual_seed(1)
    model = Autoencoder(config).to(args.device)
    model.initialise()
    state = dict(step=0, clips=0.0, spent=0.0, opened=False)
    if stored:
        model.load_state_dict(stored["model"])
        state.update(stored["state"])
    if args.freeze_encoder:
        model.encoder.requires_grad_(False)
    optimizer = Muon(split_parameters(model, ("encoder.0.", "decoder.22.")), lr=args.lr, period=2)
    if args.restart_schedule:
        state["spent"] = 0.0
    elif stored and stored["frozen"] == args.freeze_encoder:
        optimizer.load_state_dict(stored["optimizer"])
    pool = Pool(args.work)
    held = to_float(np.stack([render_clip(sample_scene("heldout", i)) for i in range(16)])).to(args.device)
    rng = np.random.default_rng(state["step"])
    sample = to_float(np.stack([pool[i] for i in range(8)])).to(args.device)
    if state["step"] == 0 and args.light_minutes:
        prepare_decoder(model, model.encode(sample))
    began, last_save, last_eval = time.monotonic() - state["spent"], time.monotonic(), 0.0
    while state["spent"] < args.minutes * 60:
        MemBlock.light = state["spent"] < args.light_minutes * 60
        if args.light_minutes and not MemBlock.light and not state["opened"]:
            open_blocks(model, model.encode(sample))
            state["opened"] = True
        progress = state["spent"] / (args.minutes * 60)
        whole = progress > args.whole_after
        batch, frames, size = (args.batch, 17, 128) if whole else (4 * args.batch, 9 if progress < 0.4 else 17, CROP)
        picks = rng.integers(0, len(pool), batch)
        clip = to_float(np.stack([random_crop(pool[i], frames, size, rng) for i in picks])).to(args.device)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * schedule(progress, state["step"]) * (1.0 if group["muon"] else 0.5)
        with torch.set_grad_enabled(not args.freeze_encoder):
            latent = model.encode(clip)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            made = model.decode(latent + LATENT_NOISE * torch.randn_like(latent)).float()
        loss = reconstruction_loss(made, clip) + 1e-3 * F.relu(latent.abs() - 2).square().mean()
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        now = time.monotonic()
        state["step"] += 1
        state["clips"] += batch * frames * size * size / (17 * 128 * 128)
        state["spent"] = now - began
        if state["step"] % 50 == 0:
            pool.refresh()
            print(f"step {state['step']} spent {state['spent']:.0f}s clips {state['clips']:.0f} of {len(pool)} "
                  f"loss {loss.item():.4f}", flush=True)
        if now - last_eval > args.evaluate_every:
            last_eval = time.monotonic()
            print("evaluate", evaluate(model, held, args.work / "autoencoder.png"), flush=True)
        if now - last_save > 120:
            last_save = time.monotonic()
            save(path, model, config, optimizer, state, args.freeze_encoder)
    save(path, model, config, optimizer, state, args.freeze_encoder)
    print("evaluate", evaluate(model, held, args.work / "autoencoder.png"), flush=True)


def save(path: Path, model: Autoencoder, config: AutoencoderConfig, optimizer: Muon, state: dict,
         frozen: bool) -> None:
    checkpoint.save(path, dict(model=model.state_dict(), config=asdict(config), optimizer=optimizer.state_dict(),
                               state=state, frozen=frozen))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=50, help="of this schedule, earlier runs counted in")
    parser.add_argument("--lr", type=float, default=2e-3)
    parser.add_argument("--batch", type=int, default=1, help="in whole clips")
    parser.add_argument("--whole-after", type=float, default=0.75, help="share of the run after which clips are whole")
    parser.add_argument("--light-minutes", type=float, default=0, help="begin with the MemBlocks left out")
    parser.add_argument("--freeze-encoder", action="store_true")
    parser.add_argument("--restart-schedule", action="store_true")
    parser.add_argument("--evaluate-every", type=float, default=240, help="seconds")
    parser.add_argument("--bf16", action="store_true", help="bf16 products in the decoder, where the CPU has them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
