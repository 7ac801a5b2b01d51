"""The whole product: daemon, worker, the shipped model, ffmpeg, driven by the official SDK, curl and sorad-ctl."""
import json
import os
import pathlib
import subprocess
import sys
import time

import pytest

from conftest import BUILD, MODEL

REQUEST = {"prompt": "a red ball bounces on green grass", "seed": 11, "num_inference_steps": 3, "num_frames": 9}


def cpu_flags():
    return next(line for line in open("/proc/cpuinfo") if line.startswith("flags")).split()


def instruction_sets():
    """Those that this CPU runs; AVX-VNNI has no flag of its own in older kernels, so it is left to the kernel tests."""
    flags = cpu_flags()
    return ["scalar"] + [name for name, flag in (("avx2", "avx2"), ("avx512vnni", "avx512_vnni")) if flag in flags]


def clip_hash(daemon, request):
    """Makes a clip through curl and gives the SHA-256 of its raw frames."""
    created = json.loads(daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(request)).stdout)
    assert created["status"] in ("queued", "in_progress"), created
    while True:
        video = json.loads(daemon.curl("/v1/videos/" + created["id"]).stdout)
        if video["status"] in ("completed", "failed"):
            assert video["status"] == "completed", video
            return video["sha256"]
        time.sleep(0.1)


def test_official_sdk(make_daemon):
    daemon = make_daemon()
    script = pathlib.Path(__file__).parent / "test_sdk.py"
    run = subprocess.run([sys.executable, script], env=os.environ | {"SORAD_SOCKET": daemon.socket}, capture_output=True, text=True, timeout=600)
    assert run.returncode == 0, run.stdout + run.stderr


def test_same_frames_on_every_instruction_set_thread_count_and_restart(make_daemon):
    hashes = {}
    for name in instruction_sets():
        daemon = make_daemon(name, environment={"SORAD_ISA": name})
        hashes[name] = clip_hash(daemon, REQUEST)
    daemon = make_daemon("one-thread", prefix=("taskset", "-c", "0"))
    hashes["one thread"] = clip_hash(daemon, REQUEST)
    daemon.stop()
    daemon.start()
    hashes["after a restart"] = clip_hash(daemon, REQUEST)
    assert len(set(hashes.values())) == 1, hashes
    assert clip_hash(daemon, REQUEST | {"seed": 12}) not in hashes.values(), "the seed changes nothing"
    assert clip_hash(daemon, REQUEST | {"prompt": "a blue cube in the snow"}) not in hashes.values(), "the prompt changes nothing"


def test_clip_of_the_command_line_plays(make_daemon, tmp_path):
    daemon = make_daemon()
    clip = tmp_path / "clip.mp4"
    run = daemon.ctl("generate", "a yellow ring spins in a desert at sunset", "-o", str(clip), "--steps", "4")
    assert run.returncode == 0, run.stderr
    assert str(clip) in run.stdout
    probe = subprocess.run(
        ["ffprobe", "-v", "error", "-count_frames", "-show_streams", "-show_format", "-of", "json", clip], capture_output=True, text=True, check=True)
    facts = json.loads(probe.stdout)
    stream = facts["streams"][0]
    assert (stream["codec_name"], stream["width"], stream["height"], stream["nb_read_frames"]) == ("h264", 128, 128, "17")
    assert "AI" in facts["format"]["tags"]["comment"]


@pytest.mark.parametrize("body, param", [
    ({"prompt": ""}, "prompt"), ({"prompt": "x" * 100_000}, "prompt"), ({}, "prompt"), ({"prompt": 5}, "prompt"),
    ({"prompt": "x", "size": "0x0"}, "size"), ({"prompt": "x", "size": "-1x-1"}, "size"), ({"prompt": "x", "size": "17x9999"}, "size"),
    ({"prompt": "x", "size": "abc"}, "size"), ({"prompt": "x", "model": "nobody"}, "model"), ({"prompt": "x", "seconds": "-1"}, "seconds"),
    ({"prompt": "x", "num_frames": 0}, "num_frames"), ({"prompt": "x", "num_inference_steps": 10**30}, "num_inference_steps"),
])
def test_bad_requests_are_refused_with_a_sentence(make_daemon, body, param):
    daemon = make_daemon()
    run = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", "@-", "-w", "\n%{http_code}", body=json.dumps(body))
    answer, status = run.stdout.rsplit("\n", 1)
    error = json.loads(answer)["error"]
    assert status == "400" and error["param"] == param and error["message"].endswith("."), run.stdout
    assert json.loads(daemon.curl("/v1/videos").stdout)["data"] == []


def test_malformed_json_is_refused(make_daemon):
    daemon = make_daemon()
    run = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", '{"prompt": "x"', "-w", "\n%{http_code}")
    assert run.stdout.endswith("\n400") and "JSON" in run.stdout


def broken(model, how):
    data = bytearray(MODEL.read_bytes())
    if how == "truncated":
        del data[len(data) * 2 // 3:]
    else:
        data[len(data) // 2] ^= 4
    model.write_bytes(data)


@pytest.mark.parametrize("how", ["truncated", "bit-flipped"])
def test_a_broken_model_file_is_named_and_the_daemon_goes_on(make_daemon, tmp_path, how):
    model = tmp_path / "broken.gguf"
    broken(model, how)
    worker = subprocess.run([BUILD / "sorad-worker", "--model", model, "--describe"], capture_output=True, text=True, timeout=60)
    assert worker.returncode == 65 and "broken.gguf" in worker.stderr, worker.stderr
    daemon = make_daemon(model=model)
    run = daemon.ctl("generate", "a red ball", "-o", str(tmp_path / "clip.mp4"))
    assert run.returncode != 0 and not (tmp_path / "clip.mp4").exists()
    assert json.loads(daemon.curl("/v1/videos").stdout)["object"] == "list"
    assert "broken.gguf" in daemon.log.read_text()
