"""The lesson that makes the text encoder read: from a caption's hidden states, say what it states.

For every noun phrase in order of mention: kind, colour, size, motion, second motion, speed, count and side, each with a
class for "unsaid"; and place, time, camera, event and relation. Order of mention cannot be told from a bag of words,
and half of the lessons are minimal pairs (`captions.swapped`), so the states must bind a colour to its noun and a
direction to its verb. The answers are read through attention queries, as the transformer's cross-attention reads.
"""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from .captions import Facts, caption_with_facts, swapped
from .tokenizer import PAD, Tokenizer
from .world import CAMERAS, COLOURS, EVENTS, KINDS, MOTIONS, PLACES, RELATIONS, SIZES, SPEEDS, TIMES, Scene, sample_scene

SLOTS = 3
ATTRIBUTES = {"kind": KINDS, "colour": COLOURS, "size": SIZES, "motion": MOTIONS, "then": MOTIONS, "speed": SPEEDS,
              "count": (1, 2, 3, 4), "side": ("left", "middle", "right")}
WIDE = {"place": PLACES, "time": TIMES, "camera": CAMERAS, "event": EVENTS,
        "relation": tuple((name, a, b) for name in RELATIONS for a in range(SLOTS) for b in range(SLOTS) if a != b)}
ABSENT = -100           # no loss: the caption has no such noun phrase


def answers(facts: Facts) -> np.ndarray:
    """Classes of all questions, int64 [SLOTS * attributes + wide + 1]; 0 is "unsaid"; last the number of phrases."""
    out = []
    for slot in range(SLOTS):
        group = facts.groups[slot] if slot < len(facts.groups) else None
        for name, choices in ATTRIBUTES.items():
            value = getattr(group, name) if group else None
            out.append(ABSENT if group is None else 0 if value is None else 1 + choices.index(value))
    for name, choices in WIDE.items():
        value = getattr(facts, name)
        out.append(0 if value is None else 1 + choices.index(tuple(value) if name == "relation" else value))
    return np.array(out + [min(len(facts.groups), SLOTS)], np.int64)


class CaptionReader(nn.Module):
    """One query per question: the sum of its slot's and its attribute's, attending to the hidden states."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.slots = nn.Parameter(torch.randn(SLOTS, 1, width) / width ** 0.5)
        self.names = nn.Parameter(torch.randn(1, len(ATTRIBUTES), width) / width ** 0.5)
        self.wide = nn.Parameter(torch.randn(len(WIDE) + 1, width) / width ** 0.5)
        self.attention = nn.MultiheadAttention(width, 4, batch_first=True)
        self.heads = nn.ModuleList([nn.Linear(width, len(c) + 1) for c in ATTRIBUTES.values()])
        self.wide_heads = nn.ModuleList([nn.Linear(width, len(c) + 1) for c in WIDE.values()]
                                        + [nn.Linear(width, SLOTS + 1)])

    def forward(self, hidden: Tensor, padding: Tensor) -> list[Tensor]:
        """hidden [N, L, D] to logits of every question, in the order of `answers`."""
        queries = torch.cat([(self.slots + self.names).flatten(0, 1), self.wide])
        read, _ = self.attention(queries.expand(hidden.shape[0], -1, -1), hidden, hidden, key_padding_mask=padding,
                                 need_weights=False)
        read = read + queries
        out = [self.heads[k % len(self.heads)](read[:, k]) for k in range(SLOTS * len(self.heads))]
        return out + [head(read[:, len(out) + k]) for k, head in enumerate(self.wide_heads)]


@lru_cache(maxsize=20_000)
def lesson_scene(number: int) -> Scene:
    return sample_scene("train", number)


def lessons(count: int, rng: np.random.Generator, pairs: float = 0.5) -> tuple[list[str], np.ndarray]:
    """`count` captions and their answers [count, questions]; a share `pairs` are minimal pairs."""
    texts, wanted = [], []
    while len(texts) < count:
        scene = lesson_scene(int(rng.integers(20_000)))
        made = swapped(scene, rng) if rng.random() < pairs else None
        for text, facts in made or [caption_with_facts(scene, rng)]:
            texts.append(text)
            wanted.append(answers(facts))
    return texts[:count], np.stack(wanted[:count])


def reading_loss(encoder: nn.Module, reader: CaptionReader, tokenizer: Tokenizer, texts: list[str],
                 wanted: np.ndarray) -> tuple[Tensor, Tensor, dict[str, float]]:
    """Mean cross-entropy, the hidden states, and the share of right answers by attribute, where something is said."""
    ids = torch.from_numpy(tokenizer.batch(texts, sample=True)).to(reader.wide.device)
    target = torch.from_numpy(wanted).to(ids.device)
    hidden = encoder(input_ids=ids, attention_mask=(ids != PAD).long()).last_hidden_state
    logits = reader(hidden, ids == PAD)
    losses = [F.cross_entropy(out.float(), target[:, k], ignore_index=ABSENT, reduction="sum")
              / (target[:, k] != ABSENT).sum().clamp_min(1) for k, out in enumerate(logits)]
    names = [f"{name}" for _ in range(SLOTS) for name in ATTRIBUTES] + list(WIDE) + ["phrases"]
    right: dict[str, list[Tensor]] = {}
    for k, (name, out) in enumerate(zip(names, logits)):
        said = target[:, k] > 0
        right.setdefault(name, []).append((out.argmax(-1) == target[:, k])[said].float())
    shares = {name: round(float(torch.cat(values).mean()), 3) for name, values in right.items()
              if sum(len(v) for v in values)}
    return torch.stack(losses).mean(), hidden, shares
