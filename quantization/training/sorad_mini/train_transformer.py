"""Trains the diffusion transformer on cached latents and captions, with the text encoder before it.

    python -m sorad_mini.train_transformer --work DIR --sizes 64x64 --minutes 600 --bf16
    python -m sorad_mini.train_transformer --work DIR --sizes 64x64:0.2 128x128:0.6 96x96:0.2 --restart-schedule ...

Rectified flow with logit-normal noise levels, 10 % empty captions, known frames in a fifth of the batches, a twentieth
of pictures from outside the world (`foreign`), Muon, EMA.
Beside the velocity it learns
- from the renderer: what each token shows (`truth`), at a middle block;
- from captions alone: what a sentence states (`reading`), so that the text encoder keeps reading;
- to differ from other clips: the velocity of another clip of the batch counts negatively (contrastive flow matching,
  Stoica et al. 2025, arXiv 2506.05350).
In half of the batches of twice the first size what is noised is not the clip but its enlarged half (`cascade`), from
which it is to be found: so the whole size learns to go on from what the half size made.
Sizes are progressive: words, motion and place are learned at 64 x 64, where a clip is 80 tokens, detail at the sizes
that are offered. Reads WORK/latents-*, WORK/tokenizer, WORK/text_encoder.pt; writes WORK/transformer.pt and, at
intervals, WORK/samples-NNNNNN.png from held-out prompts. Stopped at any moment it continues from there.
"""
from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from . import cascade, checkpoint, held_out, text_encoder
from .cache import SHARD, Latents, load_trained
from .captions import caption
from .optimizer import Muon, schedule, split_parameters
from .parallel import average_gradients, join
from .pool import parse_share
from .position import initialise_position
from .reading import CaptionReader, lessons, reading_loss
from .render import contact_sheet
from .sampler import sample, token_timesteps
from .tokenizer import PAD, Tokenizer
from .transformer import Transformer, TransformerConfig, tokens_of
from .truth import TruthHead, classes, truth_loss
from .world import sample_scene

DROP_CAPTION, KNOWN_SHARE, FOREIGN_SHARE = 0.10, 0.20, 0.05
NOISE_MEAN, NOISE_STD = 0.4, 1.3
LESSON_WEIGHT, TRUTH_WEIGHT, CONTRAST_WEIGHT = 0.05, 0.10, 0.05
PLAIN = ("scale_shift_table", "patch_embedding", "proj_out", "time_embedder", "time_proj", "shared", "embed_tokens",
         "relative_attention", "heads.")
STEPS, FLOW_SHIFT, GUIDANCE_SCALE = 16, 3.0, 3.0
SMALLEST_TOKENS, SMALLEST_SIDE, TOGETHER = 80, 8, 8     # of a clip of 64 x 64; its latent pixels along a side
DROP_BELOW = 0.65       # sigma: a clip sampled on from this level has all its things in their places
GUESS_SHARE, GUESS_LEVELS = 0.5, (0.4, 0.8)     # batches whose clips are enlarged halves, and their noise levels


class Model(nn.Module):
    """What is trained together and kept: the text encoder and the transformer."""

    def __init__(self, vocabulary: int, config: TransformerConfig) -> None:
        super().__init__()
        self.text = text_encoder.build(vocabulary)
        self.transformer = Transformer(config)


class Teachers(nn.Module):
    """What is trained beside it and dropped."""

    def __init__(self, text_width: int, width: int) -> None:
        super().__init__()
        self.reader = CaptionReader(text_width)
        self.truth = TruthHead(width)


def noise_levels(count: int, shift: float, random: torch.Generator, part: tuple[float, float] = (0.0, 1.0)) -> Tensor:
    """[count] sigmas: logit-normal, then shifted towards noise. Stratified: one from each of `count` equal shares of
    `part` of the distribution, in random order, which makes the loss and its gradient much less noisy.

    Wide and towards noise (Esser et al. 2024, arXiv 2403.03206, has mean 0 and deviation 1): where things stand and how
    many they are is settled above sigma 0.94, where a tenth of the levels lies; of the usual ones it were a fiftieth."""
    share = (torch.randperm(count, generator=random) + torch.rand(count, generator=random)) / count
    share = part[0] + (part[1] - part[0]) * share
    u = torch.sigmoid(NOISE_MEAN + NOISE_STD * torch.special.ndtri(share.clamp(1e-4, 1 - 1e-4)))
    return shift * u / (1 + (shift - 1) * u)


def share_below(sigma: float, shift: float) -> float:
    """The share of the distribution of `noise_levels` that lies below `sigma`."""
    if sigma >= 1:
        return 1.0
    u = torch.tensor(sigma / (shift - (shift - 1) * sigma))
    return float(torch.special.ndtr((torch.logit(u) - NOISE_MEAN) / NOISE_STD))


class Batch(NamedTuple):
    """Clips to train on, all of one size."""
    clean: Tensor       # latents [B, C, T, h, w]
    shown: Tensor       # the thing that each token shows, [B, T, h / 2, w / 2]
    wanted: Tensor      # lessons of `truth`, [targets, B, N]
    ids: Tensor         # token ids of the captions, [B, L]
    foreign: bool       # pictures from outside the world, which only come with known frames
    guess: Tensor | None    # the clips as the cascade enlarges their halves; None where it has none


def known_frames(batch: int, frames: int, rng: np.random.Generator, foreign: bool = False) -> Tensor | None:
    """[B, T] bool: first, first and last, a prefix or a suffix in each row, or None. KNOWN_SHARE of the batches have
    known frames, all their rows, since one timestep per clip is cheaper than one per token. In every row of a foreign
    batch the first frame is known."""
    if rng.random() >= KNOWN_SHARE and not foreign:
        return None
    known = torch.zeros(batch, frames, dtype=torch.bool)
    for row in known:
        kind = rng.integers(3 if foreign else 5)
        if kind <= 1:
            row[0] = True
        elif kind == 2:
            row[0] = row[-1] = True
        elif kind == 3:
            row[:rng.integers(2, frames)] = True
        else:
            row[-int(rng.integers(1, frames)):] = True
    return known


def kept_tokens(shown: Tensor, drop: float, random: torch.Generator) -> Tensor:
    """[B, K] indices of the tokens that are trained on: all that show things (`shown` [B, N] is their thing or -1), and
    as many of the others, at random, as leave out the share `drop`. Six tokens in seven show no thing."""
    order = (torch.rand(shown.shape, generator=random) - (shown >= 0).float()).argsort(1)
    return order[:, :round(shown.shape[1] * (1 - drop))]


class Pool:
    """Clips of several sizes, each batch of one size, drawn by weight; batches of larger clips are smaller."""

    def __init__(self, work: Path, sizes: list[tuple[tuple[int, int], float]], batch: int) -> None:
        self.sets = [Latents(work, *size) for size, _ in sizes]
        self.foreign = [Latents(work, *size, foreign=True) for size, _ in sizes]
        self.weights = np.array([weight for _, weight in sizes])
        self.weights = self.weights / self.weights.sum()
        self.batch = batch
        maps = cascade.load(work)
        small = sizes[0][0]
        self.doubled = [maps is not None and size == (2 * small[0], 2 * small[1]) for size, _ in sizes]
        self.up = maps["up"] if maps else None

    def guess(self, which: int, chosen: list[int]) -> Tensor | None:
        """[B, C, T, h, w], these clips of set `which` enlarged from the first size; None where one of them is not there."""
        halves, numbers = self.sets[0], self.sets[which].numbers
        if not self.doubled[which] or any(numbers[k // SHARD] not in halves.numbers for k in chosen):
            return None
        clips = [halves[halves.numbers.index(numbers[k // SHARD]) * SHARD + k % SHARD][1] for k in chosen]
        return cascade.enlarge(torch.stack(clips), self.up)

    def refresh(self) -> int:
        for latents in self.foreign:
            latents.refresh()
        return sum(latents.refresh() for latents in self.sets)

    def batches(self, tokenizer: Tokenizer, rng: np.random.Generator, round_: int,
                drop: float = DROP_CAPTION) -> Iterator[Batch]:
        """Endless. The clips of TOGETHER batches are sorted by the length of their captions, since a batch costs what its
        longest caption does. Processes that begin at the same `round_` draw equal sizes, kinds and lengths at the same
        time: they wait for each other."""
        while True:
            common, round_ = np.random.default_rng([5, round_]), round_ + 1
            which = common.choice(len(self.sets), p=self.weights)
            foreign = common.random() < FOREIGN_SHARE and len(self.foreign[which]) > 0
            latents = (self.foreign if foreign else self.sets)[which]
            count = max(2, round(self.batch * SMALLEST_TOKENS / latents[0][2].numel()))
            indices = rng.integers(len(latents), size=count * TOGETHER).tolist()
            picked = [latents[k] for k in indices]
            texts = ["" if rng.random() < drop else caption(scene, rng) for scene, _, _ in picked]
            ids = tokenizer.batch(texts, sample=True)
            lengths = (ids != PAD).sum(1)
            order = np.argsort(lengths + rng.random(len(ids)))
            for group in common.permutation(order.reshape(TOGETHER, count)):
                chosen = [picked[k] for k in group]
                shown = torch.stack([tokens for _, _, tokens in chosen])
                wanted = torch.stack([classes(scene, tokens) for (scene, _, _), tokens in zip(chosen, shown)], 1).flatten(2)
                yield Batch(torch.stack([latent for _, latent, _ in chosen]), shown, wanted,
                            torch.from_numpy(ids[group][:, :max(1, lengths[group].max())]), foreign,
                            None if foreign else self.guess(which, [indices[k] for k in group]))


class Loading(IterableDataset):
    """`Pool.batches` in other processes, for a GPU that would otherwise wait for captions."""

    def __init__(self, args: argparse.Namespace, seed: list[int]) -> None:
        self.args, self.seed = args, seed

    def __iter__(self) -> Iterator[Batch]:
        number = get_worker_info().id
        torch.set_num_threads(1)
        pool, tokenizer = Pool(self.args.work, self.args.sizes, self.args.batch), Tokenizer(self.args.work / "tokenizer")
        return pool.batches(tokenizer, np.random.default_rng([*self.seed, number]), self.seed[-1] + 1_000_000 * number)


def loaded(args: argparse.Namespace, seed: list[int]) -> Iterator[Batch]:
    return iter(DataLoader(Loading(args, seed), batch_size=None, num_workers=args.loaders, prefetch_factor=4))


def load_text_encoder(work: Path, model: Model, teachers: Teachers) -> None:
    stored = checkpoint.load(work / "text_encoder.pt")
    if stored is None:
        raise SystemExit(f"{work}/text_encoder.pt is missing: run sorad_mini.train_text_encoder first")
    for prefix, module in (("encoder.", model.text), ("reader.", teachers.reader)):
        module.load_state_dict({k[len(prefix):]: v for k, v in stored["model"].items() if k.startswith(prefix)})


@torch.no_grad()
def write_sheet(path: Path, ema: Model, tokenizer: Tokenizer, latents: Latents, work: Path, prompts: list[str],
                steps: int = STEPS, shift: float = FLOW_SHIFT, guidance: float = GUIDANCE_SCALE) -> None:
    """A contact sheet of what the prompts give, at the size of `latents`; in two sizes where WORK has a cascade."""
    device = next(ema.parameters()).device
    context = text_encoder.encode_texts(ema.text, tokenizer, prompts)
    empty = text_encoder.encode_texts(ema.text, tokenizer, [""])
    random = torch.Generator().manual_seed(1)
    noise = torch.randn(len(prompts), *latents[0][1].shape, generator=random).to(device)
    maps = cascade.load(work)
    if maps and noise.shape[-1] > SMALLEST_SIDE:
        made = cascade.sample_cascade(ema.transformer, maps, context, empty, noise, steps, shift, guidance, random).cpu()
    else:
        made = sample(ema.transformer, context, empty, noise, steps, shift, guidance).cpu()
    autoencoder = load_trained(work)
    pictures = [autoencoder.decode((z * latents.std + latents.mean).transpose(0, 1)[None])[0].clamp(0, 1)
                for z in made]
    contact_sheet([p.permute(0, 2, 3, 1).mul(255).byte().numpy() for p in pictures], str(path))
    path.with_suffix(".txt").write_text("\n".join(prompts), encoding="utf-8")


def write_samples(path: Path, ema: Model, tokenizer: Tokenizer, latents: Latents, work: Path, count: int = 16,
                  **schedule: float) -> None:
    """A contact sheet of held-out prompts, which are written beside it in the sheet's order."""
    prompts = [caption(sample_scene("judge", i), np.random.default_rng(i), form=None, split="judge") for i in range(count)]
    write_sheet(path, ema, tokenizer, latents, work, prompts, **schedule)


def build(args: argparse.Namespace, tokenizer: Tokenizer) -> tuple[Model, Model, Teachers, dict, dict | None]:
    stored = checkpoint.load(args.work / "transformer.pt")
    source = stored or (checkpoint.load(args.warm_start) if args.warm_start else None)
    config = TransformerConfig(**source["config"]) if source else TransformerConfig()
    torch.manual_seed(3)
    model, ema = Model(len(tokenizer), config), Model(len(tokenizer), config)
    teachers = Teachers(model.text.config.d_model, config.width)
    state = dict(step=0, clips=0, spent=0.0)
    if source:
        model.load_state_dict(source["model"])
        ema.load_state_dict(source["ema"])
        if source["teachers"]:          # a model file has none
            teachers.load_state_dict(source["teachers"])
    else:
        model.transformer.initialise()
        initialise_position(model.transformer)
        load_text_encoder(args.work, model, teachers)
        ema.load_state_dict(model.state_dict())
    if stored:
        state.update(stored["state"])
    return (model.to(args.device), ema.to(args.device).requires_grad_(False), teachers.to(args.device), state, stored)


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    rank, processes = join()
    tokenizer, pool = Tokenizer(args.work / "tokenizer"), Pool(args.work, args.sizes, args.batch)
    model, ema, teachers, state, stored = build(args, tokenizer)
    groups = split_parameters(model.transformer, PLAIN) + split_parameters(model.text, PLAIN) \
        + split_parameters(teachers, PLAIN)
    scales = [1.0, 1.0, args.text_lr, args.text_lr, 1.0, 1.0]
    optimizer = Muon(groups, lr=args.lr, period=4)
    if stored and stored["optimizer"] and not args.restart_schedule:
        optimizer.load_state_dict(stored["optimizer"])
    if args.restart_schedule:
        state["spent"] = 0.0
    parameters = [*model.parameters(), *teachers.parameters()]
    rng = np.random.default_rng([4, rank, state["step"]])
    random = torch.Generator().manual_seed(1000 * state["step"] + rank)
    tap = model.transformer.config.num_layers // 2 - 1
    smallest = tuple(side // 8 for side in args.sizes[0][0])
    began, last_save, last_sheet = time.monotonic() - state["spent"], time.monotonic(), time.monotonic()
    running = torch.zeros(3)
    batches = loaded(args, [4, rank, state["step"]]) if args.loaders else pool.batches(tokenizer, rng, state["step"])
    model.text.requires_grad_(args.text_lr > 0)
    while state["spent"] < args.minutes * 60:
        progress = state["spent"] / (args.minutes * 60)
        clean, shown, wanted, ids, foreign, guess = next(batches)
        clean, ids = clean.to(args.device), ids.to(args.device)
        b, _, t, h, w = clean.shape
        shift = args.train_shift * (shown[0].numel() / SMALLEST_TOKENS) ** 0.5
        # the same in all processes, which wait for each other
        common = np.random.default_rng([6, state["step"]])
        known = known_frames(b, t, common, foreign)
        # of a clip that is larger than the first size, only what is left when the smaller one was enlarged
        part, drops = (0.0, share_below(args.refine_below, shift) if (w, h) != smallest else 1.0), False
        guesses = common.random() < GUESS_SHARE and known is None and guess is not None
        if guesses:
            part = tuple(share_below(level, shift) for level in GUESS_LEVELS)
            drops = args.drop > 0       # the guess shows where things are, at any level
        elif known is None and args.drop:
            border = share_below(DROP_BELOW, shift)
            drops = common.random() * part[1] < border
            part = (0.0, border) if drops else (border, part[1])
        sigma = noise_levels(b, shift, random, part).to(args.device)
        noise = torch.randn(clean.shape, generator=random).to(args.device)
        level = sigma[:, None, None, None, None]
        begin = guess.to(args.device) if guesses else clean
        noised = begin + level * (noise - begin)
        timestep = 1000 * sigma
        weight = 1 + (args.focus - 1) * (shown >= 0).float().to(args.device)
        if known is not None:
            known = known.to(args.device)
            noised = torch.where(known[:, None, :, None, None], clean, noised)
            timestep = token_timesteps(timestep, known, (h // 2, w // 2))
            weight = weight * ~known[:, :, None, None]
        weight = weight.flatten(1)[..., None]
        kept = None
        if drops:
            kept = kept_tokens(shown.flatten(1), args.drop, random)
            wanted = wanted.gather(2, kept.expand(len(wanted), -1, -1))
            kept = kept.to(args.device)
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            context, bias = text_encoder.encode_folded(model.text, ids)
            velocity, middle = model.transformer(noised, timestep, context, bias, tap=tap, kept=kept)
            truth = truth_loss(teachers.truth, middle, wanted.to(args.device))
            reading = velocity.new_zeros(())
            if args.lessons and args.text_lr > 0:
                reading, _, _ = reading_loss(model.text, teachers.reader, tokenizer, *lessons(args.lessons, rng))
        # the target, and the same noise with another clip: what this clip and its caption do not share with others is
        # pushed apart
        target, other = tokens_of((noised - clean) / level if guesses else noise - clean), tokens_of(noise - clean.roll(1, 0))
        if kept is None:
            velocity = tokens_of(velocity)
        else:
            target, other, weight = (x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1])) for x in (target, other, weight))
        velocity = velocity.float()
        scale = weight.sum() * target.shape[-1]
        denoising = ((velocity - target).square() * weight).sum() / scale
        contrast = ((velocity - other).square() * weight).sum() / scale
        loss = denoising - (0 if guesses else CONTRAST_WEIGHT) * contrast + TRUTH_WEIGHT * truth + LESSON_WEIGHT * reading
        factor = schedule(progress, state["step"], decay=args.decay)
        for group, part in zip(optimizer.param_groups, scales):
            group["lr"] = args.lr * factor * part
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        state["spent"] = average_gradients(parameters, time.monotonic() - began)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        state["step"] += 1
        state["clips"] += b * processes
        keep = min(args.ema, (1 + state["step"]) / (10 + state["step"]))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - keep)
        now_lost = torch.tensor([denoising.item(), truth.item(), reading.item()])
        running = now_lost if state["step"] == 1 or not running.any() else 0.98 * running + 0.02 * now_lost
        if state["step"] % 50 == 0:
            pool.refresh()
        if rank:
            continue
        now = time.monotonic()
        if state["step"] % 50 == 0:
            print(f"step {state['step']} spent {state['spent']:.0f}s clips {state['clips']} of {pool.refresh()} loss "
                  f"{running[0]:.4f} truth {running[1]:.3f} reading {running[2]:.3f} lr {factor:.3f}", flush=True)
        if now - last_save > 200:
            last_save = time.monotonic()
            save(args.work, model, ema, teachers, optimizer, state)
        if now - last_sheet > args.sheet_every:
            last_sheet = time.monotonic()
            write_samples(args.work / f"samples-{state['step']:06d}.png", ema, tokenizer, pool.sets[-1], args.work)
            for size, _ in args.sizes:
                if line := held_out.compare(ema, tokenizer, args.work, *size):
                    print(f"{size[0]}x{size[1]}: {line}", flush=True)
            print("samples", time.monotonic() - last_sheet, flush=True)
    if rank:
        return
    save(args.work, model, ema, teachers, optimizer, state)
    write_samples(args.work / f"samples-{state['step']:06d}.png", ema, tokenizer, pool.sets[-1], args.work)


def save(work: Path, model: Model, ema: Model, teachers: Teachers, optimizer: Muon, state: dict) -> None:
    checkpoint.save(work / "transformer.pt", dict(
        model=model.state_dict(), ema=ema.state_dict(), teachers=teachers.state_dict(),
        config=asdict(model.transformer.config), optimizer=optimizer.state_dict(), state=state))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--sizes", type=parse_share, nargs="+", default=[((64, 64), 1.0)], metavar="WxH[:SHARE]")
    parser.add_argument("--minutes", type=float, default=120, help="of this schedule, earlier runs counted in")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--text-lr", type=float, default=0.3, help="of the text encoder, as a share of --lr; 0 keeps it")
    parser.add_argument("--drop", type=float, default=0.5, help="share of the tokens that are dropped where there is little noise; 0 at the end")
    parser.add_argument("--refine-below", type=float, default=1.0,
                        help="sigma up to which sizes after the first are trained, which `cascade` begins from an enlarged clip")
    parser.add_argument("--batch", type=int, default=32, help="clips of 64x64 in a step; fewer of larger ones")
    parser.add_argument("--focus", type=float, default=2.5, help="weight of tokens that show things")
    parser.add_argument("--lessons", type=int, default=16, help="captions a step that the text encoder is examined on")
    parser.add_argument("--train-shift", type=float, default=2.0, help="at 64x64; grows with the root of the tokens")
    parser.add_argument("--decay", type=float, default=0.4, help="last share of the run in which the rate falls")
    parser.add_argument("--ema", type=float, default=0.999)
    parser.add_argument("--warm-start", type=Path)
    parser.add_argument("--restart-schedule", action="store_true")
    parser.add_argument("--sheet-every", type=float, default=1800, help="seconds")
    parser.add_argument("--bf16", action="store_true", help="bf16 products: twice as fast where the CPU or GPU has them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--loaders", type=int, default=0, help="processes that draw clips and captions, for a GPU")
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
