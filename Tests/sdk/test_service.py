"""The whole product: daemon, worker, the shipped model, ffmpeg, driven by the official SDK, curl and sorad-ctl."""
import base64
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

from conftest import BUILD, MODEL

REQUEST = {"prompt": "a red ball bounces on green grass", "seed": 11, "num_inference_steps": 3, "num_frames": 9}


def instruction_sets():
    """Those that this machine runs, as the program itself says when it is asked for one that does not exist."""
    run = subprocess.run([BUILD / "sorad-bench", "kernels", "--isa", "none"], capture_output=True, text=True)
    names = run.stderr.split("this machine can run: ")[1].split("\n")[0].split(", ")
    assert names[0] == "scalar" and len(names) > 1, run.stderr
    return names


def finished(daemon, created):
    """Waits for a job that must succeed."""
    assert created.get("status") in ("queued", "in_progress"), created
    while True:
        video = json.loads(daemon.curl("/v1/videos/" + created["id"]).stdout)
        if video["status"] in ("completed", "failed"):
            assert video["status"] == "completed", video
            return video
        time.sleep(0.1)


def clip_hash(daemon, request):
    """Makes a clip through curl and gives the SHA-256 of its raw frames."""
    created = json.loads(daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(request)).stdout)
    return finished(daemon, created)["sha256"]


@pytest.mark.parametrize("mode", [(), ("async",)], ids=["sync", "async"])
@pytest.mark.parametrize("python", [sys.executable, os.environ["SORAD_SDK2_PYTHON"]], ids=["sdk3", "sdk2"])
def test_official_sdk(make_daemon, python, mode):
    daemon = make_daemon()
    script = pathlib.Path(__file__).parent / "test_sdk.py"
    run = subprocess.run(
        [python, script, *mode], env=os.environ | {"SORAD_SOCKET": daemon.socket}, capture_output=True, text=True, timeout=600)
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


def test_same_frames_from_a_picture_on_every_instruction_set_and_thread_count(make_daemon, tmp_path):
    subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", "testsrc=size=200x150", "-frames:v", "1", tmp_path / "a.jpg"], check=True)
    hashes = {}
    for name, options in {"scalar-one-thread": {"environment": {"SORAD_ISA": "scalar"}, "prefix": ("taskset", "-c", "0")}, "best": {}}.items():
        daemon = make_daemon(name, **options)
        form = [f"{key}={value}" for key, value in (REQUEST | {"strength": 0.7, "input_reference": f"@{tmp_path}/a.jpg"}).items()]
        created = json.loads(daemon.curl("/v1/videos", *[part for field in form for part in ("-F", field)]).stdout)
        video = finished(daemon, created)
        longer = json.loads(daemon.curl("/v1/videos/extensions", "-H", "content-type: application/json", "-d", json.dumps(
            {"prompt": "on", "seconds": "1", "seed": 1, "num_inference_steps": 2, "video": {"id": video["id"]}})).stdout)
        hashes[name] = (video["sha256"], finished(daemon, longer)["sha256"])
    assert len(set(hashes.values())) == 1, hashes


def test_pictures_remix_and_extension_from_the_command_line(make_daemon, tmp_path):
    daemon = make_daemon()
    for name, color in (("a.png", "red"), ("b.webp", "blue")):
        subprocess.run(["ffmpeg", "-loglevel", "error", "-f", "lavfi", "-i", f"color={color}:size=64x64", "-frames:v", "1", tmp_path / name], check=True)

    def made(*arguments):
        run = daemon.ctl(*arguments, "--steps", "2", "--json", "--quiet", "-o", str(tmp_path / "clip.mp4"))
        assert run.returncode == 0, run.stderr
        return json.loads(run.stdout.splitlines()[-1])["video"]

    clip = made("generate", "a ball", "--image", str(tmp_path / "a.png"), "--end-image", str(tmp_path / "b.webp"), "--frames", "9")
    frames = subprocess.run(["ffmpeg", "-loglevel", "error", "-i", tmp_path / "clip.mp4", "-vf", "scale=1:1:flags=area", "-f", "rawvideo",
                             "-pix_fmt", "rgb24", "-"], capture_output=True, check=True).stdout
    assert frames[0] > frames[2] and frames[-1] > frames[-3], "begins red, ends blue"
    remix = made("remix", clip["id"], "a box", "--strength", "0.5")
    assert remix["remixed_from_video_id"] == clip["id"]
    assert made("extend", remix["id"], "on", "--seconds", "1")["num_frames"] == 17
    assert made("extend", remix["id"], "on", "--seconds", "0.5", "--loop")["num_frames"] == 16
    (tmp_path / "note.txt").write_text("hello")
    for arguments, status, words in ((("--image", str(tmp_path / "note.txt")), 65, "text"), (("--image", str(tmp_path / "none.png")), 66, "none.png")):
        run = daemon.ctl("generate", "a ball", *arguments)
        assert run.returncode == status and words in run.stderr, run.stderr
    assert daemon.ctl("extend", clip["id"], "on").returncode == 64


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


def events(daemon, video_id):
    """What curl gets from a job's stream of events: pairs of name and data."""
    text = daemon.curl(f"/v1/videos/{video_id}/events", "-N").stdout
    fields = [dict(line.split(": ", 1) for line in event.splitlines() if not line.startswith(":")) for event in text.split("\n\n")]
    return [(event["event"], json.loads(event["data"])) for event in fields if "event" in event]


def pixels(arguments, side, content=None):
    """RGB values of one picture at `side` × `side`."""
    return subprocess.run(
        ["ffmpeg", "-loglevel", "error", *arguments, "-frames:v", "1", "-s", f"{side}x{side}", "-sws_flags", "area", "-f", "rawvideo", "-pix_fmt",
         "rgb24", "-"], input=content, capture_output=True, check=True).stdout


def correlation(a, b):
    a, b = [[value - sum(values) / len(values) for value in values] for values in (a, b)]
    return sum(x * y for x, y in zip(a, b)) / (sum(x * x for x in a) * sum(y * y for y in b)) ** 0.5


def test_previews_look_like_the_clip(make_daemon, tmp_path):
    daemon = make_daemon()
    created = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(
        {"prompt": "a red ball bounces on green grass", "seed": 3, "num_inference_steps": 200, "num_frames": 49}))
    video_id = json.loads(created.stdout)["id"]
    told = events(daemon, video_id)
    assert told[-1][0] == "done" and told[-1][1]["status"] == "completed"
    previews = [data for name, data in told if name == "preview"]
    assert previews and all(data["width"] == data["height"] == 32 for data in previews)
    (tmp_path / "clip.mp4").write_bytes(subprocess.run(
        ["curl", "-sS", "--unix-socket", daemon.socket, f"http://localhost/v1/videos/{video_id}/content"], capture_output=True, check=True).stdout)
    # The middle one of 13 latent frames stands for frames 21 to 24 of the clip.
    clip = pixels(["-i", tmp_path / "clip.mp4", "-vf", "select=eq(n\\,23)"], 32)
    last = pixels(["-f", "png_pipe", "-i", "-"], 32, base64.b64decode(previews[-1]["image_url"].split(",", 1)[1]))
    assert previews[-1]["step"] >= 6 and correlation(clip, last) > 0.7, correlation(clip, last)
    # What they took is a small part of what the steps took.
    timings = told[-1][1]["timings"]
    assert 0 < timings["previews"] < 0.05 * timings["denoising"], timings


def test_a_clip_knows_its_time_from_the_start(make_daemon):
    """The first of a kind by what was measured of the model, the next by the one before. Of a wait in a pool nobody knows the end."""
    daemon = make_daemon()
    request = {"prompt": "a ball", "num_inference_steps": 6, "num_frames": 9}

    def progress():
        created = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(request))
        told = [data for name, data in events(daemon, json.loads(created.stdout)["id"]) if name == "progress"]
        begun = [data for data in told if not data.get("note", "").startswith("waits in the pool")]
        assert begun, told
        return begun

    first, second = progress(), progress()
    assert all("eta_seconds" in data for data in first), first
    assert all("eta_seconds" in data for data in second), second
    daemon.stop()
    daemon.start()
    assert all("eta_seconds" in data for data in progress()), "forgotten over a restart"


def test_watch_on_the_command_line(make_daemon):
    daemon = make_daemon()
    video_id = daemon.ctl("generate", "a ball", "--steps", "6", "--frames", "9", "--no-wait").stdout.strip()
    watched = daemon.ctl("watch", video_id, "--json")
    assert watched.returncode == 0, watched.stderr
    lines = [json.loads(line) for line in watched.stdout.splitlines()]
    assert lines[-1]["schema"] == "sorad.job/1" and lines[-1]["status"] == "completed"
    assert len(lines) > 3 and all(line["schema"] == "sorad.progress/1" for line in lines[:-1])
    percents = [line["percent"] for line in lines[:-1]]
    assert percents == sorted(percents)
    assert daemon.ctl("watch", video_id).stdout == f"{video_id} completed\n"
    assert daemon.ctl("watch", "video_nobody").returncode == 66


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
    assert status == "400" and error["param"] == param and not error["message"].endswith("."), run.stdout
    assert json.loads(daemon.curl("/v1/videos").stdout)["data"] == []


def test_malformed_json_is_refused(make_daemon):
    daemon = make_daemon()
    run = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", '{"prompt": "x"', "-w", "\n%{http_code}")
    assert run.stdout.endswith("\n400") and "JSON" in run.stdout


def test_who_comes_while_the_daemon_reads_its_model_waits(make_daemon, tmp_path):
    """A slow machine reads a model file for minutes."""
    worker = tmp_path / "slow-worker"
    worker.write_text(f'#!/bin/sh\ncase "$*" in *--describe*) sleep 26 ;; esac\nexec {BUILD}/sorad-worker "$@"\n')
    worker.chmod(0o755)
    daemon = make_daemon(options=["--worker", str(worker)])

    def started(*words):
        return subprocess.Popen([BUILD / "sorad-ctl", "--socket", daemon.socket, *words], cwd=tmp_path, env=daemon.environment,
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    stopped, listed = started("generate", "a ball"), started("models")
    made = started("generate", "a ball", "--steps", "1", "--frames", "5", "-o", "clip.mp4")
    time.sleep(1)
    stopped.send_signal(signal.SIGINT)
    assert stopped.wait(5) == 130 and "no job was made" in stopped.stderr.read()
    # Other clients hear that it takes long, and may send the request again.
    run = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", '{"prompt": "a ball"}', "-w", "\n%{http_code}")
    assert run.stdout.endswith("\n503") and '"code":"starting"' in run.stdout.replace(" ", ""), run.stdout
    assert "sorad-mini" in listed.communicate(timeout=60)[0]
    assert made.wait(60) == 0, made.stderr.read()
    assert len(json.loads(daemon.curl("/v1/videos").stdout)["data"]) == 1


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
