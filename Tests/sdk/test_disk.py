"""A disk that is full, and one that fails, under the real daemon and worker. No accepted job is lost, and the daemon stays."""
import errno
import json
import os
import re
import shutil
import subprocess
import time

import pytest

REQUEST = {"prompt": "a red ball", "seed": 3, "num_inference_steps": 30}


def answer(daemon, *arguments):
    return json.loads(daemon.curl(*arguments).stdout)


def create(daemon, body=REQUEST):
    return answer(daemon, "/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(body))


def wait_for(daemon, what, condition, seconds=300):
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        assert daemon.process.poll() is None, daemon.log.read_text()
        assert time.monotonic() < deadline, what + "\n" + daemon.log.read_text()
        time.sleep(0.05)


def finished(daemon, id):
    def over():
        video = answer(daemon, "/v1/videos/" + id)
        # 503 while the store is being reopened.
        return video if video.get("status") in ("completed", "failed") else None

    return wait_for(daemon, id + " has ended", over)


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 MB."""
    path = tmp_path / "disk"
    path.mkdir()
    if os.geteuid() != 0 or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64m", "none", path], capture_output=True).returncode != 0:
        pytest.skip("a small file system cannot be mounted here")
    yield path
    # The daemon is still there: it is ended by its own fixture.
    subprocess.run(["umount", "-l", path], check=True)


def fill(path, leave=0):
    """Takes all room but `leave` bytes."""
    with open(path / "filler", "wb") as file:
        while True:
            free = shutil.disk_usage(path).free - leave
            try:
                return os.posix_fallocate(file.fileno(), 0, max(free // 4096 * 4096, 4096))
            except OSError as error:
                # A job may have written in between.
                if error.errno != errno.ENOSPC:
                    raise


def test_a_disk_that_fills_during_a_job(make_daemon, small_disk, tmp_path):
    expected = finished(whole := make_daemon("whole"), create(whole)["id"])["sha256"]
    daemon = make_daemon("small", environment={"SORAD_STATE_DIR": str(small_disk / "state"), "SORAD_MIN_FREE": "8"})
    jobs = [create(daemon)["id"] for _ in range(3)]
    wait_for(daemon, "a step", lambda: answer(daemon, "/v1/videos/" + jobs[0]).get("step", 0) > 0)
    fill(small_disk)
    # New work is refused with numbers; what is free is the daemon's own reserve, where it has met the full disk already.
    refused = daemon.curl("/v1/videos", "-H", "content-type: application/json", "-d", json.dumps(REQUEST), "-w", "\n%{http_code}").stdout
    assert refused.endswith("\n507") and re.search(r"has [0-4]\.\d MB free, and \d+\.\d MB are needed", refused), refused
    # The job that ran waits, and says why; nothing fails.
    note = wait_for(daemon, "the job waits", lambda: answer(daemon, "/v1/videos/" + jobs[0]).get("note"))
    assert note.startswith("the disk is full"), note
    health = answer(daemon, "/healthz")
    assert health["status"] == "degraded" and "full" in health["trouble"], health
    assert [answer(daemon, "/v1/videos/" + id)["status"] for id in jobs] == ["queued"] * 3
    # Even a kill in this state loses nothing.
    daemon.process.kill()
    daemon.process.wait()
    daemon.start()
    assert all(answer(daemon, "/v1/videos/" + id)["status"] in ("queued", "in_progress") for id in jobs)
    (small_disk / "filler").unlink()
    assert [finished(daemon, id).get("sha256") for id in jobs] == [expected] * 3
    assert answer(daemon, "/healthz")["status"] == "ok"
    assert create(daemon)["status"] in ("queued", "in_progress")


def test_deleting_clips_makes_room(make_daemon, small_disk):
    daemon = make_daemon(environment={"SORAD_STATE_DIR": str(small_disk / "state"), "SORAD_MIN_FREE": "8"})
    id = create(daemon)["id"]
    finished(daemon, id)
    fill(small_disk)
    assert answer(daemon, "/v1/videos/" + id, "-X", "DELETE")["deleted"] is True
    assert answer(daemon, "/v1/videos")["data"] == []


def can_trace():
    probe = ["strace", "-f", "-e", "trace=fsync", "-e", "inject=fsync:error=EIO:when=1", "true"]
    return shutil.which("strace") is not None and subprocess.run(probe, capture_output=True).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is not here or may not trace")
@pytest.mark.parametrize("when", range(12, 36, 4))
def test_a_disk_that_fails_once_in_the_daemon(make_daemon, tmp_path, when):
    """The `when`-th sync of the database fails; the first ones are the start."""
    trace = ("strace", "-D", "-f", "-qq", "-o", tmp_path / "trace", "-e", "trace=fdatasync", "-e", f"inject=fdatasync:error=EIO:when={when}")
    daemon = make_daemon(prefix=trace)
    request = {"prompt": "a red ball", "seed": 3, "num_inference_steps": 2, "num_frames": 5, "size": "64x64"}
    accepted = []

    def more():
        # Refused only while the store is being reopened.
        video = create(daemon, request)
        if "id" in video:
            accepted.append(video["id"])
        return len(accepted) == 6

    wait_for(daemon, "six jobs are accepted", more)
    videos = [finished(daemon, id) for id in accepted]
    assert [video["status"] for video in videos] == ["completed"] * 6, videos
    assert len({video["sha256"] for video in videos}) == 1
    assert daemon.process.poll() is None
    injected = "EIO" in (tmp_path / "trace").read_text()
    assert not injected or "can be used again" in daemon.log.read_text(), daemon.log.read_text()
