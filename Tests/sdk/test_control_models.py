"""Models that follow a clip (VACE), from a diffusers folder to an MP4, and Fun InP in its own names: the real programs, a real daemon."""
import base64
import json
import pathlib
import struct
import subprocess

import pytest

from conftest import BUILD
from test_modes import finished, pixels, post
from test_picture_models import picture

MODELS = pathlib.Path(__file__).parents[1] / "Fixtures/models"
FIELDS = {"prompt": "a red ball", "num_inference_steps": 2, "guidance_scale": 3, "seed": 5, "num_frames": 9, "size": "48x32"}


def checkpoint(tmp_path, name):
    """A whole diffusers folder of a fixture."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    for part in (MODELS / name).iterdir():
        (folder / part.name).symlink_to(part)
    for part in ("text_encoder", "tokenizer"):
        (folder / part).symlink_to(MODELS / "tiny" / part)
    (folder / "vae").symlink_to(MODELS / "wan-vae/plain")
    return folder


def converted(tmp_path, name, *paths):
    model = tmp_path / f"{name}.gguf"
    run = subprocess.run([BUILD / "sorad-quantize", *paths, "-o", model], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return model


def clip_file(path, source, frames=9, more=""):
    """A clip of one of ffmpeg's sources, 8 frames a second."""
    given = f"{source}=size=96x64:rate=8{more}"
    subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", given, "-frames:v", str(frames), "-y", path], check=True)
    return path


def data_url(path):
    return "data:application/octet-stream;base64," + base64.b64encode(path.read_bytes()).decode()


@pytest.fixture
def follower(make_daemon, tmp_path):
    return make_daemon(model=converted(tmp_path, "vace-ends", checkpoint(tmp_path, "vace-ends")))


def test_a_model_follows_what_is_given(follower, tmp_path):
    red, blue = picture(tmp_path, "red"), picture(tmp_path, "blue")
    video = {"video": data_url(clip_file(tmp_path / "bars.mp4", "testsrc"))}
    still = {"mask": {"image_url": data_url(clip_file(tmp_path / "half.png", "color", 1, ":color=white,drawbox=w=iw/2:h=ih:color=black:t=fill"))}}
    moving = {"mask": {"image_url": data_url(clip_file(tmp_path / "moving.mp4", "testsrc2"))}}
    assert json.loads(follower.curl("/v1/models").stdout)["data"][0]["follows_clips"] is True
    made = {}
    for name, path, more in [
        ("text", "/v1/videos", {}), ("first", "/v1/videos", {"input_reference": red}),
        ("both", "/v1/videos", {"input_reference": red, "end_image": blue}), ("reference", "/v1/videos", {"reference_images": red}),
        ("references", "/v1/videos", {"reference_images": [red, blue]}), ("turned", "/v1/videos", {"reference_images": [blue, red]}),
        ("followed", "/v1/videos/edits", video), ("closely", "/v1/videos/edits", video | {"conditioning_scale": 1.7}),
        ("masked", "/v1/videos/edits", video | still), ("moving", "/v1/videos/edits", video | moving),
        ("all", "/v1/videos/edits", video | moving | {"reference_images": [red], "conditioning_scale": 0.8}),
        ("mixed", "/v1/videos/edits", video | {"strength": 0.5}),
    ]:
        fields = FIELDS | more
        clip = finished(follower, post(follower, path, fields))
        assert (clip["size"], clip["num_frames"], clip.get("conditioning_scale")) == ("48x32", 9, more.get("conditioning_scale")), clip
        assert set(clip.get("given", [])) == set(more) & {"input_reference", "end_image", "reference_images", "video", "mask"}, clip
        assert len(pixels(follower, clip["id"], tmp_path / "clip.mp4")) == 9 * 48 * 32 * 3
        made[name] = clip["sha256"]
    # Whatever is given is read, and makes another clip of the same seed.
    assert len(set(made.values())) == len(made), made
    again = finished(follower, post(follower, "/v1/videos/edits", FIELDS | video | still))
    assert again["sha256"] == made["masked"]
    # Hints that count for nothing leave the clip of the text alone.
    alone = [finished(follower, post(follower, path, FIELDS | more | {"conditioning_scale": 0}))["sha256"]
             for path, more in [("/v1/videos", {}), ("/v1/videos", {"end_image": blue}), ("/v1/videos/edits", video)]]
    assert len(set(alone)) == 1 and alone[0] not in made.values()
    # A clip that was made here is followed without another compression, and remade.
    source = finished(follower, post(follower, "/v1/videos", FIELDS))
    remix = finished(follower, post(follower, f"/v1/videos/{source['id']}/remix", {"prompt": "a blue ball", "seed": 5, "num_inference_steps": 2}))
    assert remix["sha256"] not in made.values() and "strength" not in remix


def test_what_a_follower_refuses(follower, make_daemon, tmp_path):
    red = picture(tmp_path, "red")
    video = {"video": data_url(clip_file(tmp_path / "bars.mp4", "testsrc"))}
    short = {"mask": {"image_url": data_url(clip_file(tmp_path / "short.mp4", "testsrc2", 5))}}
    black = {"mask": {"image_url": picture(tmp_path, "black")["image_url"]}}
    for path, more, param in [
        ("/v1/videos/extensions", video | {"seconds": 1}, "video"), ("/v1/videos", {"reference_images": [red] * 5}, "reference_images"),
        ("/v1/videos", {"reference_images": ["x"]}, "reference_images"), ("/v1/videos", {"conditioning_scale": 5}, "conditioning_scale"),
        ("/v1/videos", {"reference_images": red, "input_reference": red, "strength": 0.5}, "strength"),
        ("/v1/videos", {"storyboard": [{"prompt": "x", "num_frames": 9}]}, "storyboard"), ("/v1/videos/edits", video | short, "mask"),
        ("/v1/videos", {"reference_images": [red, {"image_url": video["video"]}]}, "reference_images[1]"),
    ]:
        fields = {name: value for name, value in FIELDS.items() if name != "num_frames" or "storyboard" not in more and "seconds" not in more}
        answer = post(follower, path, fields | more)
        assert answer.get("error", {}).get("param") == param, (more.keys(), answer)
    # Nothing to make again is known once the mask is read.
    job = post(follower, "/v1/videos/edits", FIELDS | video | black)
    follower.ctl("wait", job["id"])
    ended = json.loads(follower.curl(f"/v1/videos/{job['id']}").stdout)
    assert ended["status"] == "failed" and "no white part" in ended["error"]["message"], ended
    plain = make_daemon("plain")
    for path, more, param in [
        ("/v1/videos", {"reference_images": red}, "reference_images"), ("/v1/videos", {"conditioning_scale": 1}, "conditioning_scale"),
        ("/v1/videos/edits", video | {"mask": {"image_url": video["video"]}}, "mask"),
    ]:
        answer = post(plain, path, {"prompt": "a red ball"} | more)
        assert answer.get("error", {}).get("param") == param, (more.keys(), answer)


def test_the_command_line_follows_a_clip(follower, tmp_path):
    video, mask = clip_file(tmp_path / "bars.mp4", "testsrc"), clip_file(tmp_path / "moving.mp4", "testsrc2")
    picture(tmp_path, "red")
    options = ["--seed", "5", "--steps", "2", "--frames", "9", "--size", "48x32", "--conditioning-scale", "0.7", "--reference", tmp_path / "red.png"]
    for words in (["edit", video, "a red ball", "--mask", mask], ["generate", "a red ball", "--image", tmp_path / "red.png"]):
        run = follower.ctl(*words, *options, "-o", tmp_path / "clip.mp4")
        assert run.returncode == 0, run.stderr
        assert (tmp_path / "clip.mp4").read_bytes()[4:8] == b"ftyp"


def tensors(path):
    """Type, shape and bytes of the tensors of a safetensors file."""
    data = path.read_bytes()
    size = struct.unpack("<Q", data[:8])[0]
    header = json.loads(data[8:8 + size])
    header.pop("__metadata__", None)
    return {name: (entry["dtype"], entry["shape"], data[8 + size + entry["data_offsets"][0]:8 + size + entry["data_offsets"][1]])
            for name, entry in header.items()}


def write(path, tensors):
    header, place = {}, 0
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [place, place + len(data)]}
        place += len(data)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(data for _, _, data in tensors.values()))
    return path


TRANSFORMER = [
    ("condition_embedder.time_embedder.linear_1", "time_embedding.0"), ("condition_embedder.time_embedder.linear_2", "time_embedding.2"),
    ("condition_embedder.text_embedder.linear_1", "text_embedding.0"), ("condition_embedder.text_embedder.linear_2", "text_embedding.2"),
    ("condition_embedder.time_proj", "time_projection.1"), ("condition_embedder.image_embedder.norm1", "img_emb.proj.0"),
    ("condition_embedder.image_embedder.ff.net.0.proj", "img_emb.proj.1"), ("condition_embedder.image_embedder.ff.net.2", "img_emb.proj.3"),
    ("condition_embedder.image_embedder.norm2", "img_emb.proj.4"), ("proj_out", "head.head"), (".attn1.", ".self_attn."),
    (".attn2.", ".cross_attn."), (".to_q.", ".q."), (".to_k.", ".k."), (".to_v.", ".v."), (".to_out.0.", ".o."), (".add_k_proj.", ".k_img."),
    (".add_v_proj.", ".v_img."), (".norm_added_k.", ".norm_k_img."), (".ffn.net.0.proj.", ".ffn.0."), (".ffn.net.2.", ".ffn.2."),
    (".norm2.", ".norm3."), (".scale_shift_table", ".modulation")]
CLIP = [
    ("embeddings.class_embedding", "cls_embedding"), ("embeddings.position_embedding.weight", "pos_embedding"),
    ("embeddings.patch_embedding", "patch_embedding"), ("pre_layrnorm", "pre_norm"), ("post_layernorm", "post_norm"),
    ("encoder.layers.", "transformer."), (".layer_norm", ".norm"), (".self_attn.out_proj", ".attn.proj"), (".mlp.fc1", ".mlp.0"),
    (".mlp.fc2", ".mlp.2")]


def renamed(name, rules):
    if name == "scale_shift_table":
        return "head.modulation"
    for ours, theirs in rules:
        name = name.replace(ours, theirs)
    return name


def test_fun_inp_in_its_own_names(make_daemon, tmp_path):
    """The layout of the published model: transformer and CLIP in Wan's own names; a first picture, with or without a last one."""
    folder = checkpoint(tmp_path, "i2v-clip")
    expected = converted(tmp_path, "fun-inp", folder)
    dit = {renamed(name, TRANSFORMER): value for name, value in tensors(folder / "transformer/diffusion_pytorch_model.safetensors").items()}
    theirs, clip = {}, tensors(folder / "image_encoder/model.safetensors")
    for name, (kind, shape, data) in clip.items():
        if ".k_proj." in name or ".v_proj." in name:
            continue
        if ".q_proj." in name:
            data = b"".join(clip[name.replace(".q_proj.", f".{part}_proj.")][2] for part in "qkv")
            name, shape = name.replace(".self_attn.q_proj.", ".attn.to_qkv."), [3 * shape[0], *shape[1:]]
        theirs["visual." + renamed(name, CLIP)] = (kind, shape, data)
    files = [write(tmp_path / "Wan2.1-Fun-InP.safetensors", dit), write(tmp_path / "clip.safetensors", theirs)]
    model = converted(tmp_path, "fun-inp-single", folder, *files, "--name", "fun-inp")

    red, blue = picture(tmp_path, "red"), picture(tmp_path, "blue")
    given = [{"input_reference": red}, {"input_reference": red, "end_image": blue}, {"input_reference": blue, "end_image": red}]
    hashes = []
    for name, file in (("single", model), ("folder", expected)):
        daemon = make_daemon(name, model=file)
        assert post(daemon, "/v1/videos", FIELDS)["error"]["param"] == "input_reference"
        for more in given:
            clip = finished(daemon, post(daemon, "/v1/videos", FIELDS | more))
            assert len(pixels(daemon, clip["id"], tmp_path / "clip.mp4")) == 9 * 48 * 32 * 3
            hashes.append(clip["sha256"])
    # Both spellings make the same three clips.
    assert hashes[:3] == hashes[3:] and len(set(hashes)) == 3


def test_a_killed_worker_continues_with_references(tmp_path):
    """Latents of reference pictures are part of each checkpoint, and none of them is of the clip."""
    model = converted(tmp_path, "vace-ends", checkpoint(tmp_path, "vace-ends"))
    picture(tmp_path, "red")
    clip = clip_file(tmp_path / "bars.mp4", "testsrc")
    made = []
    for kills in (0, 3):
        job = tmp_path / f"job{kills}"
        job.mkdir()
        for role, file in [("given-reference-1", tmp_path / "red.png"), ("given-source", clip), ("given-mask", clip)]:
            (job / role).write_bytes(file.read_bytes())
        asked = {name: value for name, value in FIELDS.items() if name != "num_inference_steps"}
        (job / "request.json").write_text(json.dumps(asked | {"num_inference_steps": 24, "conditioning_scale": 0.7}))
        command = [BUILD / "sorad-worker", "--model", model, "--once", job]
        for _ in range(kills):
            worker = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
            # A step is reported when it is written down.
            steps = (json.loads(line) for line in worker.stdout)
            next(step for step in steps if step.get("progress", {}).get("progress", {}).get("step", 0) > 0)
            worker.kill()
            worker.wait()
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        made.append(json.loads((job / "result.json").read_text())["result"])
    assert made[0]["sha256"] == made[1]["sha256"] and made[1]["resumedStep"] > 0
