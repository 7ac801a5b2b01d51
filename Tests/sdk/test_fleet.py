"""sorad-fleet between the real daemon and a pool whose HTCondor is a fake (Tests/fakes/condor/pool.py) and whose worker is the real one:
the same frames as a clip of this machine, and one job of the pool for each clip, whatever is killed and when."""
import json
import os
import pathlib
import signal
import subprocess
import time

import httpx2 as httpx
import openai
import pytest

from daemon import BUILD
from fleet import LONG, SHORT, box, local, make_fleet  # noqa: F401


def test_a_clip_by_the_official_sdk(make_fleet, local):
    fleet = make_fleet()
    fleet.add_box("boxa")
    http = openai.DefaultHttpxClient(transport=httpx.HTTPTransport(uds=fleet.daemon.socket))
    client = openai.OpenAI(api_key="none", base_url="http://localhost/v1", http_client=http, max_retries=0)
    video = client.videos.create_and_poll(prompt=SHORT["prompt"], extra_body={"seed": 7, "num_inference_steps": 4})
    assert video.status == "completed", fleet.logs()
    assert fleet.video(video.id)["sha256"] == local(SHORT)
    clip = client.videos.download_content(video.id).read()
    assert clip[4:8] == b"ftyp"
    assert client.videos.download_content(video.id, variant="thumbnail").read()[:4] == b"RIFF"
    assert len(fleet.jobs(video.id)) == 1
    # The result is recorded, so the pool's folder of it goes; the daemon's stays.
    state = fleet.folder / "head" / "state"
    deadline = time.monotonic() + 10
    while (state / "fleet" / video.id).exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    names = sorted(path.name for path in (state / "spool" / video.id).iterdir())
    assert not [name for name in names if name.startswith(("checkpoint", "plan", "result.json"))], names
    client.videos.delete(video.id)
    assert not fleet.left(video.id)


def test_only_as_many_jobs_as_places_and_where_each_is(make_fleet, local):
    fleet = make_fleet(places=2)
    fleet.add_box("boxa")
    ids = [fleet.create(LONG | {"seed": seed}) for seed in (1, 2, 3)]
    # One of the first two is made, in whatever order they reach the pool; the other waits there, the third here.
    fleet.wait(ids[0], lambda video: any(fleet.video(id).get("box") == "boxa" and fleet.video(id).get("step", 0) > 0 for id in ids[:2]))
    ids[:2] = sorted(ids[:2], key=lambda id: fleet.video(id).get("box") != "boxa")
    second = fleet.wait(ids[1], lambda video: "note" in video)
    assert second["status"] == "in_progress" and "waits in the pool" in second["note"] and "box" not in second
    assert fleet.video(ids[2])["status"] == "queued" and not fleet.jobs(ids[2])
    table = fleet.daemon.ctl("jobs").stdout
    assert "BOX" in table and "boxa" in table
    assert "on boxa" in fleet.daemon.ctl("top").stdout
    told = json.loads(fleet.daemon.ctl("fleet", "--json").stdout)
    assert told["schema"] == "sorad.fleet/1" and told["places"] == 2 and told["connected"] is True
    assert {job["id"]: job["box"] for job in told["jobs"]} == {ids[0]: "boxa", ids[1]: None}
    fleet.add_box("boxb")
    fleet.wait(ids[1], lambda video: video.get("box") == "boxb")
    for id in ids:
        video = fleet.finish(id)
        assert video["sha256"] == local(LONG | {"seed": video["seed"]})
        assert len(fleet.jobs(id)) == 1


@pytest.mark.parametrize("victims", ["fleet", "daemon", "both"])
@pytest.mark.parametrize("point", ["before", "after", "late"])
def test_a_kill_between_submit_and_record(make_fleet, local, point, victims):
    # The pool's command dies with sorad-fleet, so that one comes last.
    fleet = make_fleet()
    fleet.add_box("boxa")
    killed = {"fleet": [fleet.fleet], "daemon": [fleet.daemon.process], "both": [fleet.daemon.process, fleet.fleet]}[victims]
    (fleet.root / "kill-submit").write_text(" ".join([point, *(str(process.pid) for process in killed)]))
    id = fleet.create(SHORT)
    for process in killed:
        assert process.wait(30) == -signal.SIGKILL
    if fleet.daemon.process in killed:
        fleet.daemon.start()
    if fleet.fleet in killed:
        fleet.start_fleet()
    assert fleet.finish(id)["sha256"] == local(SHORT)
    assert len(fleet.jobs(id)) == 1, fleet.logs()


@pytest.mark.parametrize("victims", ["fleet", "daemon", "both"])
def test_a_kill_while_the_pool_makes_it(make_fleet, local, victims):
    fleet = make_fleet()
    fleet.add_box("boxa")
    id = fleet.create(LONG)
    before = fleet.wait(id, lambda video: video.get("step", 0) > 20)
    if victims != "fleet":
        fleet.daemon.process.kill()
        fleet.daemon.process.wait()
    if victims != "daemon":
        fleet.fleet.kill()
        fleet.fleet.wait()
    if victims != "fleet":
        fleet.daemon.start()
    if victims != "daemon":
        fleet.start_fleet()
    after = fleet.wait(id, lambda video: video.get("step", 0) > before["step"] or video["status"] == "completed")
    assert after["progress"] >= before["progress"]
    assert fleet.finish(id)["sha256"] == local(LONG)
    assert len(fleet.jobs(id)) == 1


def test_a_box_dies_and_is_given_the_job_again(make_fleet, local):
    fleet = make_fleet()
    fleet.add_box("boxa")
    id = fleet.create(LONG)
    fleet.wait(id, lambda video: video.get("step", 0) > 60)
    fleet.remove_box("boxa")
    lost = fleet.wait(id, lambda video: "note" in video)
    assert "boxa was lost" in lost["note"] and lost["status"] == "in_progress"
    fleet.add_box("boxa")
    again = fleet.wait(id, lambda video: video.get("box") == "boxa" and video.get("note") is None)
    assert again["progress"] >= lost["progress"]
    assert fleet.finish(id)["sha256"] == local(LONG)
    assert len(fleet.jobs(id)) == 1


def stop_worker(fleet):
    """The one worker of the pool hangs: its process is there, and does nothing."""
    worker, = fleet.workers()
    os.kill(worker, signal.SIGSTOP)


def test_a_worker_that_hangs_is_ended_and_another_box_continues(make_fleet, local):
    fleet = make_fleet()
    fleet.fleet.kill()
    fleet.fleet.wait()
    fleet.start_fleet("--silence-timeout", "20")
    fleet.add_box("boxa")
    id = fleet.create(LONG)
    before = fleet.wait(id, lambda video: video.get("step", 0) > 20)
    stop_worker(fleet)
    fleet.add_box("boxb")
    hung = fleet.wait(id, lambda video: "said nothing for 20 s" in video.get("note", "") or video.get("box") == "boxb", 60)
    assert hung["progress"] >= before["progress"] and hung["status"] == "in_progress"
    fleet.wait(id, lambda video: video.get("box") == "boxb")
    assert fleet.finish(id)["sha256"] == local(LONG)
    assert len(fleet.jobs(id)) == 1


def test_a_crash_between_a_result_and_its_record_leaves_no_folder(make_fleet, local):
    fleet = make_fleet()
    fleet.add_box("boxa")
    first = fleet.create(SHORT)
    fleet.finish(first)
    # As if sorad-fleet had been killed before it heard that the result is recorded.
    fleet.fleet.kill()
    fleet.fleet.wait()
    state = fleet.folder / "head" / "state"
    kept = state / "fleet" / first
    (kept / "job").mkdir(parents=True, exist_ok=True)
    (kept / "record.json").write_text('{"version": 1, "attempt": 1}')
    second = fleet.create(SHORT | {"seed": 8})
    fleet.start_fleet()
    assert fleet.finish(second)["sha256"] == local(SHORT | {"seed": 8})
    deadline = time.monotonic() + 10
    while kept.exists():
        assert time.monotonic() < deadline, fleet.logs()
        time.sleep(0.1)
    assert list((state / "spool" / first).iterdir()) and fleet.video(first)["status"] == "completed"


@pytest.mark.parametrize("how", ["cancel", "delete"])
@pytest.mark.parametrize("hears", [True, False])
def test_cancel_and_delete_reach_it(make_fleet, how, hears):
    fleet = make_fleet()
    fleet.add_box("boxa")
    id = fleet.create(LONG | {"num_inference_steps": 1000})
    fleet.wait(id, lambda video: video.get("step", 0) > 0)
    if not hears:
        fleet.fleet.kill()
        fleet.fleet.wait()
    assert fleet.daemon.ctl(how, id, *(["--yes"] if how == "delete" else [])).returncode == 0
    if not hears:
        fleet.start_fleet()
    deadline = time.monotonic() + 5 + (0 if hears else 5)
    while fleet.left(id) or list((fleet.root / "execute").iterdir()):
        assert time.monotonic() < deadline, f"{fleet.left(id)}\n{fleet.logs()}"
        time.sleep(0.05)


def test_a_held_job_becomes_a_sentence(make_fleet, local):
    fleet = make_fleet()
    fleet.add_box("boxa", FakeHold="Error from slot1@boxa: Failed to execute sorad-worker: (errno=8: 'Exec format error')")
    id = fleet.create(SHORT)
    held = fleet.wait(id, lambda video: "holds it" in video.get("note", ""))
    assert held["status"] == "in_progress" and "Exec format error" in held["note"]
    assert "Exec format error" in fleet.daemon.ctl("top").stdout
    fleet.add_box("boxa")
    assert fleet.finish(id)["sha256"] == local(SHORT)
    assert len(fleet.jobs(id)) == 1


def test_a_pool_that_is_gone_holds_and_loses_nothing(make_fleet, local):
    fleet = make_fleet()
    (fleet.root / "gone").touch()
    id = fleet.create(SHORT)
    waiting = fleet.wait(id, lambda video: "does not answer" in video.get("note", ""))
    assert "local schedd" in waiting["note"]
    fleet.add_box("boxa")
    (fleet.root / "gone").unlink()
    assert fleet.finish(id)["sha256"] == local(SHORT)
    assert len(fleet.jobs(id)) == 1


def test_without_sorad_fleet_jobs_wait_with_a_sentence(make_fleet, local):
    fleet = make_fleet()
    fleet.add_box("boxa")
    fleet.fleet.kill()
    fleet.fleet.wait()
    id = fleet.create(SHORT)
    waiting = fleet.wait(id, lambda video: "sorad-fleet is not connected" in video.get("note", ""))
    assert waiting["status"] == "queued"
    fleet.start_fleet()
    assert fleet.finish(id)["sha256"] == local(SHORT)


def test_a_box_without_what_it_needs_gets_no_clip(make_fleet, box):
    fleet = make_fleet()
    model = next(name for name in box if name.startswith("SoradModel_"))
    fleet.add_box("old", SoradVersion="0.0.1")
    fleet.add_box("small", Memory=1)
    fleet.add_box("other", **{model: None, "SoradModel_00": "/x.gguf"})
    fleet.add_box("bare", SoradReady=False, SoradTrouble="ffmpeg is not installed")
    id = fleet.create(SHORT)
    fleet.wait(id, lambda video: "waits in the pool" in video.get("note", ""))
    time.sleep(1)
    assert fleet.jobs(id)[0]["JobStatus"] == 1
    deadline = time.monotonic() + 60
    while len(json.loads(fleet.daemon.ctl("fleet", "--json").stdout)["boxes"]) < 4:
        assert time.monotonic() < deadline, fleet.logs()
        time.sleep(0.5)
    text = fleet.daemon.ctl("fleet").stdout
    assert "ffmpeg is not installed" in text and "it has sorad 0.0.1" in text
    fleet.add_box("good")
    assert fleet.finish(id)["status"] == "completed"


def test_a_failure_on_a_box_is_told_and_tried_again(make_fleet, local, tmp_path):
    fleet = make_fleet()
    broken = tmp_path / "broken-worker"
    broken.write_text("#!/bin/sh\necho 'sorad-worker: the disk smells of smoke' >&2\nexit 74\n")
    broken.chmod(0o755)
    fleet.add_box("boxa", FakeWorker=str(broken))
    id = fleet.create(SHORT)
    fleet.wait(id, lambda video: "the disk smells of smoke" in video.get("note", ""))
    fleet.add_box("boxa")
    assert fleet.finish(id)["sha256"] == local(SHORT)
    jobs = sorted(fleet.jobs(id), key=lambda ad: ad["ClusterId"])
    assert [ad["SoradAttempt"] for ad in jobs] == list(range(1, len(jobs) + 1)) and len(jobs) >= 2


def test_a_box_that_sends_something_else_is_not_believed(make_fleet, local, tmp_path):
    fleet = make_fleet()
    liar = tmp_path / "liar"
    result = {"sha256": "0" * 64, "video": "clip.mp4", "thumbnail": "../../../keys", "spritesheet": "plan.json", "timings": {}}
    liar.write_text(f"""#!/usr/bin/env python3
import json, os
job = json.load(open("job/plan.json"))["job"]
os.symlink("/etc/passwd", "job/clip.mp4") if not os.path.lexists("job/clip.mp4") else None
json.dump({{"version": 1, "job": job, "result": {result!r}}}, open("job/result.json", "w"))
""")
    liar.chmod(0o755)
    fleet.add_box("boxa", FakeWorker=str(liar))
    id = fleet.create(SHORT)
    fleet.wait(id, lambda video: "stopped by a fault" in video.get("note", ""))
    assert fleet.video(id)["status"] != "completed"
    # What it sent is forgotten, and a box that is honest makes the clip.
    fleet.add_box("boxa")
    assert fleet.finish(id)["sha256"] == local(SHORT)


def test_a_stop_of_the_daemon_cancels_nothing(make_fleet, local):
    fleet = make_fleet()
    fleet.add_box("boxa")
    id = fleet.create(LONG)
    fleet.wait(id, lambda video: video.get("step", 0) > 20)
    fleet.daemon.stop()
    time.sleep(3)
    assert [ad["JobStatus"] for ad in fleet.jobs(id)] in ([2], [4])
    fleet.daemon.start()
    assert fleet.finish(id)["sha256"] == local(LONG)
    assert len(fleet.jobs(id)) == 1


def test_a_picture_and_words_for_the_corner_travel(make_fleet, local, tmp_path):
    picture = tmp_path / "picture.png"
    subprocess.run(["ffmpeg", "-v", "error", "-f", "lavfi", "-i", "testsrc2=size=128x128", "-frames:v", "1", str(picture)], check=True)
    fleet = make_fleet(options=("--visible-label", "it's made by AI"))
    fleet.add_box("boxa")
    answer = fleet.daemon.curl(
        "/v1/videos", "-F", "prompt=a red ball", "-F", "seed=7", "-F", "num_inference_steps=4", "-F", f"input_reference=@{picture}")
    video = fleet.finish(json.loads(answer.stdout)["id"])
    assert video["given"] == ["input_reference"]


def signer(folder, text):
    """A program that marks clips, and counts its starts."""
    path = folder / "sign"
    (folder / "sign.new").write_text(f"#!/bin/sh\necho $$ >> {folder}/starts\n{text}\n")
    (folder / "sign.new").chmod(0o755)
    (folder / "sign.new").rename(path)
    return str(path)


def starts(folder):
    return (folder / "starts").read_text().split() if (folder / "starts").exists() else []


def is_running(number):
    try:
        return pathlib.Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_the_head_signs_what_came_back_and_nothing_is_made_again(make_fleet, local, tmp_path):
    program = signer(tmp_path, "echo the key is away >&2; exit 3")
    fleet = make_fleet(options=("--marking-command", program))
    fleet.add_box("boxa")
    id = fleet.create(SHORT)
    waiting = fleet.wait(id, lambda video: "saying: the key is away" in video.get("note", ""))
    assert waiting["status"] in ("queued", "in_progress")
    # No box is needed any more.
    fleet.remove_box("boxa")
    signer(tmp_path, 'cp "$1" "$2"; printf "\\0\\0\\0\\014free$(printf %.4s "${SORAD_JOB#video_}")" >> "$2"')
    assert fleet.finish(id)["sha256"] == local(SHORT)
    clip = fleet.folder / "clip.mp4"
    fleet.daemon.curl(f"/v1/videos/{id}/content", "-o", str(clip))
    assert clip.read_bytes().endswith(b"free" + id.removeprefix("video_")[:4].encode())
    assert len(fleet.jobs(id)) == 1 and len(starts(tmp_path)) >= 2


def signing(make_fleet, folder):
    """A fleet whose program signs a clip, and does not end; and the clip."""
    fleet = make_fleet(options=("--marking-command", signer(folder, "exec sleep 100")))
    fleet.add_box("boxa")
    id = fleet.create(SHORT)
    deadline = time.monotonic() + 60
    while not starts(folder):
        assert time.monotonic() < deadline, fleet.logs()
        time.sleep(0.05)
    return fleet, id


@pytest.mark.parametrize("victim", ["fleet", "daemon"])
def test_a_kill_while_the_head_signs(make_fleet, local, tmp_path, victim):
    fleet, id = signing(make_fleet, tmp_path)
    signer(tmp_path, 'cp "$1" "$2"')
    process = fleet.fleet if victim == "fleet" else fleet.daemon.process
    process.kill()
    process.wait()
    if victim == "fleet":
        fleet.start_fleet()
    else:
        fleet.daemon.start()
    assert fleet.finish(id)["sha256"] == local(SHORT)
    assert len(fleet.jobs(id)) == 1 and not is_running(starts(tmp_path)[0])


def test_a_cancel_ends_the_program_that_signs(make_fleet, tmp_path):
    fleet, id = signing(make_fleet, tmp_path)
    assert fleet.daemon.ctl("cancel", id).returncode == 0
    deadline = time.monotonic() + 5
    while is_running(starts(tmp_path)[0]) or fleet.left(id):
        assert time.monotonic() < deadline, f"{fleet.left(id)}\n{fleet.logs()}"
        time.sleep(0.05)


def test_settings_that_cannot_be_right(tmp_path):
    answer = subprocess.run(
        [BUILD / "sorad-fleet", "--state-dir", str(tmp_path / "nowhere")], capture_output=True, text=True)
    assert answer.returncode == 78 and "give the --state-dir of the daemon" in answer.stderr
