"""Trains the autoencoder on crops that move, then on whole clips.

    python -m sorad_mini.train_autoencoder --work DIR --minutes 50 [--freeze-encoder] [--restart-schedule]

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
from .autoencoder import Autoencoder, AutoencoderConfig, run_blocks
from .optimizer import Muon, schedule, split_parameters
from .pool import Pool
from .render import contact_sheet, render_clip
from .world import sample_scene

CROP = 64
LATENT_NOISE = 0.04


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


class Stages:
    """The decoder's three levels trained side by side, each from the right features at its input.

    Sixteen layers deep, the decoder learns from pixels very slowly at first. But what its levels have to do is known:
    carry the encoder's features at 16 x 16 and at 32 x 32 as far as a latent tells them, which for the closed-form
    encoder is a linear map of each latent pixel. So each level is taught alone, from true input to true output;
    joined again, they need only be tuned to each other. Features are scaled half way to unit spread and lifted by
    LIFT, so that ReLU passes them; channels that the decoder has more of are zero.
    """
    LIFT = 2.5
    ENCODER_TAPS, CUTS = (11, 6), (9, 15)       # encoder blocks whose output is target; decoder blocks where cut

    def __init__(self, model: Autoencoder, clips: Tensor) -> None:
        self.model, self.maps = model, []
        with torch.no_grad():
            z = torch.cat([model.encode(c[None]) for c in clips])
            fine = torch.cat([self.tap(c[None], 0, self.ENCODER_TAPS[1]) for c in clips])
            coarse = torch.cat([run_blocks(model.encoder[self.ENCODER_TAPS[1] + 1:self.ENCODER_TAPS[0] + 1], f[None])
                                for f in fine])
            rows = self.rows(z)
            gram = rows.T @ rows + 1e-2 * torch.eye(rows.shape[1], device=z.device)
            for feature in (coarse, fine):
                frames, side = feature.shape[1] // z.shape[1], feature.shape[3] // z.shape[3]
                n, t, _, h, w = z.shape
                cells = feature.view(n, t, frames, -1, h, side, w, side).permute(0, 1, 4, 6, 2, 3, 5, 7)
                shape = cells.shape[4:]
                solution = torch.linalg.solve(gram, rows.T @ cells.reshape(len(rows), -1))
                std, mean = torch.std_mean((rows @ solution).view(-1, *shape), (0, 1, 3, 4), keepdim=True)
                std = (std * std.amax()).sqrt().clamp_min(1e-3)
                solution = (solution.view(-1, *shape)) / std
                solution[-1] += (self.LIFT - mean / std)[0]
                self.maps.append((solution.flatten(1), shape))

    def tap(self, clip: Tensor, begin: int, end: int) -> Tensor:
        """Output of encoder blocks begin ... end for clip [N, F, 3, H, W]."""
        x = torch.cat([clip[:, :1].expand(-1, -clip.shape[1] % 4, -1, -1, -1), clip], dim=1)
        return run_blocks(self.model.encoder[begin:end + 1], F.pixel_unshuffle(x, self.model.config.patch_size))

    @staticmethod
    def rows(latent: Tensor) -> Tensor:
        """[N, T, 48, h, w] to [N * T * h * w, 49], the last column 1."""
        return F.pad(latent.permute(0, 1, 3, 4, 2).flatten(0, 3), (0, 1), value=1.0)

    def targets(self, latent: Tensor) -> list[Tensor]:
        """Lifted features at both cuts, as wide as the decoder there."""
        n, t, _, h, w = latent.shape
        out = []
        for (solution, (frames, channels, side, _)), width in zip(self.maps, self.model.config.decoder_channels[1:3]):
            cells = (self.rows(latent) @ solution).view(n, t, h, w, frames, channels, side, side)
            y = cells.permute(0, 1, 4, 5, 2, 6, 3, 7).reshape(n, t * frames, channels, h * side, w * side)
            out.append(F.pad(F.relu(y), (0, 0, 0, 0, 0, width - channels)))
        return out

    @torch.no_grad()
    def prepare(self) -> None:
        """Centres the first convolution of each block that receives lifted features."""
        for cut, (_, (_, live, _, _)) in zip(self.CUTS, self.maps):
            for block in self.model.decoder[cut:cut + 3]:
                half = block.conv[0].in_channels // 2
                weight = block.conv[0].weight
                block.conv[0].bias.copy_(-self.LIFT * (weight[:, :live] + weight[:, half:half + live]).sum((1, 2, 3)))

    def loss(self, clip: Tensor, latent: Tensor) -> tuple[Tensor, list[float]]:
        with torch.no_grad():
            coarse, fine = self.targets(latent)
        first, second = self.CUTS
        noise = 0.03
        made_coarse = run_blocks(self.model.decoder[:first], latent)
        made_fine = run_blocks(self.model.decoder[first:second], coarse + noise * torch.randn_like(coarse))
        made = run_blocks(self.model.decoder[second:], fine + noise * torch.randn_like(fine))
        made = F.pixel_shuffle(made, self.model.config.patch_size)[:, self.model.trim:]
        parts = [F.smooth_l1_loss(made_coarse, coarse, beta=0.1), F.smooth_l1_loss(made_fine, fine, beta=0.1),
                 reconstruction_loss(made, clip)]
        return parts[0] + parts[1] + 2 * parts[2], [round(p.item(), 4) for p in parts]


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
    state = dict(step=0, clips=0.0, spent=0.0)
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
    if state["spent"] < args.stage_minutes * 60:
        stages = Stages(model, to_float(np.stack([pool[i] for i in range(40)])).to(args.device))
        if state["step"] == 0:
            stages.prepare()
    began, last_save, last_eval = time.monotonic() - state["spent"], time.monotonic(), 0.0
    while state["spent"] < args.minutes * 60:
        progress = state["spent"] / (args.minutes * 60)
        whole = progress > args.whole_after
        batch, frames, size = (args.batch, 17, 128) if whole else (4 * args.batch, 9 if progress < 0.4 else 17, CROP)
        picks = rng.integers(0, len(pool), batch)
        clip = to_float(np.stack([random_crop(pool[i], frames, size, rng) for i in picks])).to(args.device)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * schedule(progress, state["step"]) * (1.0 if group["muon"] else 0.5)
        with torch.set_grad_enabled(not args.freeze_encoder):
            latent = model.encode(clip)
        noised, parts = latent + LATENT_NOISE * torch.randn_like(latent), []
        if state["spent"] < args.stage_minutes * 60:
            loss, parts = stages.loss(clip, noised)
        else:
            loss = reconstruction_loss(model.decode(noised), clip)
            if not args.freeze_encoder:
                loss = loss + 1e-3 * F.relu(latent.abs() - 2).square().mean()
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
                  f"loss {loss.item():.4f} {parts}", flush=True)
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
    parser.add_argument("--stage-minutes", type=float, default=0, help="train the decoder's levels apart at first")
    parser.add_argument("--freeze-encoder", action="store_true")
    parser.add_argument("--restart-schedule", action="store_true")
    parser.add_argument("--evaluate-every", type=float, default=240, help="seconds")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
