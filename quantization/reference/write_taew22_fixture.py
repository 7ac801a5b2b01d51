"""Writes a tiny autoencoder as `taew2_2` is published (one file of half precision, 48 latent channels, patches of 2 pixels), and what the
reference module makes of it.

    python quantization/reference/write_taew22_fixture.py Tests/Fixtures/models/taew2_2
"""
from __future__ import annotations

import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from taehv_reference import ReferenceTAEHV
from write_fixtures import autoencoder_reference, randomise

SEED, CHANNELS = 22, 48


@torch.no_grad()
def main() -> None:
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    model = ReferenceTAEHV(dict(
        _class_name="AutoencoderTAEHV", image_channels=3, latent_channels=CHANNELS, patch_size=2, encoder_channels=[6, 6, 8, 8],
        decoder_channels=[14, 10, 8, 6], encoder_padding="back", encoder_time_downscale=[True, True, False],
        decoder_time_upscale=[False, True, True], decoder_space_upscale=[True, True, True])).eval()
    randomise(model, gain=1.0)
    halves = {key: value.half().contiguous() for key, value in model.state_dict().items()}
    save_file(halves, folder / "taew2_2.safetensors")
    model.load_state_dict({key: value.float() for key, value in halves.items()})
    out: dict[str, torch.Tensor] = {}
    # Latents are those of the transformer, as they are.
    autoencoder_reference(model, torch.zeros(CHANNELS), torch.ones(CHANNELS), out)
    # The longest ones tell nothing more.
    kept = {key: value for key, value in out.items() if not key.startswith(("vae.3", "vae.encode.8"))}
    save_file({key: value.contiguous() for key, value in kept.items()}, folder / "reference.safetensors")


if __name__ == "__main__":
    main()
