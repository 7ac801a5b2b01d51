"""Two small networks for after the decoder: pictures of twice the sides, and a frame between every two.

    python -m sorad_mini.enhance upscaler --work DIR --minutes 60 --bf16
    python -m sorad_mini.enhance interpolator --work DIR --minutes 60 --bf16
    python -m sorad_mini.enhance export --work DIR --output DIR/enhancers   # what of them there is, for sorad-quantize

Both are lists of the autoencoder's blocks (`autoencoder`), run frame by frame by the engine, which hands each MemBlock
the frame before; neither looks ahead. Both learn what plain arithmetic leaves over:

- upscaler: frame t of twice the sides is every pixel of frame t four times, plus what the network adds;
- interpolator: the frame between t - 1 and t is their mean, plus what the network adds. It knows frame t - 1 through its
  MemBlocks alone. At the first frame nothing is made.

They learn from rendered clips at twice the size or twice the rate; what they are given is blurred and noisy, or has been
through the autoencoder, as what a model makes is. Writes WORK/NAME.pt, resumable.
"""
from __future__ import annotations

import argparse
import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional as F

from . import checkpoint
from .autoencoder import block, run_blocks
from .cache import load_trained
from .losses import motion_mask, psnr, reconstruction_loss, to_float
from .optimizer import Muon, schedule, split_parameters
from .render import render_clip
from .world import FPS, sample_scene

SIDE, FRAMES = 128, 9
FIRST_SCENE = 8_000_000     # of the train split: scenes of their own
FROM_AUTOENCODER = 0.5      # share of the inputs that have been through it, where there is one


@dataclass
class EnhancerConfig:
    """`patch_size` pixels along a side enter as channels; the last block gives 3 * patch_size^2 * growth^2 of them."""
    patch_size: int
    blocks: tuple[str, ...]


UPSCALER = EnhancerConfig(2, ("conv 12 48 relu", "mem 48", "mem 48", "space_grow 48 32", "conv 32 12"))
INTERPOLATOR = EnhancerConfig(4, ("conv 48 64 relu", "mem 64", "mem 64", "mem 64", "conv 64 48"))


class Enhancer(nn.Module):
    """Clips [N, F, 3, H, W] in [0, 1] to what is added; its last convolution begins at zero."""

    def __init__(self, config: EnhancerConfig) -> None:
        super().__init__()
        self.config = config
        self.blocks = nn.Sequential(*(block(line) for line in config.blocks))
        nn.init.zeros_(self.blocks[-1].conv.weight)
        nn.init.zeros_(self.blocks[-1].conv.bias)

    def forward(self, clip: Tensor) -> Tensor:
        return F.pixel_shuffle(run_blocks(self.blocks, F.pixel_unshuffle(clip, self.config.patch_size)).float(),
                               self.config.patch_size)


def write_enhancer(model: Enhancer, folder: Path) -> None:
    """A network as `sorad-quantize` reads it: config.json and its weights in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    config = {"_class_name": "FrameEnhancer", "patch_size": model.config.patch_size, "blocks": list(model.config.blocks)}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    state = {k.removeprefix("blocks."): v.detach().float().contiguous().clone() for k, v in model.state_dict().items()}
    save_file(state, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})


def export(work: Path, output: Path) -> list[Path]:
    """Writes OUTPUT/upscaler and OUTPUT/interpolator from those of WORK/*.pt that there are; the averaged weights."""
    written = []
    for name, config in (("upscaler", UPSCALER), ("interpolator", INTERPOLATOR)):
        stored = checkpoint.load(work / f"{name}.pt")
        if stored is None:
            continue
        model = Enhancer(EnhancerConfig(stored["config"]["patch_size"], tuple(stored["config"]["blocks"])) if "config" in stored else config)
        model.load_state_dict(stored["ema"])
        write_enhancer(model, output / name)
        written.append(output / name)
    return written


def upscaled(model: Enhancer, clip: Tensor) -> Tensor:
    """[N, F, 3, H, W] to [N, F, 3, 2H, 2W], not clamped."""
    return clip.repeat_interleave(2, -1).repeat_interleave(2, -2) + model(clip)


def between(model: Enhancer, clip: Tensor) -> Tensor:
    """[N, F, 3, H, W] to the F - 1 frames between them, not clamped."""
    return 0.5 * (clip[:, 1:] + clip[:, :-1]) + model(clip)[:, 1:]


def rendered(name: str, index: int, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """(what the network is given, what it should make) of one scene, uint8 [F, H, W, 3] each, before it is spoiled."""
    scene = sample_scene(split, index)
    if name == "upscaler":
        large = render_clip(scene, 2 * SIDE, 2 * SIDE, FRAMES)
        small = large.reshape(FRAMES, SIDE, 2, SIDE, 2, 3).mean((2, 4))
        return (small + 0.5).astype(np.uint8), large
    dense = render_clip(scene, SIDE, SIDE, 2 * FRAMES - 1, fps=2 * FPS)
    return dense[::2], dense[1::2]


def spoiled(clip: Tensor, rng: np.random.Generator, autoencoder: nn.Module | None) -> Tensor:
    """[N, F, 3, H, W] as a model's clips are."""
    if autoencoder is not None and rng.random() < FROM_AUTOENCODER:
        with torch.no_grad():
            return autoencoder.decode(autoencoder.encode(clip)).float().clamp(0, 1)
    if rng.random() < 0.5:
        amount = float(rng.uniform(0.1, 0.6))
        soft = F.avg_pool2d(F.pad(clip.flatten(0, 1), (1, 1, 1, 1), mode="replicate"), 3, 1).view_as(clip)
        clip = torch.lerp(clip, soft, amount)
    if rng.random() < 0.5:
        clip = clip + torch.randn_like(clip) * float(rng.uniform(0, 0.02))
    return (clip.clamp(0, 1) * 255).round() / 255


class Stock:
    """Rendered pairs in memory, a part of them replaced by new ones now and then: rendering costs more than learning."""

    def __init__(self, name: str, size: int, begin: int) -> None:
        self.name, self.next = name, FIRST_SCENE + begin
        self.pairs = [self._render() for _ in range(size)]

    def _render(self) -> tuple[np.ndarray, np.ndarray]:
        self.next += 1
        return rendered(self.name, self.next)

    def draw(self, batch: int, crop: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """Crops of `crop` pixels of `batch` clips, mirrored half of the time, and what should be made of them."""
        self.pairs[int(rng.integers(len(self.pairs)))] = self._render()
        given, wanted = [], []
        for k in rng.integers(len(self.pairs), size=batch):
            small, large = self.pairs[k]
            scale = large.shape[1] // small.shape[1]
            y, x = (8 * int(v) for v in rng.integers(0, (SIDE - crop) // 8 + 1, 2))
            small, large = small[:, y:y + crop, x:x + crop], large[:, scale * y:scale * (y + crop), scale * x:scale * (x + crop)]
            if rng.random() < 0.5:
                small, large = small[:, :, ::-1], large[:, :, ::-1]
            given.append(small)
            wanted.append(large)
        return to_float(np.stack(given)), to_float(np.stack(wanted))


def make(name: str, model: Enhancer, clip: Tensor) -> Tensor:
    return upscaled(model, clip) if name == "upscaler" else between(model, clip)


def plainly(name: str, clip: Tensor) -> Tensor:
    """What a player would do without the network: bicubic, or the mean of two frames."""
    if name == "upscaler":
        return F.interpolate(clip.flatten(0, 1), scale_factor=2, mode="bicubic").clamp(0, 1).unflatten(0, clip.shape[:2])
    return 0.5 * (clip[:, 1:] + clip[:, :-1])


@torch.no_grad()
def examine(name: str, model: Enhancer, count: int = 12) -> str:
    """PSNR on held-out scenes, whole and where things move, beside what plain arithmetic reaches."""
    pairs = [rendered(name, i, "heldout") for i in range(count)]
    given, wanted = (to_float(np.stack([pair[k] for pair in pairs])) for k in (0, 1))
    mask = motion_mask(wanted)
    rows = {"network": make(name, model, given).clamp(0, 1) - wanted, "plain": plainly(name, given) - wanted}
    return " ".join(f"{what} {psnr(error):.2f} dB, moving {psnr(error, mask):.2f} dB;" for what, error in rows.items())


def train(args: argparse.Namespace) -> None:
    torch.set_num_threads(args.threads)
    config = UPSCALER if args.name == "upscaler" else INTERPOLATOR
    path = args.work / f"{args.name}.pt"
    torch.manual_seed(2)
    model, ema, state = Enhancer(config), Enhancer(config), dict(step=0, spent=0.0)
    optimizer = Muon(split_parameters(model, (f"blocks.{len(config.blocks) - 1}.", "blocks.0.")), lr=args.lr, period=2)
    stored = checkpoint.load(path)
    if stored:
        model.load_state_dict(stored["model"])
        state = stored["state"]
        if stored["optimizer"]:
            optimizer.load_state_dict(stored["optimizer"])
    ema.load_state_dict(stored["ema"] if stored else model.state_dict())
    autoencoder = load_trained(args.work) if (args.work / "autoencoder.pt").exists() else None
    rng, running = np.random.default_rng([9, state["step"]]), None
    stock = Stock(args.name, args.stock, state["step"] + args.stock)
    began = saved = time.monotonic()
    began -= state["spent"]
    while state["spent"] < args.minutes * 60:
        given, wanted = stock.draw(args.batch, args.crop, rng)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * schedule(state["spent"] / (args.minutes * 60), state["step"])
        with torch.autocast("cpu", torch.bfloat16, enabled=args.bf16):
            made = make(args.name, model, spoiled(given, rng, autoencoder))
        loss = reconstruction_loss(made, wanted)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        state["step"] += 1
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), max(0.005, 1 / (1 + state["step"])))
        state["spent"] = time.monotonic() - began
        running = loss.item() if running is None else 0.98 * running + 0.02 * loss.item()
        if state["step"] % 50 == 0:
            print(f"step {state['step']} spent {state['spent']:.0f}s loss {running:.5f}", flush=True)
        if time.monotonic() - saved > 300 or state["spent"] >= args.minutes * 60:
            saved = time.monotonic()
            print("held out:", examine(args.name, ema), flush=True)
            checkpoint.save(path, dict(model=model.state_dict(), ema=ema.state_dict(), optimizer=optimizer.state_dict(),
                                       config=asdict(config), state=state))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=("upscaler", "interpolator", "export"))
    parser.add_argument("--output", type=Path, help="for export; WORK/enhancers without it")
    parser.add_argument("--work", type=Path, default=Path(".train"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--crop", type=int, default=64, help="pixels along a side of what the network is given")
    parser.add_argument("--stock", type=int, default=120, help="clips in memory")
    parser.add_argument("--lr", type=float, default=1.5e-3)
    parser.add_argument("--bf16", action="store_true")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    if args.name != "export":
        return train(args)
    written = export(args.work, args.output or args.work / "enhancers")
    if not written:
        raise SystemExit(f"{args.work} holds neither upscaler.pt nor interpolator.pt: train one of them first")
    print(*written, sep="\n")


if __name__ == "__main__":
    main()
