"""Teaches the text encoder to read captions (`reading`) before the transformer leans on it.

    python -m sorad_mini.train_text_encoder --work DIR --minutes 120

Writes WORK/text_encoder.pt, resumable. Invariant: hidden states stay near unit size, as the transformer expects.
"""
from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import torch
from torch import nn

from . import checkpoint, text_encoder
from .optimizer import Muon, schedule
from .reading import CaptionReader, lessons, reading_loss
from .tokenizer import Tokenizer

HELD_OUT = 512


def groups(encoder: nn.Module, reader: nn.Module) -> list[dict]:
    """Matrices for Muon; embeddings, norms and queries for AdamW; relative biases ten times as fast."""
    matrices, plain, biases = [], [], []
    for module in (encoder, reader):
        for name, p in module.named_parameters():
            if "relative_attention_bias" in name:
                biases.append(p)
            elif p.ndim == 2 and "shared" not in name and "embed_tokens" not in name and min(p.shape) >= 64:
                matrices.append(p)
            else:
                plain.append(p)
    return [dict(params=matrices, muon=True, scale=1.0), dict(params=plain, muon=False, scale=1.0),
            dict(params=biases, muon=False, scale=10.0)]


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    torch.manual_seed(2)
    tokenizer = Tokenizer(args.work / "tokenizer")
    encoder = text_encoder.build(len(tokenizer))
    text_encoder.initialise(encoder)
    encoder.to(args.device)
    reader = CaptionReader(encoder.config.d_model).to(args.device)
    both = nn.ModuleDict({"encoder": encoder, "reader": reader})
    path = args.work / "text_encoder.pt"
    stored = checkpoint.load(path)
    state = dict(step=0, spent=0.0)
    if stored:
        both.load_state_dict(stored["model"])
        state = stored["state"]
    settings = groups(encoder, reader)
    scales = [group.pop("scale") for group in settings]
    optimizer = Muon(settings, lr=args.lr, period=2)
    if stored and stored["optimizer"] and not args.restart_schedule:
        optimizer.load_state_dict(stored["optimizer"])
    if args.restart_schedule:
        state["spent"] = 0.0
    held = lessons(HELD_OUT, np.random.default_rng(99))
    began, last, told = time.monotonic() - state["spent"], time.monotonic(), time.monotonic()
    while state["spent"] < args.minutes * 60:
        texts, wanted = lessons(args.batch, np.random.default_rng([3, state["step"]]))
        with torch.autocast(args.device, torch.bfloat16, enabled=args.bf16):
            loss, hidden, _ = reading_loss(encoder, reader, tokenizer, texts, wanted)
        total = loss + 1e-3 * (hidden.float().square().mean() - 1).square()
        factor = schedule(state["spent"] / (args.minutes * 60), state["step"], decay=0.6)
        for group, scale in zip(optimizer.param_groups, scales):
            group["lr"] = args.lr * factor * scale
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        torch.nn.utils.clip_grad_norm_(both.parameters(), 1.0)
        optimizer.step()
        state["step"] += 1
        now = time.monotonic()
        state["spent"] = now - began
        if state["step"] % 50 == 0:
            print(f"step {state['step']} spent {state['spent']:.0f}s loss {loss.item():.4f} lr {factor:.3f}", flush=True)
        if now - told > args.eval_every:
            with torch.no_grad():
                loss, hidden, shares = reading_loss(encoder, reader, tokenizer, *held)
            print(f"held out loss {loss.item():.4f} rms {hidden.square().mean().sqrt():.2f} {shares}", flush=True)
            told = time.monotonic()
        if now - last > 120 or state["spent"] >= args.minutes * 60:
            last = time.monotonic()
            checkpoint.save(path, dict(model=both.state_dict(), optimizer=optimizer.state_dict(), state=state))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--batch", type=int, default=48)
    parser.add_argument("--restart-schedule", action="store_true")
    parser.add_argument("--eval-every", type=float, default=300, help="seconds")
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    train(parser.parse_args())


if __name__ == "__main__":
    main()
