"""Writes the small random Wan autoencoders that the engine's tests compare with.

    python quantization/reference/write_wan_vae_fixture.py Tests/Fixtures/models/wan-vae

Each folder below the target is what a diffusers checkpoint has as `vae/`, with random weights, beside `reference.safetensors`: latents
and what AutoencoderKLWan decodes them to in float32, clips and what it encodes them to (the mean of the distribution, normalised).
The latents have the channels of the fixture `tiny`, so that its other parts make a whole model with each of these.

Letters: F frames, T latent frames, C latent channels, H x W pixels, h x w latent pixels.
"""
from __future__ import annotations

import json
import platform
import sys
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKLWan
from diffusers.models.autoencoders.autoencoder_kl_wan import WanAttentionBlock
from safetensors.torch import save_file
from torch import Tensor

SEED = 31
CHANNELS = 10

# Widths that are no multiples of 16; the published sizes are base_dim 96, dim_mult [1, 2, 4, 4], two residual blocks.
CONFIGURATIONS = {
    "plain": dict(base_dim=4, decoder_base_dim=6, dim_mult=[1, 2, 2, 3], num_res_blocks=1, attn_scales=[],
                  temperal_downsample=[False, True, True], scale_factor_temporal=4, scale_factor_spatial=8),
    "attention": dict(base_dim=4, dim_mult=[1, 3, 2], num_res_blocks=2, attn_scales=[0.5], temperal_downsample=[True, False],
                      scale_factor_temporal=2, scale_factor_spatial=4),
    # As Wan 2.2 has it: base_dim 160, decoder_base_dim 256.
    "residual": dict(base_dim=2, decoder_base_dim=4, dim_mult=[1, 2, 4, 4], num_res_blocks=1, attn_scales=[],
                     temperal_downsample=[False, True, True], scale_factor_temporal=4, scale_factor_spatial=16, is_residual=True,
                     in_channels=12, out_channels=12, patch_size=2),
    "residual-short": dict(base_dim=4, dim_mult=[1, 2, 2], num_res_blocks=1, attn_scales=[], temperal_downsample=[True, False],
                           scale_factor_temporal=2, scale_factor_spatial=8, is_residual=True, in_channels=12, out_channels=12,
                           patch_size=2),
}


def accept_caches() -> None:
    """diffusers' encoder hands the frame caches to its attention blocks too, which do not take them; they have nothing to remember."""
    attend = WanAttentionBlock.forward
    WanAttentionBlock.forward = lambda self, x, feat_cache=None, feat_idx=None: attend(self, x)


def randomise(vae: AutoencoderKLWan) -> None:
    """Weights that keep activations of order one and pictures mostly within [-1, 1]."""
    for name, parameter in vae.named_parameters():
        if name.endswith("gamma"):
            parameter.copy_(1 + 0.2 * torch.randn_like(parameter))
        elif name.endswith("bias"):
            parameter.copy_(0.2 * torch.randn_like(parameter))
        else:
            parameter.copy_(parameter[0].numel() ** -0.5 * torch.randn_like(parameter))
    vae.decoder.conv_out.weight *= 0.6


def reference(vae: AutoencoderKLWan, out: dict[str, Tensor]) -> None:
    mean, std = (torch.tensor(values).view(1, -1, 1, 1, 1) for values in (vae.config.latents_mean, vae.config.latents_std))
    group, scale = vae.config.scale_factor_temporal, vae.config.scale_factor_spatial
    height, width = (1, 2) if vae.config.is_residual else (2, 3)
    for frames in (1, 5, 9, 17):
        latent = torch.randn(1, CHANNELS, (frames - 1) // group + 1, height, width)
        decoded = vae.decode(latent * std + mean).sample
        assert decoded.shape[2] == frames
        out[f"{frames}.latent"], out[f"{frames}.frames"] = latent[0], decoded[0].transpose(0, 1)
        clip = torch.randint(0, 256, (frames, scale * height, scale * width, 3), dtype=torch.uint8)
        encoded = vae.encode(clip.permute(3, 0, 1, 2)[None] / 255 * 2 - 1).latent_dist.mode()
        out[f"encode.{frames}.clip"], out[f"encode.{frames}.latent"] = clip.float(), ((encoded - mean) / std)[0]


@torch.no_grad()
def main() -> None:
    target = Path(sys.argv[1])
    torch.set_num_threads(1)
    accept_caches()
    for name, said in CONFIGURATIONS.items():
        torch.manual_seed(SEED)
        mean, std = 0.1 * torch.randn(CHANNELS), 0.5 + torch.rand(CHANNELS)
        vae = AutoencoderKLWan(z_dim=CHANNELS, latents_mean=mean.tolist(), latents_std=std.tolist(), **said).eval()
        randomise(vae)
        vae.save_pretrained(target / name)
        out: dict[str, Tensor] = {}
        reference(vae, out)
        save_file({key: value.contiguous() for key, value in out.items()}, target / name / "reference.safetensors")
    recipe = dict(command="python quantization/reference/write_wan_vae_fixture.py Tests/Fixtures/models/wan-vae", seed=SEED,
                  versions=dict(python=platform.python_version(), torch=torch.__version__, diffusers=diffusers.__version__))
    (target / "recipe.json").write_text(json.dumps(recipe, indent=2) + "\n")


if __name__ == "__main__":
    main()
