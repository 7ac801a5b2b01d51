"""Teaches the text encoder what captions mean before the transformer leans on it.

    python -m sorad_mini.train_text_encoder --work DIR --minutes 15

Task: from a caption's hidden states, say which colours, shapes and motions each slot has, the place, the time and
the camera; what the caption leaves out carries no loss. Writes WORK/text_encoder.pt, resumable. The heads read the
states through attention queries, as the transformer's cross-attention will.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from . import checkpoint, text_encoder
from .captions import caption
from .optimizer import Muon, schedule, split_parameters
from .tokenizer import PAD, Tokenizer
from .world import CAMERAS, COLOURS, MOTIONS, PLACES, SHAPES, TIMES, Scene, sample_scene

HEADS = {"place": len(PLACES), "time": len(TIMES), "camera": len(CAMERAS), "count": 3}
PAIRS = len(SHAPES) * len(COLOURS)


def labels(scene: Scene) -> tuple[list[int], np.ndarray]:
    """Scene-wide classes in HEADS' order, and for each (colour, shape) pair its motion, -1 where absent."""
    wide = [PLACES.index(scene.place), TIMES.index(scene.time), CAMERAS.index(scene.camera), len(scene.things) - 1]
    motion = np.full(PAIRS, -1, np.int64)
    for thing in scene.things:
        motion[COLOURS.index(thing.colour) * len(SHAPES) + SHAPES.index(thing.shape)] = MOTIONS.index(thing.motion)
    return wide, motion


class CaptionReader(nn.Module):
    """One learned query per question, attending to the hidden states."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(HEADS) + PAIRS, width) / width ** 0.5)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.wide = nn.ModuleList([nn.Linear(width, n) for n in HEADS.values()])
        self.present = nn.Linear(width, 1)
        self.motion = nn.Linear(width, len(MOTIONS))

    def forward(self, hidden: Tensor, padding: Tensor) -> tuple[list[Tensor], Tensor, Tensor]:
        queries = self.queries.expand(hidden.shape[0], -1, -1)
        read, _ = self.attention(queries, hidden, hidden, key_padding_mask=padding, need_weights=False)
        read = read + queries
        wide = [head(read[:, i]) for i, head in enumerate(self.wide)]
        pairs = read[:, len(HEADS):]
        return wide, self.present(pairs)[..., 0], self.motion(pairs)


def reading_loss(encoder: nn.Module, reader: CaptionReader, tokenizer: Tokenizer, texts: list[str],
                 scenes: list[Scene]) -> tuple[list[Tensor], Tensor, Tensor]:
    """Losses of the questions that `reader` answers from the captions' hidden states, these states, and the share of
    the (colour, shape) pairs that were found."""
    ids = torch.from_numpy(tokenizer.batch(texts)).to(reader.queries.device)
    said = [labels(scene) for scene in scenes]
    wanted = torch.tensor([wide for wide, _ in said], device=ids.device)
    motions = torch.from_numpy(np.stack([motion for _, motion in said])).to(ids.device)
    hidden = encoder(input_ids=ids, attention_mask=(ids != PAD).long()).last_hidden_state
    wide_out, present, motion_out = reader(hidden, ids == PAD)
    parts = [F.cross_entropy(out, wanted[:, i]) for i, out in enumerate(wide_out)]
    there = motions >= 0
    parts.append(10 * F.binary_cross_entropy_with_logits(present, there.float()))
    parts.append(F.cross_entropy(motion_out[there], motions[there]))
    return parts, hidden, (present > 0)[there].float().mean()


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(2)
    tokenizer = Tokenizer(args.work / "tokenizer")
    encoder = text_encoder.build(len(tokenizer)).to(args.device)
    reader = CaptionReader(encoder.config.d_model).to(args.device)
    both = nn.ModuleDict({"encoder": encoder, "reader": reader})
    path = args.work / "text_encoder.pt"
    stored = checkpoint.load(path)
    state = dict(step=0, spent=0.0)
    if stored:
        both.load_state_dict(stored["model"])
        state = stored["state"]
    optimizer = Muon(split_parameters(both, ("shared", "embed_tokens", "queries", "relative_attention")), lr=args.lr)
    if stored:
        optimizer.load_state_dict(stored["optimizer"])
    began, last = time.monotonic() - state["spent"], time.monotonic()
    while state["spent"] < args.minutes * 60:
        texts, scenes = [], []
        for i in range(args.batch):
            number = state["step"] * args.batch + i
            scenes.append(sample_scene("train", number % 100000))
            texts.append(caption(scenes[-1], np.random.default_rng([3, number])))
        parts, hidden, found = reading_loss(encoder, reader, tokenizer, texts, scenes)
        loss = torch.stack(parts).sum() + 1e-3 * (hidden.square().mean() - 1).square()
        for group in optimizer.param_groups:
            group["lr"] = args.lr * schedule(state["spent"] / (args.minutes * 60), state["step"])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        state["step"] += 1
        state["spent"] = time.monotonic() - began
        if state["step"] % 50 == 0:
            print(f"step {state['step']} spent {state['spent']:.0f}s loss {loss.item():.3f} parts "
                  f"{[round(p.item(), 3) for p in parts]} pairs found {found:.3f} hidden rms "
                  f"{hidden.square().mean().sqrt():.2f}", flush=True)
        if time.monotonic() - last > 60 or state["spent"] >= args.minutes * 60:
            last = time.monotonic()
            checkpoint.save(path, dict(model=both.state_dict(), optimizer=optimizer.state_dict(), state=state))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
