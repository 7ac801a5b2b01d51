"""Models that start from pictures, from a diffusers folder to an MP4: converted by the real program, run by the real daemon and worker."""
import base64
import json
import pathlib
import subprocess

import pytest

from conftest import BUILD
from test_modes import finished, pixels, post

MODELS = pathlib.Path(__file__).parents[1] / "Fixtures/models"


def picture(tmp_path, color):
    path = tmp_path / f"{color}.png"
    subprocess.run(
        ["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", f"color={color}:size=64x64", "-frames:v", "1", "-y", path], check=True)
    return {"image_url": "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()}


@pytest.mark.parametrize("name", ["i2v-clip", "i2v-experts", "flf2v-clip"])
def test_a_picture_becomes_a_clip(make_daemon, tmp_path, name):
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for part in (MODELS / name).iterdir():
        (folder / part.name).symlink_to(part)
    for part in ("text_encoder", "tokenizer"):
        (folder / part).symlink_to(MODELS / "tiny" / part)
    (folder / "vae").symlink_to(MODELS / "wan-vae/plain")
    model = tmp_path / f"{name}.gguf"
    converted = subprocess.run([BUILD / "sorad-quantize", folder, "-o", model], capture_output=True, text=True)
    assert converted.returncode == 0, converted.stderr
    daemon = make_daemon(model=model)
    red, blue = picture(tmp_path, "red"), picture(tmp_path, "blue")
    both = {"end_image": blue} if name == "flf2v-clip" else {}
    fields = {"prompt": "a red ball", "num_inference_steps": 2, "guidance_scale": 3, "seed": 5, "num_frames": 9, "size": "48x32"}

    refused = post(daemon, "/v1/videos", fields)
    assert "error" in refused and refused["error"]["param"] == "input_reference", refused
    if both:
        assert "end_image" in json.dumps(post(daemon, "/v1/videos", fields | {"input_reference": red})["error"])

    clip = finished(daemon, post(daemon, "/v1/videos", fields | {"input_reference": red} | both))
    assert (clip["size"], clip["num_frames"]) == ("48x32", 9)
    assert len(pixels(daemon, clip["id"], tmp_path / "clip.mp4")) == 9 * 48 * 32 * 3
    # The picture is read, and the same one gives the same clip.
    again = finished(daemon, post(daemon, "/v1/videos", fields | {"input_reference": red} | both))
    other = finished(daemon, post(daemon, "/v1/videos", fields | {"input_reference": blue} | both))
    assert again["sha256"] == clip["sha256"] != other["sha256"]
