"""The modules: causality, equality with diffusers, and beginnings that do what their authors say."""
import dataclasses
import math

import numpy as np
import pytest
import torch

from sorad_mini import autoencoder, fit_encoder, losses, position, sampler, transformer
from sorad_mini.optimizer import orthogonalise
from sorad_mini.train_transformer import kept_tokens

SMALL = autoencoder.AutoencoderConfig(
    latent_channels=24,
    encoder=("conv 48 56 relu", "time_pool 56 96", "mem 96", "time_pool 96 64", "mem 64", "down 64 48", "mem 48", "conv 48 24"),
    decoder=("conv 24 48 relu", "mem 48", "mem 48", "space_grow 48 64", "mem 64", "time_grow 64 96", "mem 96",
             "time_grow 96 56", "mem 56", "conv 56 48"))


@pytest.fixture(scope="module")
def small():
    torch.manual_seed(0)
    return autoencoder.Autoencoder(SMALL).eval()


def smooth_clips(count: int) -> torch.Tensor:
    """[count, 17, 3, 32, 32]: coloured waves that travel, so that a linear code can hold them."""
    random = torch.Generator().manual_seed(5)
    t, y, x = torch.meshgrid(torch.arange(17.0), torch.arange(32.0), torch.arange(32.0), indexing="ij")
    clips = []
    for _ in range(count):
        k = 0.3 * torch.rand(3, 3, generator=random)
        waves = torch.stack([torch.sin(a * x + b * y + 0.5 * c * t + 6 * a) for a, b, c in k], 1)
        clips.append(0.5 + 0.4 * waves)
    return torch.stack(clips)


@torch.no_grad()
def test_seventeen_frames_are_five_latent_frames_and_back(small):
    latent = small.encode(torch.rand(2, 17, 3, 64, 96))
    assert latent.shape == (2, 5, 24, 8, 12)
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
def test_a_decoder_grows_without_a_change(small):
    lines = list(SMALL.decoder)
    at = lines.index("mem 64") + 1
    more = dataclasses.replace(SMALL, decoder=(*lines[:at], "mem 64", *lines[at:]))
    new = autoencoder.grown(small, more)
    clip = torch.rand(1, 9, 3, 32, 32)
    latent = small.encode(clip)
    assert torch.equal(new.encode(clip), latent)
    assert torch.allclose(new.decode(latent), small.decode(latent), atol=1e-6)
    new.decoder[at].conv[4].bias += 0.1
    assert not torch.allclose(new.decode(latent), small.decode(latent), atol=1e-3)
    for decoder in (lines[1:], [*lines, "conv 48 48"]):
        with pytest.raises(ValueError, match="decoder has no"):
            autoencoder.grown(small, dataclasses.replace(SMALL, decoder=tuple(decoder)))


@torch.no_grad()
def test_the_first_latent_is_the_first_picture_alone(small):
    clip = torch.rand(1, 5, 3, 32, 32)
    assert torch.allclose(small.encode(clip)[:, :1], small.encode(clip[:, :1]), atol=1e-6)


@torch.no_grad()
def test_the_linear_beginning_inverts_itself():
    """All of a clip that the kept components hold comes back through 18 layers, and no grid is left."""
    torch.manual_seed(1)
    model = autoencoder.Autoencoder(SMALL).eval()
    clips = smooth_clips(24)
    fit_encoder.fit(model, clips[4:])
    quality = losses.evaluate(model, clips[:4])
    assert quality["psnr"] > 35


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
    latent, context = torch.randn(2, config.in_channels, 5, 4, 6), torch.randn(2, 24, 64)
    context[:, 9:] = 0
    timestep = torch.rand(2, 30) * 1000 if per_token else torch.tensor([900.0, 12.0])
    wanted = reference(latent, timestep, context, return_dict=False)[0]
    assert (ours(latent, timestep, context) - wanted).norm() / wanted.norm() < 1e-5
    bias = torch.zeros(10)
    bias[-1] = math.log(24 - 9)
    assert (ours(latent, timestep, context[:, :10], bias) - wanted).norm() / wanted.norm() < 1e-5
    again, tapped = ours(latent, timestep, context, tap=0)
    assert torch.equal(again, ours(latent, timestep, context)) and tapped.shape == (2, 30, config.width)


@torch.no_grad()
def test_tokens_that_are_dropped_are_those_that_are_not_kept():
    config = transformer.TransformerConfig(num_attention_heads=2, attention_head_dim=12, in_channels=4, out_channels=4,
                                           text_dim=8, ffn_dim=32, num_layers=5, freq_dim=16)
    torch.manual_seed(0)
    model = transformer.Transformer(config).eval()
    latent, timestep, context = torch.randn(2, 4, 2, 4, 4), torch.tensor([300.0, 700.0]), torch.randn(2, 3, 8)
    whole, tapped = model(latent, timestep, context, tap=2)
    order = torch.stack([torch.randperm(8), torch.randperm(8)])
    places = order[..., None].expand(-1, -1, 16)
    all_, kept = model(latent, timestep, context, tap=2, kept=order)
    assert torch.allclose(all_, transformer.tokens_of(whole).gather(1, places), atol=1e-5)
    assert torch.allclose(kept, tapped.gather(1, order[..., None].expand(-1, -1, 24)), atol=1e-5)
    half, few = model(latent, timestep, context, tap=2, kept=order[:, :4])
    assert few.shape == (2, 4, 24) and half.shape == (2, 4, 16) and not torch.allclose(half, all_[:, :4], atol=1e-3)
    each = timestep[:, None].expand(-1, 8)
    assert torch.allclose(model(latent, each, context, tap=2, kept=order[:, :4])[0], half, atol=1e-5)
    # the first blocks see the dropped tokens
    latent[:, :, 1] += 1.0
    early = (order < 4).nonzero()[:, 1].view(2, 4)
    changed, _ = model(latent, timestep, context, tap=2, kept=order.gather(1, early))
    assert not torch.allclose(changed, all_.gather(1, early[..., None].expand(-1, -1, 16)), atol=1e-3)


def test_tokens_that_show_things_are_kept():
    shown = torch.full((3, 20), -1)
    shown[0, [2, 7]], shown[1, 5:13] = 1, 0
    kept = kept_tokens(shown, 0.5, torch.Generator().manual_seed(1))
    assert kept.shape == (3, 10) and all(len(set(row.tolist())) == 10 for row in kept)
    assert {2, 7} <= set(kept[0].tolist()) and set(range(5, 13)) <= set(kept[1].tolist())

def test_known_frames_come_back_untouched():
    torch.manual_seed(2)
    model = transformer.Transformer(transformer.TransformerConfig(num_attention_heads=1, ffn_dim=64, num_layers=1))
    shape = (1, model.config.in_channels, 5, 4, 4)
    given, noise = torch.randn(shape), torch.randn(shape)
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
def test_a_fresh_transformer_tells_the_edges_of_the_picture():
    torch.manual_seed(4)
    model = transformer.Transformer()
    channels = model.config.in_channels
    model.initialise()
    position.initialise_position(model)
    seen = []
    model.blocks[1].register_forward_hook(lambda _, __, out: seen.append(out.unflatten(1, (5, 4, 4))))
    model(torch.randn(4, channels, 5, 8, 8), torch.full((4,), 1000.0), torch.randn(4, 6, 256))
    at = 4 * channels + len(position.SIDES) * position.OBSERVED
    flags = seen[0][..., at:at + 4].mean((0, 1))        # [row, column, side]: below 0 where no neighbour exists
    above, below, left, right = flags.unbind(-1)
    assert above[0].max() < -0.4 < 0 < above[1:].min()
    assert below[3].max() < -0.4 < 0 < below[:3].min()
    assert left[:, 0].max() < -0.4 < 0 < left[:, 1:].min()
    assert right[:, 3].max() < -0.4 < 0 < right[:, :3].min()


def test_noise_levels_reach_where_a_scene_is_laid_out():
    from sorad_mini.train_transformer import noise_levels
    sigma = noise_levels(4000, 2.0, torch.Generator().manual_seed(0))
    assert 0 < sigma.min() and sigma.max() < 1
    assert 0.08 < (sigma > 0.94).float().mean() < 0.12
    assert 0.15 < (sigma < 0.5).float().mean() < 0.25


def test_noise_levels_can_be_divided_at_one():
    from sorad_mini.train_transformer import noise_levels, share_below
    random = torch.Generator().manual_seed(0)
    border = share_below(0.65, 3.0)
    assert border == pytest.approx(float((noise_levels(4000, 3.0, random) < 0.65).float().mean()), abs=0.01)
    low, high = noise_levels(200, 3.0, random, (0.0, border)), noise_levels(200, 3.0, random, (border, 1.0))
    assert low.max() <= 0.65 + 1e-4 and high.min() >= 0.65 - 1e-4
    assert low.min() < 0.2 and high.max() > 0.97


def test_a_configuration_that_was_json_is_the_same():
    import json
    config = autoencoder.AutoencoderConfig()
    assert autoencoder.AutoencoderConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config
