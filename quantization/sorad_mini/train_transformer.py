"""Trains the diffusion transformer on cached latents and captions.

    python -m sorad_mini.train_transformer --work DIR --minutes 120

Rectified flow with logit-normal noise levels, 10 % empty captions, known frames in 15 % of the clips, Muon, EMA. Beside
it the text encoder is examined on further captions (`train_text_encoder.reading_loss`): from the clips' own loss alone
it had not learned after 200,000 clips that "from right to left" is not "from left to right".
Reads WORK/latents (which may grow meanwhile), WORK/tokenizer and WORK/text_encoder.pt; writes WORK/transformer.pt and,
at intervals, WORK/samples-NNNNNN.png from held-out prompts. Stopped at any moment it goes on from there; started with
`--warm-start FILE` it begins from the weights of an earlier run.
"""
from __future__ import annotations

import argparse
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from . import checkpoint, text_encoder
from .cache import Latents, load_trained
from .captions import caption, caption_en
from .export import FLOW_SHIFT, GUIDANCE_SCALE, STEPS
from .focus import object_mask
from .optimizer import Muon, schedule, split_parameters
from .parallel import average_gradients, join
from .position import initialise_position
from .render import contact_sheet
from .sampler import sample, token_timesteps
from .tokenizer import Tokenizer
from .train_text_encoder import CaptionReader, reading_loss
from .transformer import Transformer, TransformerConfig
from .world import MOTIONS, sample_scene

DROP_CAPTION, KNOWN_SHARE, LESSON_WEIGHT = 0.10, 0.15, 0.05
PLAIN = ("scale_shift_table", "patch_embedding", "proj_out", "time_embedder", "time_proj", "shared", "embed_tokens",
         "relative_attention")


class Model(nn.Module):
    """What is trained together: the transformer and the text encoder before it."""

    def __init__(self, vocabulary: int, config: TransformerConfig) -> None:
        super().__init__()
        self.text = text_encoder.build(vocabulary)
        self.transformer = Transformer(config)


def noise_levels(count: int, shift: float, random: torch.Generator) -> Tensor:
    """[count] sigmas: logit-normal, then shifted towards noise. Stratified: one from each of `count` equal shares of
    the distribution, in random order, which makes the loss and its gradient much less noisy."""
    share = (torch.randperm(count, generator=random) + torch.rand(count, generator=random)) / count
    u = torch.sigmoid(torch.special.ndtri(share.clamp(1e-4, 1 - 1e-4)))
    return shift * u / (1 + (shift - 1) * u)


class Curriculum:
    """Draws clips: `simple` of them with one object and a still camera, the others from all. Simple clips whose motion
    is in `hard` come twice as often."""

    def __init__(self, latents: Latents, simple: float, hard: frozenset[str] = frozenset()) -> None:
        self.latents, self.simple, self.hard, self.easy, self.looked = latents, simple, hard, [], 0
        self.masks: dict[int, Tensor] = {}
        self.refresh()

    def refresh(self) -> None:
        self.latents.refresh()
        for k in range(self.looked, len(self.latents)):
            scene = sample_scene("train", self.latents.number(k))
            if len(scene.things) == 1 and scene.camera == "still":
                self.easy += [k] * (2 if scene.things[0].motion in self.hard else 1)
        self.looked = len(self.latents)

    def focus(self, number: int) -> Tensor:
        """bool [T, h, w] of the clip with this number, see `object_mask`."""
        if number not in self.masks:
            self.masks[number] = torch.from_numpy(object_mask(sample_scene("train", number)))
        return self.masks[number]

    def draw(self, count: int, rng: np.random.Generator) -> list[tuple[int, Tensor]]:
        picks = [self.easy[rng.integers(len(self.easy))] if rng.random() < self.simple
                 else int(rng.integers(self.looked)) for _ in range(count)]
        return [self.latents[k] for k in picks]


def known_frames(batch: int, frames: int, rng: np.random.Generator) -> Tensor | None:
    """[B, T] bool: first, first and last, a prefix or a suffix in each row, or None. KNOWN_SHARE of the batches have
    known frames, all their rows, since one timestep per clip is much cheaper than one per token."""
    if rng.random() >= KNOWN_SHARE:
        return None
    known = torch.zeros(batch, frames, dtype=torch.bool)
    for row in known:
        kind = rng.integers(5)
        if kind <= 1:
            row[0] = True
        elif kind == 2:
            row[0] = row[-1] = True
        elif kind == 3:
            row[:rng.integers(2, frames)] = True
        else:
            row[-int(rng.integers(1, frames)):] = True
    return known


def load_text_encoder(work: Path, model: Model) -> None:
    stored = checkpoint.load(work / "text_encoder.pt")
    if stored is None:
        print("no pre-trained text encoder: beginning from random weights", flush=True)
        return
    prefix = "encoder."
    model.text.load_state_dict({k[len(prefix):]: v for k, v in stored["model"].items() if k.startswith(prefix)})


@torch.no_grad()
def write_samples(path: Path, ema: Model, tokenizer: Tokenizer, latents: Latents, work: Path, count: int = 16) -> None:
    """A contact sheet of held-out prompts, which are printed in the sheet's order."""
    prompts = [caption_en(sample_scene("heldout", i), np.random.default_rng(i)) for i in range(count)]
    context = text_encoder.encode_texts(ema.text, tokenizer, prompts)
    empty = text_encoder.encode_texts(ema.text, tokenizer, [""])
    noise = torch.randn(count, 48, 5, 8, 8, generator=torch.Generator().manual_seed(1))
    made = sample(ema.transformer, context, empty, noise, STEPS, FLOW_SHIFT, GUIDANCE_SCALE)
    autoencoder = load_trained(work)
    pictures = [autoencoder.decode((z * latents.std + latents.mean).transpose(0, 1)[None])[0].clamp(0, 1)
                for z in made]
    contact_sheet([p.permute(0, 2, 3, 1).mul(255).byte().numpy() for p in pictures], str(path))
    path.with_suffix(".txt").write_text("\n".join(prompts), encoding="utf-8")


def build(args: argparse.Namespace, tokenizer: Tokenizer) -> tuple[Model, Model, dict, dict | None]:
    stored = checkpoint.load(args.work / "transformer.pt")
    source = stored or (checkpoint.load(args.warm_start) if args.warm_start else None)
    config = TransformerConfig(**source["config"]) if source else TransformerConfig(num_layers=args.layers)
    torch.manual_seed(3)
    model, ema = Model(len(tokenizer), config), Model(len(tokenizer), config)
    state = dict(step=0, clips=0, spent=0.0)
    if source:
        model.transformer.load_state_dict(source["model"])
        model.text.load_state_dict(source["text_encoder"])
        ema.transformer.load_state_dict(source["ema"])
        ema.text.load_state_dict(source["text_encoder_ema"])
    else:
        model.transformer.initialise()
        initialise_position(model.transformer)
        load_text_encoder(args.work, model)
        ema.load_state_dict(model.state_dict())
    if stored:
        state.update(stored["state"])
    return model.to(args.device), ema.to(args.device).requires_grad_(False), state, stored


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    rank, processes = join()
    tokenizer, latents = Tokenizer(args.work / "tokenizer"), Latents(args.work)
    model, ema, state, stored = build(args, tokenizer)
    groups = split_parameters(model.transformer, PLAIN)
    groups.append(dict(params=list(model.text.parameters()), muon=False, scale=args.text_lr))
    optimizer = Muon(groups, lr=args.lr, period=4)
    if stored and not args.restart_schedule:
        optimizer.load_state_dict(stored["optimizer"])
    if args.restart_schedule:
        state["spent"] = 0.0
    reader = CaptionReader(model.text.config.d_model).to(args.device)
    if stored and stored.get("reader"):
        reader.load_state_dict(stored["reader"])
    reader_optimizer = Muon([dict(params=list(reader.parameters()), muon=False)], lr=args.lr)
    curriculum, rng = Curriculum(latents, args.simple, frozenset(args.hard)), np.random.default_rng([4, rank, state["step"]])
    common = np.random.default_rng([5, state["step"]])           # the same in every process, so that none waits
    random = torch.Generator().manual_seed(int(rng.integers(2 ** 62)))
    began, last_save, last_sheet = time.monotonic() - state["spent"], time.monotonic(), time.monotonic()
    running = None
    while state["spent"] < args.minutes * 60:
        picks = curriculum.draw(args.batch, rng)
        clean = torch.stack([z for _, z in picks]).to(args.device)
        texts = ["" if rng.random() < DROP_CAPTION else caption(sample_scene("train", n), rng) for n, _ in picks]
        b, _, t, h, w = clean.shape
        sigma = noise_levels(b, args.train_shift, random).to(args.device)
        noise = torch.randn(clean.shape, generator=random).to(args.device)
        noised = torch.lerp(clean, noise, sigma[:, None, None, None, None])
        timestep, known = 1000 * sigma, known_frames(b, t, common)
        if known is not None:
            keep = known.to(args.device)[:, None, :, None, None]
            noised = torch.where(keep, clean, noised)
            timestep = token_timesteps(timestep, known.to(args.device), (h // 2, w // 2))
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            context, text_bias = text_encoder.encode_folded(model.text, tokenizer, texts)
            made = model.transformer(noised, timestep, context, text_bias).float()
        error = (made - (noise - clean)).square().mean(1)
        progress = state["spent"] / (args.minutes * 60)
        focus = torch.stack([curriculum.focus(n) for n, _ in picks]).to(args.device)
        weight = 1 + (args.focus - 1) * min(1, max(0, 2 - 2.5 * progress)) * focus
        if known is not None:
            weight = weight * ~keep[:, 0]
        loss = denoising = (error * weight).sum() / weight.sum()
        lessons = [sample_scene("train", int(n)) for n in rng.integers(0, 1 << 20, args.lessons)]
        if lessons:
            with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
                parts, _, _ = reading_loss(model.text, reader, tokenizer, [caption(s, rng) for s in lessons], lessons)
            reading = torch.stack([part.float() for part in parts]).sum()
            loss = loss + LESSON_WEIGHT * reading
        factor = schedule(progress, state["step"], decay=args.decay)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * factor * group.get("scale", 1.0)
        optimizer.zero_grad(set_to_none=True)
        reader_optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state["spent"] = average_gradients([*model.parameters(), *reader.parameters()], time.monotonic() - began)
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        reader_optimizer.param_groups[0]["lr"] = args.lr * factor
        reader_optimizer.step()
        state["step"] += 1
        state["clips"] += b * processes
        keep_rate = min(args.ema, (1 + state["step"]) / (10 + state["step"]))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - keep_rate)
        running = denoising.item() if running is None else 0.98 * running + 0.02 * denoising.item()
        if state["step"] % 50 == 0:
            curriculum.refresh()
        if rank:
            continue
        now = time.monotonic()
        if state["step"] % 50 == 0:
            print(f"step {state['step']} spent {state['spent']:.0f}s clips {state['clips']} of {len(latents)} "
                  f"loss {running:.4f} reading {reading.item() if lessons else 0:.2f} lr {factor:.3f}", flush=True)
        if now - last_save > 150:
            last_save = time.monotonic()
            save(args.work, model, ema, reader, optimizer, state)
        if now - last_sheet > args.sheet_every:
            last_sheet = time.monotonic()
            write_samples(args.work / f"samples-{state['step']:06d}.png", ema, tokenizer, latents, args.work)
            print("samples", time.monotonic() - last_sheet, flush=True)
    if rank:
        return
    save(args.work, model, ema, reader, optimizer, state)
    write_samples(args.work / f"samples-{state['step']:06d}.png", ema, tokenizer, latents, args.work)


def save(work: Path, model: Model, ema: Model, reader: CaptionReader, optimizer: Muon, state: dict) -> None:
    checkpoint.save(work / "transformer.pt", dict(
        model=model.transformer.state_dict(), text_encoder=model.text.state_dict(),
        ema=ema.transformer.state_dict(), text_encoder_ema=ema.text.state_dict(),
        config=asdict(model.transformer.config), reader=reader.state_dict(),
        optimizer=optimizer.state_dict(), state=state))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=120, help="of this schedule, earlier runs counted in")
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--text-lr", type=float, default=0.3, help="of the text encoder, as a share of --lr")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--simple", type=float, default=0.5, help="share of clips that must be simple")
    parser.add_argument("--hard", nargs="*", default=[], choices=MOTIONS, metavar="MOTION",
                        help="motions whose simple clips come twice as often")
    parser.add_argument("--focus", type=float, default=5.0,
                        help="weight of positions with objects; falls to 1 from 40 %% to 80 %% of the run")
    parser.add_argument("--lessons", type=int, default=48, help="captions a step that the text encoder is examined on")
    parser.add_argument("--train-shift", type=float, default=2.0)
    parser.add_argument("--decay", type=float, default=0.4, help="last share of the run in which the rate falls")
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--warm-start", type=Path)
    parser.add_argument("--restart-schedule", action="store_true")
    parser.add_argument("--sheet-every", type=float, default=900, help="seconds")
    parser.add_argument("--bf16", action="store_true", help="bf16 products: twice as fast where the CPU or GPU has them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
