"""Clips that are held out: never trained on, and what is measured on them."""
from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sorad_mini import held_out, text_encoder
from sorad_mini.cache import HELD_OUT, SHARD, Latents
from sorad_mini.train_transformer import Pool


@pytest.fixture
def work(tmp_path):
    """A cache of two shards that are trained on and one that is held out, all of one number each."""
    shards = tmp_path / "latents-64x64"
    shards.mkdir()
    for number in (0, 1, HELD_OUT - 1):
        np.save(shards / f"{number:06d}.npy", np.full((SHARD, 4, 2, 4, 4), number % 7, np.float16))
        np.save(shards / f"{number:06d}.tokens.npy", np.zeros((SHARD, 2, 2, 2), np.int8))
    (tmp_path / "statistics.json").write_text(json.dumps({"mean": [0.0] * 4, "std": [1.0] * 4}))
    return tmp_path


def test_held_out_clips_are_not_trained_on(work):
    pool = Pool(work, [((64, 64), 1.0)], 4)
    assert pool.sets[0].numbers == [0, 1]
    assert Latents(work, 64, 64, held_out=True).numbers == [HELD_OUT - 1]


def test_errors_are_of_the_predicted_clip_where_things_are(work, monkeypatch):
    """A transformer that always predicts a clip of zeros errs by the clip's square."""
    monkeypatch.setattr(text_encoder, "encode_texts", lambda text, tokenizer, texts: torch.zeros(len(texts), 1, 8))

    class Zeros(torch.nn.Module):
        def forward(self, noised, timestep, context):
            return noised / (timestep.view(-1, 1, 1, 1, 1) / 1000)

    model = torch.nn.Module()
    model.text, model.transformer, model.scale = None, Zeros(), torch.nn.Parameter(torch.zeros(1))
    clips = [(scene, torch.full_like(latent, 2.0), torch.where(torch.arange(2) == 0, 0, -1).expand(2, 2, 2))
             for scene, latent, _ in (Latents(work, 64, 64)[k] for k in range(3))]
    for _, latent, _ in clips:
        latent[..., 2:] = 5.0           # where nothing is shown the error does not count
    assert held_out.errors(model, SimpleNamespace(), clips) == pytest.approx([4.0] * 3, rel=1e-3)


def test_a_small_cache_holds_nothing_out(work):
    (work / "latents-64x64" / f"{HELD_OUT - 1:06d}.npy").unlink()
    assert held_out.compare(torch.nn.Module(), SimpleNamespace(), work, 64, 64) is None
