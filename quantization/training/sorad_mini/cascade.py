"""A clip in two sizes: its layout at half the sides, where a clip is a quarter of the tokens, its detail at the whole.

    python -m sorad_mini.cascade fit --work DIR --small 64x64 --large 128x128
    python -m sorad_mini.cascade sheet --work DIR --output sheet.png "a red ball bounces on green grass" ...

The half size is sampled from noise to the end; its latents are enlarged, noised to `REFINE_FROM` and sampled on at the
whole size (cascades: Ho et al. 2021, arXiv 2106.15282; beginning from a noised guess: Meng et al. 2021, SDEdit, arXiv
2108.01073). Where things stand is settled above that level, what they look like below.

Latents are enlarged by one 3 x 3 convolution and a pixel shuffle, and made smaller, for frames that are given, by the
inverse of the shuffle and one more 3 x 3 convolution: both are least squares of cached clips, since a scene has the same
number in all sizes. What they get wrong is far below the noise that follows: decoding, bicubic pixels and encoding lead
to the same clip.
Reads WORK/latents-*; writes WORK/cascade.pt, {up, down: {weight, bias}}, on latents as (latent - mean) / std.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from . import checkpoint
from .cache import SHARD, Latents
from .pool import parse_size
from .sampler import sample, sigmas
from .transformer import Transformer

REFINE_FROM = 0.75
SHIFT = 2.0             # of the half size; the whole size keeps its own
LEAST_SIDE = 64         # pixels of the shortest side that a half size may have: the smallest that is trained
RIDGE = 1e-3            # of the mean square of what is read
THINGS = 4.0            # weight of latent pixels that show things

Map = dict[str, Tensor]


def per_frame(convolve, x: Tensor) -> Tensor:
    """A function of pictures [N, C, h, w] on each latent frame of [B, C, T, h, w]."""
    b = x.shape[0]
    return convolve(x.transpose(1, 2).flatten(0, 1)).unflatten(0, (b, -1)).transpose(1, 2)


def enlarge(x: Tensor, up: Map) -> Tensor:
    """[B, C, T, h, w] to [B, C, T, 2h, 2w]; output channel 4c + 2r + s of the convolution is row r, column s of channel c."""
    return per_frame(lambda y: F.pixel_shuffle(F.conv2d(y, up["weight"], up["bias"], padding=1), 2), x)


def reduce(x: Tensor, down: Map) -> Tensor:
    """[B, C, T, 2h, 2w] to [B, C, T, h, w]; the convolution reads the channels that `enlarge` shuffles."""
    return per_frame(lambda y: F.conv2d(F.pixel_unshuffle(y, 2), down["weight"], down["bias"], padding=1), x)


def least_squares(x: Tensor, y: Tensor, weight: Tensor) -> Map:
    """The 3 x 3 convolution, padded with zeros, that comes nearest to y [N, D, h, w] from x [N, C, h, w]; weight [N, h, w]."""
    size = 9 * x.shape[1] + 1
    normal, right = (torch.zeros(size, columns, dtype=torch.float64) for columns in (size, y.shape[1]))
    for part, wanted, counts in zip(x.split(64), y.split(64), weight.split(64)):
        left = F.unfold(part, 3, padding=1).transpose(1, 2).flatten(0, 1).double()
        left = torch.cat([left, torch.ones_like(left[:, :1])], 1)
        weighted = (left * counts.flatten()[:, None].double()).T
        normal += weighted @ left
        right += weighted @ wanted.flatten(2).transpose(1, 2).flatten(0, 1).double()
    normal += torch.eye(size, dtype=torch.float64) * RIDGE * normal.diagonal().mean()
    found = torch.linalg.solve(normal, right).float()
    return {"weight": found[:-1].T.reshape(y.shape[1], x.shape[1], 3, 3).contiguous(), "bias": found[-1].contiguous()}


def pairs(work: Path, small: tuple[int, int], large: tuple[int, int], clips: int) -> tuple[Tensor, Tensor, Tensor]:
    """Latent frames of the same scenes in both sizes, [N, C, h, w] and [N, C, 2h, 2w], and what large ones show, [N, h, w]."""
    a, b = (Latents(work, *size) for size in (small, large))
    shared = [number for number in b.numbers if number in a.numbers]
    if not shared:
        raise SystemExit(f"{work} holds no scenes in both sizes: run sorad_mini.cache with both")
    picked = np.random.default_rng(8).choice(len(shared) * SHARD, min(clips, len(shared) * SHARD), replace=False)
    found: tuple[list[Tensor], ...] = ([], [], [])
    for k in picked:
        shard, i = shared[k // SHARD], int(k % SHARD)
        one, other = (s[s.numbers.index(shard) * SHARD + i] for s in (a, b))
        for values, value in zip(found, (one[1].transpose(0, 1), other[1].transpose(0, 1), other[2] >= 0)):
            values.append(value)
    return tuple(torch.cat(values) for values in found)


def fit(x: Tensor, y: Tensor, shown: Tensor) -> dict[str, Map]:
    """Of what `pairs` returns."""
    weight = 1 + (THINGS - 1) * shown.double()
    apart = F.pixel_unshuffle(y, 2)
    return {"up": least_squares(x, apart, weight), "down": least_squares(apart, x, weight)}


@torch.no_grad()
def sample_cascade(model: Transformer, maps: dict[str, Map], context: Tensor, empty: Tensor, noise: Tensor, steps: int,
                   shift: float, guidance: float, random: torch.Generator, given: Tensor | None = None,
                   known: Tensor | None = None) -> Tensor:
    """Latents [B, C, T, h, w] as `sampler.sample` returns them, from noise of that shape, a quarter of which begins the
    half size. Both sizes re-noise; `steps` are those of a whole schedule, of which the whole size takes the last."""
    small_given = None if given is None else reduce(given, maps["down"])
    small = sample(model, context, empty, noise[..., ::2, ::2], steps, SHIFT, guidance, small_given, known, renoise=random)
    levels = sigmas(steps, shift)
    levels = levels[levels <= REFINE_FROM + 1e-6]
    x = enlarge(small, maps["up"])
    x = x + levels[0] * (torch.randn(x.shape, generator=random).to(x.device) - x)
    return sample(model, context, empty, x, steps, shift, guidance, given, known, renoise=random, levels=levels)


def load(work: Path) -> dict[str, Map] | None:
    return checkpoint.load(work / "cascade.pt")


def write_sheet_of(args: argparse.Namespace) -> None:
    from .tokenizer import Tokenizer
    from .train_transformer import Model, write_sheet
    from .transformer import TransformerConfig
    stored = checkpoint.load(args.work / "transformer.pt")
    if stored is None:
        raise SystemExit(f"{args.work}/transformer.pt is missing: run sorad_mini.train_transformer first")
    tokenizer = Tokenizer(args.work / "tokenizer")
    model = Model(len(tokenizer), TransformerConfig(**stored["config"]))
    model.load_state_dict(stored["ema"])
    write_sheet(args.output, model.eval(), tokenizer, Latents(args.work, *args.large), args.work, args.prompts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("fit", "sheet"))
    parser.add_argument("prompts", nargs="*", help="of the sheet")
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--small", type=parse_size, default=(64, 64))
    parser.add_argument("--large", type=parse_size, default=(128, 128))
    parser.add_argument("--clips", type=int, default=600)
    parser.add_argument("--output", type=Path, default=Path("sheet.png"))
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_intermixed_args()
    torch.set_num_threads(args.threads)
    if args.command == "sheet":
        write_sheet_of(args)
        return
    found = pairs(args.work, args.small, args.large, args.clips)
    # the first tenth of the clips is not fitted: what is said of the maps is measured on it
    border = len(found[0]) // 10
    maps = fit(*(values[border:] for values in found))
    checkpoint.save(args.work / "cascade.pt", maps)
    x, y, shown = (values[:border] for values in found)
    up, down = enlarge(x[:, :, None], maps["up"])[:, :, 0], reduce(y[:, :, None], maps["down"])[:, :, 0]
    inside = shown.repeat_interleave(2, 1).repeat_interleave(2, 2)
    for name, made, truth, where in (("enlarged", up, y, inside), ("made smaller", down, x, shown)):
        error, power = ((z.square().mean(1)[where]).mean() for z in (made - truth, truth))
        print(f"{name}: error {error:.3f} of {power:.3f} where things are")


if __name__ == "__main__":
    main()
