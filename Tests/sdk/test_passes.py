"""Clips with fewer passes through the network, by the real socket: steps that are left out, guidance at some noise levels; kills,
estimates and the command line. The real worker and model.
"""
import json
import os
import signal
import time

from test_modes import finished, post, worker

FIELDS = {"prompt": "a red ball rolls to the left", "size": "64x64", "num_frames": 17, "num_inference_steps": 40, "guidance_scale": 4, "seed": 5}


def test_steps_that_change_little_are_left_out(make_daemon):
    daemon = make_daemon()
    plain = finished(daemon, post(daemon, "/v1/videos", FIELDS))
    assert plain["passes"] == 80 and "cache" not in plain and "guidance_interval" not in plain, plain
    off = finished(daemon, post(daemon, "/v1/videos", FIELDS | {"cache": "off"}))
    assert off["sha256"] == plain["sha256"] and "cache" not in off and "ignored" not in off, off
    fewer = finished(daemon, post(daemon, "/v1/videos", FIELDS | {"cache": 0.1}))
    assert fewer["cache"] == 0.1 and 12 <= fewer["passes"] < 80 and fewer["sha256"] != plain["sha256"], fewer
    again = finished(daemon, post(daemon, "/v1/videos", FIELDS | {"cache": "0.1"}))
    assert (again["sha256"], again["passes"]) == (fewer["sha256"], fewer["passes"])
    few = finished(daemon, post(daemon, "/v1/videos", FIELDS | {"cache": 0.1, "num_inference_steps": 8}))
    assert few["ignored"] == ["cache"] and "cache" not in few and few["passes"] == 16, few


def test_guidance_in_an_interval(make_daemon):
    daemon = make_daemon()
    part = finished(daemon, post(daemon, "/v1/videos", FIELDS | {"guidance_interval": [0.3, 0.9]}))
    assert part["guidance_interval"] == [0.3, 0.9] and 40 < part["passes"] < 80, part
    both = finished(daemon, post(daemon, "/v1/videos", FIELDS | {"guidance_interval": "0.3,0.9", "cache": 0.1}))
    assert both["passes"] < part["passes"] and both["guidance_interval"] == [0.3, 0.9] and both["cache"] == 0.1, both
    none = finished(daemon, post(daemon, "/v1/videos", FIELDS | {"guidance_interval": [0.3, 0.9], "guidance_scale": 1}))
    assert none["ignored"] == ["guidance_interval"] and none["passes"] == 40, none


def test_impossible_values_are_refused(make_daemon):
    daemon = make_daemon()
    for field, values in {
        "cache": [0, -1, 0.6, "on", True, [0.1]],
        "guidance_interval": [[0.9, 0.3], [0.5], [0, 1.5], [-0.1, 1], [0.1, 0.2, 0.3], "a,b", True],
        "guidance_scale_2": [3, -1, "x"],
    }.items():
        for value in values:
            error = post(daemon, "/v1/videos", FIELDS | {field: value})["error"]
            assert error["param"].startswith(field) and error["type"] == "invalid_request_error", (field, value, error)
    refused = post(daemon, "/v1/videos", FIELDS | {"guidance_scale_2": 3})["error"]["message"]
    assert "has no second expert" in refused, refused
    assert "\"guidance_interval\"" in post(daemon, "/v1/videos", FIELDS | {"cfg_interval": [0.3, 0.9]})["error"]["message"]


def test_a_killed_worker_costs_no_bit(make_daemon):
    daemon = make_daemon()
    fields = FIELDS | {"cache": 0.1, "guidance_interval": [0.2, 0.95], "num_inference_steps": 200, "size": "96x96"}
    whole = finished(daemon, post(daemon, "/v1/videos", fields))
    again = post(daemon, "/v1/videos", fields)
    kills, last = 0, -1
    while True:
        video = json.loads(daemon.curl(f"/v1/videos/{again['id']}").stdout)
        if video["status"] not in ("queued", "in_progress"):
            break
        # Never twice at one place: that would end the job.
        if video.get("step", 0) > last + 20 and kills < 5 and (number := worker(daemon)):
            os.kill(number, signal.SIGKILL)
            kills, last = kills + 1, video["step"]
        time.sleep(0.005)
    assert kills >= 1, "killed too late"
    video = finished(daemon, again)
    assert (video["sha256"], video["passes"]) == (whole["sha256"], whole["passes"])


def test_the_command_line_and_the_estimate(make_daemon, tmp_path):
    daemon = make_daemon()
    run = daemon.ctl("generate", "a red ball", "--size", "64x64", "--frames", "5", "--steps", "24", "--guidance", "4", "--seed", "5", "--cache", "0.1",
                     "--guidance-interval", "0.3,0.9", "--json", "--quiet", "-o", str(tmp_path / "clip.mp4"))
    assert run.returncode == 0, run.stderr
    video = json.loads(run.stdout.splitlines()[-1])["video"]
    assert video["cache"] == 0.1 and video["guidance_interval"] == [0.3, 0.9] and video["passes"] < 48, video
    shown = daemon.ctl("show", video["id"]).stdout
    assert "at noise levels from 0.3 to 0.9" in shown and "passes  " in shown, shown
    repeated = daemon.ctl("retry", video["id"], "--json", "--quiet", "-o", str(tmp_path / "again.mp4"))
    assert json.loads(repeated.stdout.splitlines()[-1])["video"]["sha256"] == video["sha256"], repeated.stderr
    wrong = daemon.ctl("generate", "a red ball", "--cache", "2")
    assert wrong.returncode == 65 and "--cache" in wrong.stderr, wrong
    # Before any clip of the shape was made: by the passes. In the queue behind a drained daemon nothing is computed.
    daemon.ctl("pause")
    fields = {"prompt": "a ball", "size": "128x128", "num_inference_steps": 60, "guidance_scale": 4}
    plain, part = (post(daemon, "/v1/videos", fields | more)["estimate"]["seconds"] for more in ({}, {"guidance_interval": [0.99, 1]}))
    assert part < 0.8 * plain, (part, plain)
