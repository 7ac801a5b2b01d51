import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sorad_mini import enhance


@pytest.mark.parametrize("name, config, frames, side", [("upscaler", enhance.UPSCALER, 3, 32), ("interpolator", enhance.INTERPOLATOR, 2, 16)])
@torch.no_grad()
def test_a_fresh_network_adds_nothing(name, config, frames, side):
    clip = torch.rand(2, 3, 3, 16, 16)
    made = enhance.make(name, enhance.Enhancer(config), clip)
    assert made.shape == (2, frames, 3, side, side)
    plain = clip.repeat_interleave(2, -1).repeat_interleave(2, -2) if name == "upscaler" else (clip[:, 1:] + clip[:, :-1]) / 2
    assert torch.equal(made, plain)


@torch.no_grad()
def test_frames_depend_on_earlier_ones_alone():
    torch.manual_seed(0)
    for name, config in (("upscaler", enhance.UPSCALER), ("interpolator", enhance.INTERPOLATOR)):
        model = enhance.Enhancer(config)
        torch.nn.init.normal_(model.blocks[-1].conv.weight, std=0.1)
        clip = torch.rand(1, 4, 3, 16, 16)
        changed = clip.clone()
        changed[:, 3] = 0
        a, b = enhance.make(name, model, clip), enhance.make(name, model, changed)
        assert torch.equal(a[:, :-1], b[:, :-1]) and not torch.equal(a[:, -1], b[:, -1])


@pytest.mark.parametrize("name, scale", [("upscaler", 2), ("interpolator", 1)])
def test_a_pair_is_of_one_scene(name, scale):
    given, wanted = enhance.rendered(name, 3, "heldout")
    assert given.shape == (9, 128, 128, 3) and wanted.shape[1] == 128 * scale
    clips = [torch.from_numpy(x.astype(np.float32) / 255).permute(0, 3, 1, 2)[None] for x in (given, wanted)]
    error = enhance.plainly(name, clips[0]) - clips[1]
    assert error.abs().mean() < 0.03


def test_what_is_trained_is_exported(tmp_path):
    enhance.checkpoint.save(tmp_path / "upscaler.pt", dict(
        ema=enhance.Enhancer(enhance.UPSCALER).state_dict(), config=enhance.asdict(enhance.UPSCALER)))
    assert enhance.export(tmp_path, tmp_path / "out") == [tmp_path / "out" / "upscaler"]
    said = json.loads((tmp_path / "out/upscaler/config.json").read_text())
    assert said["_class_name"] == "FrameEnhancer" and said["blocks"] == list(enhance.UPSCALER.blocks)
    weights = load_file(tmp_path / "out/upscaler/diffusion_pytorch_model.safetensors")
    assert weights["0.conv.weight"].shape == (48, 12, 3, 3) and weights["1.conv.0.bias"].shape == (48,)
