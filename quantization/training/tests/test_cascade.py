import json

import numpy as np
import torch
from torch.nn import functional as F

from sorad_mini import cascade, checkpoint, sampler, snapshot
from sorad_mini.cache import SHARD
from sorad_mini.export import load_cascade, write_cascade
from sorad_mini.train_transformer import Pool


def identity_maps(channels: int) -> dict:
    """Enlarges by repeating, makes smaller by the mean of four."""
    up, down = torch.zeros(4 * channels, channels, 3, 3), torch.zeros(channels, 4 * channels, 3, 3)
    for c in range(channels):
        up[4 * c:4 * c + 4, c, 1, 1] = 1
        down[c, 4 * c:4 * c + 4, 1, 1] = 0.25
    return {"up": {"weight": up, "bias": torch.zeros(4 * channels)}, "down": {"weight": down, "bias": torch.zeros(channels)}}


def test_least_squares_finds_the_convolution():
    torch.manual_seed(0)
    x, truth, bias = torch.randn(200, 3, 6, 6), torch.randn(5, 3, 3, 3), torch.randn(5)
    found = cascade.least_squares(x, F.conv2d(x, truth, bias, padding=1), torch.ones(200, 6, 6))
    assert torch.allclose(found["weight"], truth, atol=0.02) and torch.allclose(found["bias"], bias, atol=0.02)


def test_what_has_no_weight_has_no_say():
    torch.manual_seed(6)
    x, counts = torch.randn(100, 2, 6, 6), torch.ones(100, 6, 6)
    truth = torch.randn(3, 2, 3, 3)
    y = F.conv2d(x, truth, padding=1)
    counts[:, 3:], y[:, :, 3:] = 0, 7.0
    assert torch.allclose(cascade.least_squares(x, y, counts)["weight"], truth, atol=0.02)


def test_the_two_maps_lead_back():
    maps, x = identity_maps(3), torch.randn(2, 3, 5, 4, 4)
    large = cascade.enlarge(x, maps["up"])
    assert torch.equal(large, x.repeat_interleave(2, 3).repeat_interleave(2, 4))
    assert torch.allclose(cascade.reduce(large, maps["down"]), x, atol=1e-6)


class Perfect(torch.nn.Module):
    """Knows the one clip there is, in both sizes, and counts who asked at which level."""

    def __init__(self, clip: torch.Tensor) -> None:
        super().__init__()
        self.clips = {clip.shape[-1]: clip, clip.shape[-1] // 2: clip[..., ::2, ::2]}
        self.asked: list[tuple[int, float]] = []

    def forward(self, x, timestep, context):
        sigma = timestep.reshape(len(x), -1).amax(1) / 1000
        self.asked.append((x.shape[-1], float(sigma[0])))
        return (x - self.clips[x.shape[-1]]) / sigma.view(-1, 1, 1, 1, 1)


def test_layout_comes_from_the_half_size_and_detail_from_the_whole():
    torch.manual_seed(1)
    clip = torch.randn(1, 3, 2, 8, 8)
    model, random = Perfect(clip), torch.Generator().manual_seed(2)
    context = torch.zeros(1, 1, 1)
    made = cascade.sample_cascade(model, identity_maps(3), context, context, torch.randn(clip.shape), 8, 3.0, 1.0, random)
    assert torch.allclose(made, clip, atol=1e-4)
    small, large = ([level for side, level in model.asked if side == wanted] for wanted in (4, 8))
    assert small == sampler.sigmas(8, cascade.SHIFT)[:-1].tolist()
    assert large == [level for level in sampler.sigmas(8, 3.0)[:-1].tolist() if level <= cascade.REFINE_FROM]


def test_given_frames_stay_in_both_sizes():
    torch.manual_seed(3)
    clip = torch.randn(1, 3, 3, 8, 8)
    model = Perfect(torch.zeros_like(clip))
    known, context = torch.tensor([[True, False, False]]), torch.zeros(1, 1, 1)
    made = cascade.sample_cascade(model, identity_maps(3), context, context, torch.randn(clip.shape), 4, 3.0, 1.0,
                                  torch.Generator().manual_seed(4), clip, known)
    assert torch.equal(made[:, :, 0], clip[:, :, 0]) and made[:, :, 1:].abs().max() < 1e-4


def test_renoising_takes_fresh_noise_in_each_step():
    clip = torch.ones(1, 1, 1, 2, 2)
    model, context = Perfect(clip), torch.zeros(1, 1, 1)
    levels, seen = torch.tensor([1.0, 0.5, 0.0]), []
    model.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    made = sampler.sample(model, context, context, torch.randn(clip.shape), 2, 1.0, 1.0, renoise=torch.Generator().manual_seed(5),
                          levels=levels)
    fresh = torch.randn(clip.shape, generator=torch.Generator().manual_seed(5))
    assert torch.allclose(seen[1], 0.5 * clip + 0.5 * fresh, atol=1e-6) and torch.allclose(made, clip, atol=1e-6)


def test_a_guess_is_the_same_clip_enlarged(tmp_path):
    """Of clips of which the half is cached too; the first size itself, and one that is no double of it, have none."""
    random = np.random.default_rng(7)
    for name, side, numbers in (("64x64", 8, (1, 0)), ("128x128", 16, (0, 2)), ("96x96", 12, (0,))):
        folder = tmp_path / f"latents-{name}"
        folder.mkdir()
        for number in numbers:
            np.save(folder / f"{number:06d}.npy", random.standard_normal((SHARD, 3, 2, side, side)).astype(np.float16))
            np.save(folder / f"{number:06d}.tokens.npy", np.zeros((SHARD, 2, side // 2, side // 2), np.int8))
    (tmp_path / "statistics.json").write_text(json.dumps({"mean": [0.0] * 3, "std": [1.0] * 3}))
    sizes = [((64, 64), 0.5), ((128, 128), 0.3), ((96, 96), 0.2)]
    assert Pool(tmp_path, sizes, 4).guess(1, [3]) is None
    checkpoint.save(tmp_path / "cascade.pt", identity_maps(3))
    pool = Pool(tmp_path, sizes, 4)
    guess = pool.guess(1, [3, 9])
    assert pool.sets[0].numbers == [0, 1]
    for made, k in zip(guess, (3, 9)):
        small = pool.sets[0][k][1]
        assert torch.equal(made, small.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert pool.guess(0, [3]) is None and pool.guess(2, [3]) is None and pool.guess(1, [3, SHARD + 1]) is None


def test_maps_that_were_kept_can_be_exported(tmp_path):
    work, again, maps = tmp_path / "work", tmp_path / "again", identity_maps(3)
    (work / "tokenizer").mkdir(parents=True)
    checkpoint.save(work / "cascade.pt", maps)
    snapshot.save(work, tmp_path / "state")
    snapshot.restore(again, tmp_path / "state")
    write_cascade(tmp_path / "cascade", cascade.load(again))
    found = load_cascade(tmp_path)
    assert all(torch.equal(found[name][part], maps[name][part]) for name in maps for part in maps[name])
