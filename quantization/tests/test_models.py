"""The modules: published layouts, causality, and equality with diffusers."""
import math

import numpy as np
import pytest
import torch

from sorad_mini import autoencoder, light, position, sampler, transformer
from sorad_mini.optimizer import orthogonalise


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return autoencoder.Autoencoder(autoencoder.AutoencoderConfig(
        encoder_channels=(8, 8, 12, 16), decoder_channels=(16, 12, 8, 8))).eval()


@torch.no_grad()
def test_seventeen_frames_are_five_latent_frames_and_back(small):
    latent = small.encode(torch.rand(2, 17, 3, 64, 96))
    assert latent.shape == (2, 5, 48, 4, 6)
    assert small.decode(latent).shape == (2, 17, 3, 64, 96)


@torch.no_grad()
def test_latents_and_pictures_depend_on_the_past_alone(small):
    clip = torch.rand(1, 17, 3, 32, 32)
    changed = clip.clone()
    changed[:, 9:] = 0
    a, b = small.encode(clip), small.encode(changed)
    assert torch.equal(a[:, :3], b[:, :3]) and not torch.equal(a[:, 3], b[:, 3])
    z = a.clone()
    z[:, 3:] = 0
    assert torch.allclose(small.decode(a)[:, :9], small.decode(z)[:, :9], atol=1e-6)


@torch.no_grad()
def test_the_first_latent_is_the_first_picture_alone(small):
    clip = torch.rand(1, 5, 3, 32, 32)
    assert torch.allclose(small.encode(clip)[:, :1], small.encode(clip[:, :1]), atol=1e-6)


def test_standard_widths_have_the_published_names_and_shapes():
    wan22 = autoencoder.Autoencoder(autoencoder.AutoencoderConfig(
        encoder_channels=(64, 64, 64, 64), decoder_channels=(256, 128, 64, 64)))
    state = {k: tuple(v.shape) for k, v in wan22.state_dict().items()}
    assert state["encoder.0.weight"] == (64, 12, 3, 3)
    assert state["encoder.2.conv.weight"] == (64, 128, 1, 1)
    assert state["encoder.3.weight"] == (64, 64, 3, 3) and "encoder.3.bias" not in state
    assert state["encoder.4.conv.0.weight"] == (64, 128, 3, 3)
    assert state["encoder.12.conv.weight"] == (64, 64, 1, 1)
    assert state["encoder.17.weight"] == (48, 64, 3, 3)
    assert state["decoder.1.weight"] == (256, 48, 3, 3)
    assert state["decoder.7.conv.weight"] == (256, 256, 1, 1)
    assert state["decoder.13.conv.weight"] == (256, 128, 1, 1)
    assert state["decoder.14.weight"] == (64, 128, 3, 3) and "decoder.14.bias" not in state
    assert state["decoder.22.weight"] == (12, 64, 3, 3)


@pytest.mark.parametrize("per_token", [False, True])
@torch.no_grad()
def test_the_transformer_equals_diffusers(per_token):
    diffusers = pytest.importorskip("diffusers")
    config = transformer.TransformerConfig(num_attention_heads=2, ffn_dim=256, num_layers=2, text_dim=64)
    said = {k: v for k, v in config.to_json().items() if not k.startswith("_")}
    torch.manual_seed(1)
    reference = diffusers.WanTransformer3DModel(**said).eval()
    ours = transformer.Transformer(config).eval()
    ours.load_state_dict(reference.state_dict())
    latent, context = torch.randn(2, 48, 5, 4, 6), torch.randn(2, 24, 64)
    context[:, 9:] = 0
    timestep = torch.rand(2, 30) * 1000 if per_token else torch.tensor([900.0, 12.0])
    wanted = reference(latent, timestep, context, return_dict=False)[0]
    assert (ours(latent, timestep, context) - wanted).norm() / wanted.norm() < 1e-5
    bias = torch.zeros(10)
    bias[-1] = math.log(24 - 9)
    assert (ours(latent, timestep, context[:, :10], bias) - wanted).norm() / wanted.norm() < 1e-5


@torch.no_grad()
def test_known_frames_come_back_untouched():
    torch.manual_seed(2)
    model = transformer.Transformer(transformer.TransformerConfig(num_attention_heads=1, ffn_dim=64, num_layers=1))
    given, noise = torch.randn(1, 48, 5, 4, 4), torch.randn(1, 48, 5, 4, 4)
    known = torch.tensor([[True, False, False, False, True]])
    made = sampler.sample(model, torch.randn(1, 8, 256), torch.zeros(1, 8, 256), noise, 3, 2.0, 2.0, given, known)
    assert torch.equal(made[:, :, [0, 4]], given[:, :, [0, 4]]) and not torch.equal(made[:, :, 1], noise[:, :, 1])


def test_sigmas_run_from_one_to_zero():
    levels = sampler.sigmas(8, 3.0).numpy()
    assert levels[0] == 1 and levels[-1] == 0 and np.all(np.diff(levels) < 0)
    assert levels[4] == pytest.approx(3 * 0.5 / (1 + 2 * 0.5))


def test_muon_updates_are_nearly_orthogonal():
    torch.manual_seed(3)
    values = torch.linalg.svdvals(orthogonalise(torch.randn(24, 60), steps=8))
    assert values.min() > 0.6 and values.max() < 1.3


@torch.no_grad()
def test_opening_the_blocks_changes_nothing_at_that_moment(small):
    latents = 0.5 * torch.randn(2, 5, 48, 4, 4)
    light.prepare_decoder(small, latents)
    autoencoder.MemBlock.light = True
    try:
        before = small.decode(latents)
    finally:
        autoencoder.MemBlock.light = False
    light.open_blocks(small, latents)
    assert torch.allclose(small.decode(latents), before, atol=1e-5)
    assert small.decoder[3].conv[0].weight.abs().sum() > 0


@torch.no_grad()
def test_a_fresh_transformer_tells_the_edges_of_the_picture():
    torch.manual_seed(4)
    model = transformer.Transformer()
    model.initialise()
    position.initialise_position(model)
    seen = []
    model.blocks[1].register_forward_hook(lambda _, __, out: seen.append(out.unflatten(1, (5, 4, 4))))
    model(torch.randn(4, 48, 5, 8, 8), torch.full((4,), 1000.0), torch.randn(4, 6, 256))
    flags = seen[0][..., 240:244].mean((0, 1))          # [row, column, side]: below 0 where no neighbour exists
    above, below, left, right = flags.unbind(-1)
    assert above[0].max() < -0.5 < 0 < above[1:].min()
    assert below[3].max() < -0.5 < 0 < below[:3].min()
    assert left[:, 0].max() < -0.5 < 0 < left[:, 1:].min()
    assert right[:, 3].max() < -0.5 < 0 < right[:, :3].min()
